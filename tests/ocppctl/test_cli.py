"""The command line before any broker is asked: wrong usage, help, completion; and no password in any of them."""

import pytest

from ocppctl.cli import SHELLS, main
from ocppctl.exits import Exit


@pytest.fixture(autouse=True)
def url_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://guest:SECRET@127.0.0.1:1/")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["send", "CP"],
        ["send", "CP", "Reset", "[]"],
        ["send", "CP", "Reset", "@/nonexistent"],
        ["track", "CP", "Reset"],
        ["track", "CP", "Reset", "--deadline", "soon"],
        ["sessions", "--limit", "0"],
        ["sessions", "--timeout", "0"],
        ["events", "--type", "no.such"],
        ["--amqp-url", "http://x:SECRET@y/", "sessions"],
        ["dead-letters", "drop"],
        ["dead-letters", "replay", "--all", "x"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (Exit.USAGE, "")
    assert "SECRET" not in told.err


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["dead-letters", "drop", "--help"]])
def test_help_explains_the_exit_codes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr().out
    assert (ended.value.code, "exit codes:" in told, "SECRET" in told) == (Exit.DONE, True, False)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_name_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == Exit.DONE
    told = capsys.readouterr().out
    assert ("dead-letters" in told, "SECRET" in told) == (True, False)
