"""The commands service: commands to charge points, who is connected where, and the events that tell of it."""
