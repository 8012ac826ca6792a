"""`python -m workers` is `ocpp-worker`."""

from workers.cli import main

main()
