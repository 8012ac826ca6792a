"""The firmware service: update jobs, their dispatch to charge points, and the statuses that tell how they go."""
