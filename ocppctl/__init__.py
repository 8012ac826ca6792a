"""`ocppctl`: the operator's command line."""
