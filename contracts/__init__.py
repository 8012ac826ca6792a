"""What two processes must agree on: framing, schemas, envelopes, topology, the broker link, the platform face."""
