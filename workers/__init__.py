"""Worker services: one package each, a shared runtime, and the store."""
