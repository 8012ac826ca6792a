"""`make attacks`: 2,000 honest charge points, every attack in full; exit code 1 when one of them did harm."""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from tools.attacks.run import ATTACKS, run
from tools.attacks.target import Effort
from tools.nodes import broker_for, database_for
from tools.stack import ROOT

MOST_SLOWDOWN = 3.0


def main() -> int:
    """Print the table, then what went wrong."""
    parser = argparse.ArgumentParser(prog="make attacks", description=__doc__)
    parser.add_argument("--honest", type=int, default=2000, help="charge points at work (%(default)s)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two Calls of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="bound of each attack (%(default)s)")
    parser.add_argument("--quiet-seconds", type=float, default=20.0, help="measured before (%(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of the full counts and rates (%(default)s)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="attacks with this word in the name"
    )
    parser.add_argument("--list", action="store_true", help="name the attacks and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{attack.name:32} {attack.run.__doc__}" for attack in ATTACKS))
        return 0
    allow_many_sockets()
    (ROOT / ".dev").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="attacks-", dir=ROOT / ".dev") as name:
        folder = Path(name)
        broker, database = broker_for(folder / "rabbit"), database_for(folder / "postgres")
        try:
            broker.start()
            database.start()
            result = run(
                broker.amqp_url,
                database.create_database("attacked"),
                folder,
                honest=options.honest,
                every_s=options.every,
                quiet_s=options.quiet_seconds,
                effort=Effort(options.seconds, options.share),
                rest_s=3.0,
                only=options.only,
            )
        finally:
            database.discard()
            broker.discard()
    print("\n".join(result.lines()))
    mistakes = result.mistakes()
    mistakes += [
        f"{phase.name}: the honest p99 was {result.slowdown(phase):.1f} times that of the quiet phase"
        for phase in result.attacks
        if not result.slowdown(phase) <= MOST_SLOWDOWN
    ]
    print("\n".join(f"FAILED  {mistake}" for mistake in mistakes) or "no harm done")
    return 1 if mistakes else 0


def allow_many_sockets() -> None:
    """Raise this process's bound on open files, which its children inherit, as far as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
