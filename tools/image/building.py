"""Builds the image with buildah in a folder of its own: chroot isolation, plain folders for layers, no daemon."""

import json
import shutil
from pathlib import Path
from typing import Any

from tools.image.machine import ImageCheckError, debian_mirror, run
from tools.stack import ROOT

WORK = ROOT / ".dev" / "image"
IMAGE = "localhost/ocpp-gateway:check"
DEBIAN = "localhost/ocpp-gateway-debian:bookworm"
PIP_CONF = Path("/etc/pip.conf")
TRUST_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")


def buildah(*words: str | Path, log: Path | None = None) -> str:
    """Output of a buildah command on the storage of this check; raises ImageCheckError when it fails."""
    storage: list[str | Path] = ["--root", WORK / "storage", "--runroot", WORK / "run", "--storage-driver", "vfs"]
    return run(["buildah", *storage, *words], log=log)


def make_debian() -> None:
    """Make the image that takes the place of python:3.11-slim: Debian 12 with Python 3.11, venv and pip."""
    tree, policy = WORK / "debian", _policy()
    if DEBIAN in _images():
        return
    shutil.rmtree(tree, ignore_errors=True)
    packages = "ca-certificates,python3,python3-pip,python3-venv"
    run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", tree, debian_mirror()],
        log=WORK / "debootstrap.log",
    )
    shutil.copyfile(TRUST_ROOTS, tree / TRUST_ROOTS.relative_to("/"))  # what this machine trusts, its mirrors included
    for left in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(tree / left, ignore_errors=True)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, tree, "/")
    buildah("commit", "--signature-policy", policy, "--rm", "--quiet", container, DEBIAN)
    shutil.rmtree(tree)


def build() -> dict[str, Any]:
    """Build the image of this tree's Containerfile; its configuration as the OCI image format has it."""
    secrets = ["--secret", f"id=pip-conf,src={PIP_CONF}"] if PIP_CONF.exists() else []
    buildah(
        "build", "--isolation", "chroot", "--signature-policy", _policy(), "--build-arg", f"BASE={DEBIAN}",
        *secrets, "--file", ROOT / "Containerfile", "--tag", IMAGE, ROOT,
        log=WORK / "build.log",
    )  # fmt: skip
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", IMAGE))["OCIv1"]["config"]
    return found


def unpack() -> Path:
    """The image's files in a folder, as a container would see them; `discard` takes it away."""
    container = buildah("from", "--signature-policy", _policy(), IMAGE).strip()
    return Path(buildah("mount", container).strip())


def discard(*, everything: bool) -> None:
    """Remove containers and image, and the Debian beneath too if everything is to go."""
    buildah("rm", "--all")
    if everything:
        buildah("rmi", "--all", "--force")
        shutil.rmtree(WORK, ignore_errors=True)
    elif IMAGE in _images():
        buildah("rmi", "--force", IMAGE)


def bytes_in(tree: Path) -> int:
    """What the files take, each counted once however many names it has."""
    seen = {(status.st_dev, status.st_ino): status.st_size for status in (p.lstat() for p in tree.rglob("*"))}
    if not seen:
        raise ImageCheckError(f"{tree} is empty")
    return sum(seen.values())


def _images() -> list[str]:
    return buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()


def _policy() -> Path:
    """No signatures are asked for: the only images here are made here."""
    path = WORK / "policy.json"
    WORK.mkdir(parents=True, exist_ok=True)
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return path
