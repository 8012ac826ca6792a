"""Hostile bytes for every parser that strangers reach, guided by coverage: `make fuzz`."""
