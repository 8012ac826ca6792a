"""`make image-check`: build the image on a Debian made here, try it, and say how large it is."""

import argparse
import sys
import time

from tools.image.building import WORK, build, bytes_in, discard, make_debian, unpack
from tools.image.machine import ImageCheckError, install_missing_programs
from tools.image.trying import Jail, try_commands, try_confinement, try_serving

_MB = 1_000_000


def main() -> int:
    """Return 0 when the image builds and does what it must, else 1 with the reason."""
    parser = argparse.ArgumentParser(prog="make image-check", description=__doc__.partition(": ")[2])
    parser.add_argument("--clean", action="store_true", help="remove the Debian it stands on too when done")
    options = parser.parse_args()
    try:
        _check(clean=options.clean)
    except ImageCheckError as error:
        print(f"image-check: {error}", file=sys.stderr)
        return 1
    return 0


def _check(*, clean: bool) -> None:
    install_missing_programs()
    WORK.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    try:
        tell("a Debian with Python, by debootstrap (kept for the next time)")
        make_debian()
        tell("the image, by buildah")
        config = build()
        tree = unpack()
        jail = Jail(tree, config)
        tell("the commands")
        try_commands(jail)
        tell("the confinement")
        try_confinement(jail)
        tell("a start without a broker")
        try_serving(jail, config["Cmd"], WORK / "gateway.log")
        ours = bytes_in(tree / "opt" / "ocpp")
        tell(f"{bytes_in(tree) / _MB:.0f} MB of files, {ours / _MB:.0f} MB of them ours and not the base's")
    finally:
        discard(everything=clean)


if __name__ == "__main__":
    sys.exit(main())
