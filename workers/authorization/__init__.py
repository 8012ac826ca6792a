"""Who may be here and who may charge: boot, heartbeat, tokens, data transfer."""
