"""One runtime for all services: consume, decide inside a transaction, commit, reply, ack."""
