"""The settings of AMQP over TLS are checked at start, each by its name."""

from pathlib import Path

import pytest

from contracts.process.settings import ProcessSettings, check
from tests.support.authority import Authority


def test_files_that_fit_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client", "client")
    for name, file in (("CA", authority.file), ("CERT", certificate), ("KEY", key)):
        monkeypatch.setenv(f"OCPP_AMQP_{name}_FILE", str(file))
    settings, problems = check(ProcessSettings)
    assert problems == []
    assert settings is not None
    assert settings.amqp_files.problem() is None
    assert settings.amqp_declares


def test_files_that_do_not_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate, _ = Authority(tmp_path).issue("client", "client")
    monkeypatch.setenv("OCPP_AMQP_CA_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("OCPP_AMQP_CERT_FILE", str(certificate))
    monkeypatch.setenv("OCPP_AMQP_DECLARE", "perhaps")
    _, problems = check(ProcessSettings)
    assert [problem.partition(":")[0] for problem in problems] == [
        "OCPP_AMQP_CA_FILE",
        "OCPP_AMQP_KEY_FILE",
        "OCPP_AMQP_DECLARE",
    ]
