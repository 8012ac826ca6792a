"""The `ocpp-gateway` command and its settings, as an operator meets them."""

import os
import subprocess
import sys

import pytest

from contracts.process.settings import check
from gateway.settings import GatewaySettings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OCPP_", "AMQP_")):
            monkeypatch.delenv(name)


def gateway(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", [[], ["run"], ["declare"], ["grant"], ["check-config"]])
def test_every_command_checks_its_settings_first(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("AMQP_URL", "foo")
    monkeypatch.setenv("OCPP_GATEWAY_LISTEN_PORT", "many")
    monkeypatch.setenv("OCPP_GATEWAY_LISTN_PORT", "1")
    done = gateway(*command)
    assert (done.returncode, done.stdout) == (2, "")
    named = sorted(line.partition(":")[0] for line in done.stderr.splitlines())
    assert named == ["AMQP_URL", "OCPP_GATEWAY_LISTEN_PORT", "OCPP_GATEWAY_LISTN_PORT"]


@pytest.mark.parametrize(
    "url",
    [
        "foo",
        "amqp://user:secret@h/",
        "http://",
        "http://user:secret@",
        "http://user:se[cret@h",
        "http://user:secret@h:99999",
        "http://user:secret@a..b",
        "http://user:se#cret@h",
        "http://user:secret@h/?x=secret",
    ],
)
def test_a_management_url_that_cannot_be_read_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", url)
    (problem,) = check(GatewaySettings)[1]
    assert problem.startswith("AMQP_MANAGEMENT_URL: ")
    assert "cret" not in problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:15672", "https://u:p%40@rabbit/", "http://[::1]:1/prefix"])
def test_a_management_url_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", url)
    settings = check(GatewaySettings)[0]
    assert settings is not None
    assert settings.amqp_management_url is not None
    assert settings.amqp_management_url.get_secret_value() == url


def test_what_is_unset_is_shown_empty_and_what_is_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "AMQP_MANAGEMENT_URL=\n" in gateway("check-config").stdout
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", "")
    settings = check(GatewaySettings)[0]
    assert settings is not None
    assert settings.amqp_management_url is None
