"""The programs that build an image on a bare Debian: found, or installed by apt-get with words."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap", "unshare": "util-linux", "chroot": "coreutils"}
"""Program and the Debian package it comes in."""


class ImageCheckError(Exception):
    """The check could not be done, or the image is not as it must be; the text says why, for whoever ran it."""


def install_missing_programs() -> None:
    """Install what is missing, saying so before; raises ImageCheckError where that is impossible."""
    if os.geteuid() != 0:
        raise ImageCheckError("only root can build an image without a container engine (chroot and mounts)")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ImageCheckError(f"missing and not to be installed without apt-get: {', '.join(missing)}")
    print(f"will install with apt-get: {' '.join(missing)} (and what they depend on)", flush=True)
    surroundings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Old lists name packages that mirrors have no longer; without network the lists that are here may still do.
    subprocess.run(["apt-get", "-q", "update"], env=surroundings, capture_output=True, check=False)
    run(["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install", *missing])


def run(command: Sequence[str | Path], *, log: Path | None = None, patience_s: float = 1800) -> str:
    """What the command printed; raises ImageCheckError with the end of its output when it fails or takes too long."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience_s,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired as expired:
        raise ImageCheckError(f"{words[0]} was not done after {patience_s:.0f} s: {' '.join(words)}") from expired
    if log is not None:
        log.write_text(done.stdout)
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-25:])
        raise ImageCheckError(f"exit {done.returncode} of: {' '.join(words)}\n{end}")
    return done.stdout


def debian_mirror() -> str:
    """The mirror that this machine's apt uses; debootstrap has a default of its own, but may not reach it."""
    found = re.search(r"https?://\S*debian/?(?=\s)", run(["apt-cache", "policy"]))
    if found is None:
        raise ImageCheckError("apt-cache policy names no Debian mirror")
    return found[0]
