"""What is done to a system, for how long, and what it must hold: a command each."""
