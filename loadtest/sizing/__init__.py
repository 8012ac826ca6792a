"""From measured constants to the replicas, the memory, the broker and the database of an installation."""
