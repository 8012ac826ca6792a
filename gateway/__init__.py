"""The edge: charge points' sockets in, Calls to the broker, replies and commands back."""
