"""Simulated charge points, and the fleets of them that prove what the gateway promises."""
