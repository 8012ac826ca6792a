"""One target under libFuzzer, in a process of its own: `python -m tools.fuzz.one NAME FOLDER [libFuzzer's options]`."""

import importlib
import sys

import atheris

from tools.fuzz.targets import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *options = sys.argv[1:]
    target = next(target for target in TARGETS if target.name == name)
    with atheris.instrument_imports(include=[target.module, *target.deeper]):
        sys.modules.pop(target.module, None)  # whatever has imported it already has it without the counters
        attempt = target.prepare(importlib.import_module(target.module))
    atheris.Setup([sys.argv[0], *options], attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
