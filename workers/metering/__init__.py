"""Transactions and meter values, of every OCPP version."""
