"""Lets `python -m loadtest` stand for the command `ocpp-loadtest`."""

import sys

from loadtest.cli import main

sys.exit(main())
