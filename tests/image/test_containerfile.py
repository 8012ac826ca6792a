"""The Containerfile passes its linter, and keeps the promises that a platform relies on."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

from gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text()
STAGES = re.split(r"(?m)^FROM ", TEXT)[1:]
FINAL = STAGES[-1]


def needed_by(name: str) -> set[str]:
    requirements = (Requirement(text) for text in requires(name) or [])
    wanted = [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    return {name}.union(*(needed_by(one) for one in wanted))


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint ignore" not in TEXT


def test_both_stages_stand_on_the_image_that_is_asked_for():
    assert re.findall(r"(?m)^ARG BASE=(.+)$", TEXT) == ["python:3.11-slim-bookworm"]
    assert [stage.split()[0] for stage in STAGES] == ["${BASE}", "${BASE}"]


def test_packages_come_from_the_lock_with_their_hashes_and_nothing_else_is_fetched():
    joined = TEXT.replace("\\\n", " ")
    installs = re.findall(r"pip[^&|\n]* (?:install|wheel) [^&|\n]*", joined)
    assert len(installs) == 4
    for install in installs:
        assert ("--require-hashes" in install) != ("--no-index" in install)
    assert "--require-hashes -r requirements.lock" in joined


def test_the_tools_that_build_the_wheel_are_all_taken_from_the_developers_lock():
    names = re.search(r"keep = /\^\(([\w|-]+)\)==/", TEXT)
    assert names is not None
    assert set(names[1].split("|")) == needed_by("hatchling")
    lock = (ROOT / "requirements-dev.lock").read_text()
    assert all(re.search(rf"(?m)^{name}==", lock) for name in names[1].split("|"))


def test_it_runs_as_a_user_without_rights():
    assert re.findall(r"(?m)^USER (.+)$", FINAL) == ["10001:10001"]
    assert "PYTHONSAFEPATH=1" in FINAL
    assert "PYTHONDONTWRITEBYTECODE=1" in FINAL


def test_the_final_stage_takes_the_finished_environment_and_no_source():
    assert re.findall(r"(?m)^(?:COPY|ADD) (.+)$", FINAL) == ["--from=builder /opt/ocpp /opt/ocpp"]
    assert "pip" not in FINAL


def test_it_says_its_ports_and_ends_by_sigterm():
    ports = {str(GatewaySettings.model_fields[name].default) for name in ("listen_port", "monitor_port")}
    assert set(re.findall(r"(?m)^EXPOSE (.+)$", FINAL)[0].split()) == ports
    assert re.findall(r"(?m)^STOPSIGNAL (.+)$", FINAL) == ["SIGTERM"]
    assert re.findall(r"(?m)^CMD (.+)$", FINAL) == ['["ocpp-gateway"]']


def test_its_version_is_the_packages():
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    assert version is not None
    assert re.findall(r"(?m)^ARG VERSION=(.+)$", FINAL) == [version[1]]


def test_the_context_is_what_the_wheel_is_made_of():
    kept = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    packages = re.search(r"(?m)^packages = \[(.+)\]$", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    copied = {word for line in re.findall(r"(?m)^COPY ([^-].+) \S+$", STAGES[0]) for word in line.split()}
    assert kept == copied >= set(re.findall(r'"(\w+)"', packages[1]))


def test_docker_which_knows_it_by_another_name_ignores_the_same():
    assert (ROOT / ".dockerignore").resolve() == (ROOT / ".containerignore").resolve()
