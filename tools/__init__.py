"""Developer tooling; not shipped."""
