"""`make load`: the load scenarios on a whole system of their own, started for the run, with all faults possible."""
