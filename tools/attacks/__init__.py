"""Attacks on a system of our own, while honest charge points go on working: `make attacks`."""
