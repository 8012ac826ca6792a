"""`ocpp-gateway grant` without a broker: what it prints, and what it refuses; with one: test_least_rights."""

import json
from pathlib import Path

import pytest

from contracts.permissions import BrokerUser
from gateway.cli import main


def test_it_prints_definitions_without_a_password(tmp_path: Path, capsys):
    file = tmp_path / "passwords.toml"
    file.write_text('gateway = "a long password"\n')
    assert main(["grant", "--print", "--passwords", str(file), "--prefix", "x-"]) == 0
    printed = capsys.readouterr().out
    assert "a long password" not in printed
    assert [user["name"] for user in json.loads(printed)["users"]] == [f"x-{user}" for user in BrokerUser]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nobody"], "nobody"), ([], "AMQP_MANAGEMENT_URL"), (["--passwords", "/none"], "FileNotFound")],
)
def test_what_cannot_be_done_is_said(arguments, words, capsys):
    assert main(["grant", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_an_api_that_does_not_answer_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", "http://guest:SECRET@127.0.0.1:1")
    assert main(["grant", "--generate"]) == 1
    shown = capsys.readouterr()
    assert "cannot reach the management API" in shown.err
    assert "SECRET" not in shown.err + shown.out
