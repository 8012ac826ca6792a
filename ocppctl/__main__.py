"""`python -m ocppctl`."""

import sys

from ocppctl.cli import main

sys.exit(main())
