"""`make fuzz`: each target for a bounded time; exit code 1 when one found something, with the input that does it.

What was learnt stays in .dev/fuzz, and the next run goes on from there.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from tools.fuzz.targets import TARGETS, FuzzTarget
from tools.stack import ROOT

CORPORA = ROOT / ".dev" / "fuzz"
_INPUT_TIMEOUT_S = 10
_MOST_MEMORY_MB = 2048
_RUNS = re.compile(r"Done (\d+) runs")
_COVERAGE = re.compile(r"cov: (\d+)")


def main() -> int:
    """Print a line for each target."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=30, help="for each target (%(default)s)")
    parser.add_argument("names", nargs="*", help="targets; all without any")
    options = parser.parse_args()
    chosen = [target for target in TARGETS if not options.names or target.name in options.names]
    unknown = set(options.names) - {target.name for target in TARGETS}
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TARGETS)}")
    failed = False
    for target in chosen:
        failed |= not fuzz(target, options.seconds)
    return 1 if failed else 0


def fuzz(target: FuzzTarget, seconds: int) -> bool:
    """Run one target for so long; False when it found something."""
    folder = CORPORA / target.name
    corpus, log = folder / "corpus", folder / "log"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    command = [
        sys.executable, "-m", "tools.fuzz.one", target.name, f"-max_total_time={seconds}",
        f"-timeout={_INPUT_TIMEOUT_S}", f"-rss_limit_mb={_MOST_MEMORY_MB}", f"-max_len={target.most_bytes}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1", str(corpus),
    ]  # fmt: skip
    with log.open("wb") as output:
        try:
            ended = subprocess.run(
                command, cwd=ROOT, stdout=output, stderr=output, timeout=seconds + 120, check=False, env=_environment()
            ).returncode
        except subprocess.TimeoutExpired:
            ended = -1
    return _tell(target, ended, folder, log)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def _tell(target: FuzzTarget, ended: int, folder: Path, log: Path) -> bool:
    said = log.read_text(errors="replace")
    runs, coverage = _RUNS.findall(said), _COVERAGE.findall(said)
    if ended == 0 and runs:
        print(f"{target.name:22} {int(runs[-1]):10,} inputs, {coverage[-1] if coverage else 0} edges, nothing found")
        return True
    inputs = sorted(folder.glob("crash-*")) + sorted(folder.glob("timeout-*")) + sorted(folder.glob("oom-*"))
    print(f"{target.name:22} FAILED (exit code {ended}); log: {log}")
    print(
        "\n".join(f"    {line}" for line in said.splitlines() if "Error" in line or line.startswith("  File"))[-3000:]
    )
    for file in inputs[-3:]:
        print(f"    input: {file}\n    again: {sys.executable} -m tools.fuzz.one {target.name} {file}")
    return False


if __name__ == "__main__":
    sys.exit(main())
