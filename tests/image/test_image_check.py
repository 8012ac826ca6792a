"""The image check says what it lacks before it begins; building for real is `make image-check`."""

import os
import shutil
from pathlib import Path

import pytest

from tools.image import building, machine
from tools.image.machine import ImageCheckError, debian_mirror, install_missing_programs, run
from tools.image.trying import Jail


def test_a_failed_command_shows_the_end_of_what_it_said(tmp_path: Path):
    log = tmp_path / "log"
    with pytest.raises(ImageCheckError, match="exit 3 of: sh") as failed:
        run(["sh", "-c", "for i in $(seq 40); do echo line-$i; done; exit 3"], log=log)
    assert "line-40" in str(failed.value)
    assert "line-2\n" not in str(failed.value)
    assert log.read_text().startswith("line-1\n")


def test_a_command_that_does_not_end_is_given_up():
    with pytest.raises(ImageCheckError, match="not done after 0 s"):
        run(["sleep", "30"], patience_s=0.05)


def test_nothing_is_installed_for_somebody_who_is_not_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageCheckError, match="only root"):
        install_missing_programs()


def test_what_is_missing_is_named_where_apt_is_missing_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda program: None if program in {"apt-get", "buildah"} else program)
    with pytest.raises(ImageCheckError, match="without apt-get: buildah"):
        install_missing_programs()


def test_the_mirror_is_the_one_that_apt_uses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        machine,
        "run",
        lambda _: (
            " 500 http://mirror.example/debian-security bookworm\n 500 http://mirror.example/debian bookworm/main\n"
        ),
    )
    assert debian_mirror() == "http://mirror.example/debian"


def test_a_file_with_two_names_counts_once(tmp_path: Path):
    (tmp_path / "one").write_bytes(b"x" * 1000)
    before = building.bytes_in(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    assert building.bytes_in(tmp_path) == before >= 1000


def test_the_jail_gives_the_images_user_and_environment_and_nothing_of_ours(tmp_path: Path):
    jail = Jail(tmp_path, {"User": "10001:10001", "Env": ["PATH=/opt/ocpp/bin", "PYTHONSAFEPATH=1"]})
    command = jail.command(["ocpp-gateway", "--version"], ["AMQP_URL=amqp://broker/"])
    assert command[-4:] == ["PYTHONSAFEPATH=1", "AMQP_URL=amqp://broker/", "ocpp-gateway", "--version"]
    assert "10001:10001" in command
    assert any("remount,bind,ro" in word and "env -i" in word for word in command)
