"""The commands service: where each charge point is, and the way of every command there and back."""
