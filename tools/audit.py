"""`make audit`: known vulnerabilities of the locked packages.

Exit code 0: none known. 1: some. 3: nobody could say, because no source of advisories could be reached; not the same.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.stack import ROOT

LOCKED = ("requirements.lock", "requirements-dev.lock")
SOURCES = ("pypi", "osv")
FINE, VULNERABLE, UNKNOWN = 0, 1, 3
_PATIENCE_S = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One advisory that a locked package falls under."""

    package: str
    version: str
    advisory: str
    fixed_in: str


def findings_in(report: str) -> list[Finding] | None:
    """The findings of pip-audit's JSON report; None when it is no complete report."""
    try:
        packages = json.loads(report)["dependencies"]
        if not packages or any("skip_reason" in package for package in packages):
            return None
        return [
            Finding(package["name"], package["version"], found["id"], ", ".join(found["fix_versions"]) or "no version")
            for package in packages
            for found in package["vulns"]
        ]
    except (ValueError, KeyError, TypeError):
        return None


def audit(lock: Path) -> tuple[list[Finding] | None, str]:
    """Ask one source after the other about a lock file; without an answer None and the last reason."""
    reason = "no source was asked"
    for source in SOURCES:
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip",
            "--vulnerability-service", source, "--format", "json", "--progress-spinner", "off", "--timeout", "15",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            reason = f"{source}: no answer in {_PATIENCE_S} s"
            continue
        found = findings_in(done.stdout)
        if found is not None:
            return found, source
        last = next((line for line in reversed(done.stderr.strip().splitlines()) if line.strip()), "no report")
        reason = f"{source}: {last[:200]}"
    return None, reason


def main(arguments: list[str] | None = None) -> int:
    """Print what is known of each lock file."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("locks", nargs="*", default=list(LOCKED), help="lock files (%(default)s)")
    code = FINE
    for name in parser.parse_args(arguments).locks:
        found, source = audit(ROOT / name)
        if found is None:
            print(
                f"{name}: NOT AUDITED, no source of advisories answered ({source}). This does not mean that it is fine."
            )
            code = code or UNKNOWN
        elif found:
            print(f"{name}: {len(found)} known vulnerabilities (source: {source})")
            print("\n".join(f"  {one.package} {one.version}: {one.advisory}, fixed in {one.fixed_in}" for one in found))
            code = VULNERABLE
        else:
            print(f"{name}: no known vulnerability (source: {source})")
    return code


if __name__ == "__main__":
    sys.exit(main())
