"""Alembic migrations, packaged with the store."""
