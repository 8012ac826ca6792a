"""`ocppctl certificate`: what it asks for, and what it shows."""

from pathlib import Path
from typing import Any

import pytest

from contracts.operator import Operation, OperatorAnswer
from ocppctl.cli import build_parser
from ocppctl.exits import Exit
from ocppctl.output import Output

ITEM = {"record": "issued", "type": "ChargingStationCertificate", "serial": "1f", "state": "installed"}


class Asked:
    """A client that remembers what it was asked."""

    def __init__(self, *items: dict[str, Any], ok: bool = True) -> None:
        self.asked: list[tuple[Operation, dict[str, Any]]] = []
        self._answer = OperatorAnswer(ok=ok, items=list(items), error=None if ok else "not_found")

    async def ask(self, operation: Operation, arguments: dict[str, Any], **_: Any) -> OperatorAnswer:
        self.asked.append((operation, arguments))
        return self._answer


async def run(client: Asked, *words: str, as_json: bool = False) -> Exit:
    chosen = build_parser().parse_args(["certificate", *words])
    code: Exit = await chosen.work(client, chosen, Output(as_json=as_json))
    return code


@pytest.mark.parametrize(
    ("words", "operation", "arguments"),
    [
        (["list", "CP-1", "--limit", "5"], Operation.CERTIFICATES, {"identity": "CP-1", "limit": 5}),
        (["renew", "CP-1"], Operation.RENEW_CERTIFICATE, {"identity": "CP-1"}),
        (["refresh", "CP-1"], Operation.REFRESH_CERTIFICATES, {"identity": "CP-1"}),
        (["delete", "CP-1", "1f"], Operation.DELETE_CERTIFICATE, {"identity": "CP-1", "serial_number": "1f"}),
    ],
)
async def test_each_command_asks_for_its_operation(words, operation, arguments):
    client = Asked(ITEM)
    assert await run(client, *words) == Exit.DONE
    assert client.asked == [(operation, arguments)]


async def test_a_root_is_read_from_its_file(tmp_path: Path):
    file = tmp_path / "root.pem"
    file.write_text("PEM")
    client = Asked({"asked": "install"})
    assert await run(client, "install", "CP-1", str(file), "--type", "ManufacturerRootCertificate") == Exit.DONE
    given = {"identity": "CP-1", "type": "ManufacturerRootCertificate", "certificate": "PEM"}
    assert client.asked == [(Operation.INSTALL_CERTIFICATE, given)]


async def test_the_list_is_a_table_or_json(capsys):
    assert await run(Asked(ITEM), "list", "CP-1") == Exit.DONE
    told = capsys.readouterr().out
    assert [word for word in ("issued", "ChargingStationCertificate", "1f", "installed") if word not in told] == []
    assert await run(Asked(ITEM), "list", "CP-1", as_json=True) == Exit.DONE
    assert '"serial": "1f"' in capsys.readouterr().out


async def test_what_is_not_on_record_is_told(capsys):
    assert await run(Asked(ok=False), "delete", "CP-1", "1f") != Exit.DONE
    assert "not_found" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["install", "CP-1", "/nonexistent", "--type", "X"], ["install", "CP-1"], ["delete", "CP-1"], []]
)
async def test_wrong_usage_is_2(words):
    with pytest.raises(SystemExit) as ended:
        await run(Asked(), *words)
    assert ended.value.code == Exit.USAGE
