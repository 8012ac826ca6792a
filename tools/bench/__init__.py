"""Measurements that print figures; bounded in count and time, and never a test."""
