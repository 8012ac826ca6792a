"""`ocppctl security`: what it asks for, and that a password comes from a file or standard input alone."""

import argparse
import io
from typing import Any

import pytest

from contracts.operator import Operation, OperatorAnswer
from ocppctl.cli import build_parser
from ocppctl.exits import Exit
from ocppctl.output import Output

PASSWORD = "Correct-Horse-Battery"


class Client:
    """Keeps what is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Operation, dict[str, Any]]] = []

    async def ask(self, operation: Operation, arguments: dict[str, Any], **_more: Any) -> OperatorAnswer:
        self.asked.append((operation, arguments))
        return OperatorAnswer(ok=True, items=[{"identity": "CP-1", "profile": 1}])


async def asked(*words: str) -> tuple[Operation, dict[str, Any]]:
    chosen: argparse.Namespace = build_parser().parse_args(["security", *words])
    client = Client()
    assert await chosen.work(client, chosen, Output(as_json=True)) is Exit.DONE
    (request,) = client.asked
    return request


async def test_each_command_asks_for_its_operation(tmp_path, capfd):
    pem = tmp_path / "key.pem"
    pem.write_text("PEM")
    assert await asked("show", "CP-1") == (Operation.SECURITY, {"identity": "CP-1"})
    assert await asked("rotate-key", "CP-1") == (Operation.ROTATE_KEY, {"identity": "CP-1"})
    assert await asked("raise-profile", "CP-1", "2") == (Operation.RAISE_PROFILE, {"identity": "CP-1", "profile": 2})
    assert (await asked("raise-profile", "CP-1", "2", "--no-send"))[1]["send"] is False
    settings = ("--profile", "0", "--certificate-name", "", "--message-policy", "verify", "--add-message-key", str(pem))
    assert await asked("set", "CP-1", *settings) == (
        Operation.SET_SECURITY,
        {
            "identity": "CP-1",
            "profile": 0,
            "certificate_name": "",
            "message_policy": "verify",
            "add_message_keys": ["PEM"],
        },
    )
    assert await asked("set-key", "CP-1", "--generate") == (Operation.SET_KEY, {"identity": "CP-1"})
    assert '"profile": 1' in capfd.readouterr().out


async def test_a_password_is_the_first_line_of_a_file_or_of_standard_input(tmp_path, monkeypatch):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nnot this\n")
    assert (await asked("set-key", "CP-1", "--password-file", str(file)))[1]["password"] == PASSWORD
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert (await asked("set-key", "CP-1", "--password-file", "-"))[1]["password"] == PASSWORD


@pytest.mark.parametrize(
    "words",
    [["set-key", "CP-1"], ["set-key", "CP-1", PASSWORD], ["set-key", "CP-1", "--password-file", "/nonexistent"]],
)
def test_no_password_is_taken_as_an_argument(words, capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["security", *words])
    assert ended.value.code == Exit.USAGE
