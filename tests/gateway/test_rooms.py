"""The smaller rooms: registry, registrations, outcomes, drain pace, settings, command line."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.broker import codec
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.process.settings import check
from contracts.versions import Version
from gateway.clock import Clock
from gateway.dispatch import Dispatch
from gateway.drain import closes_due
from gateway.outcomes import Asker, Outcomes, PendingOutcome
from gateway.registry import Registry
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.settings import GatewaySettings
from tests.gateway.memory_link import delivery
from tests.gateway.test_relay import Wire


@dataclass(eq=False)
class Holder:
    session: Session | None


def held(identity: str, session_id: str) -> tuple[Holder, Session]:
    session = Session(identity, Version.V16, session_id, 1, SessionRules())
    return Holder(session), session


def test_the_newest_session_answers_for_the_identity_and_the_older_ones_cleanup_leaves_it() -> None:
    registry: Registry[Holder] = Registry()
    old, old_session = held("CP", "s1")
    new, new_session = held("CP", "s2")
    assert registry.add(old, old_session) is None
    assert registry.add(new, new_session) is old
    registry.remove(old_session)
    registry.remove(old_session)
    assert registry.of_identity("CP") is new
    assert registry.of_session("s1") is None
    registry.remove(new_session)
    assert registry.of_identity("CP") is None
    assert len(registry) == 0


def test_epochs_grow_even_when_the_wall_clock_steps_back() -> None:
    registry: Registry[Holder] = Registry()
    epochs = [registry.next_epoch(ms) for ms in (1000, 1000, 500, 2000)]
    assert epochs == [1000, 1001, 1002, 2000]


def outcome(command_id: str) -> OutcomeEnvelope:
    return OutcomeEnvelope(command_id=command_id, identity="CP", kind=OutcomeKind.TIMEOUT, gateway="gw")


def test_outcomes_are_kept_until_confirmed_within_the_bound() -> None:
    wire, box = Wire(up=False), Outcomes(2)
    box.link = wire
    for number in range(3):
        box.tell(Asker("asker", f"c{number}"), outcome(f"c{number}"))
    wire.up = True
    box.link_up()
    assert [message.correlation_id for message in wire.published] == ["c1", "c2"]
    assert {(message.exchange, message.key) for message in wire.published} == {("", "asker")}
    first, second = (message.token for message in wire.published)
    assert isinstance(first, PendingOutcome)
    assert isinstance(second, PendingOutcome)
    box.confirmed(first)
    box.refused(second)
    wire.published.clear()
    box.tick()
    box.tick()
    assert [message.correlation_id for message in wire.published] == ["c2"]
    box.link_up()
    assert [message.correlation_id for message in wire.published] == ["c2", "c2"]


class Encoding(Wire):
    """Encodes as the real link does."""

    def publish(self, exchange: str, routing_key: str, body: bytes, **options: Any) -> None:
        properties = {name: value for name, value in options.items() if name != "token"}
        codec.encode_publish(exchange, routing_key, body, frame_max=131072, **properties)
        super().publish(exchange, routing_key, body, **options)


def test_an_outcome_that_no_broker_can_take_is_dropped_and_holds_up_no_other() -> None:
    wire, box = Encoding(up=False), Outcomes(5)
    box.link = wire
    box.tell(Asker("asker", "x" * 256), outcome("bad"))
    box.tell(Asker("asker", "fine"), outcome("fine"))
    wire.up = True
    box.link_up()
    assert [message.correlation_id for message in wire.published] == ["fine"]
    assert len(box) == 1


@pytest.mark.parametrize("command_id", ["", "x" * 37, "x" * 256])
def test_a_command_without_a_proper_id_is_rejected_under_its_correlation_id(command_id: str) -> None:
    wire, box = Encoding(), Outcomes(5)
    box.link = wire

    def find(_: object) -> Session | None:
        raise AssertionError("no session is troubled with it")

    def offer(_: object, __: object) -> None:
        raise AssertionError("no session is troubled with it")

    dispatch = Dispatch("gw", Clock(), box, find, offer)
    command = CommandEnvelope(command_id=command_id, identity="CP", action="Reset", payload=b"{}", deadline_ms=0)
    dispatch.delivered(delivery(command.encode(), correlation_id="known to the asker", reply_to="asker"))
    (told,) = wire.published
    answer = OutcomeEnvelope.decode(told.body)
    assert (told.key, told.correlation_id) == ("asker", "known to the asker")
    assert (answer.kind, answer.error_code) == (OutcomeKind.REJECTED, "bad_command_id")


def test_an_outcome_without_an_asker_is_not_published() -> None:
    wire, box = Wire(), Outcomes(2)
    box.link = wire
    box.tell(Asker(), outcome("c"))
    assert (wire.published, len(box)) == ([], 0)


@given(st.integers(1, 100_000), st.floats(1, 60), st.floats(1, 1000))
def test_the_drain_pace_is_kept_unless_the_time_would_not_do(sessions: int, seconds: float, pace: float) -> None:
    left, now = float(sessions), 0.0
    while left > 0 and now < seconds:
        left -= closes_due(int(left) + 1, seconds - now, pace, 0.05)
        now += 0.05
    assert left <= 0
    if sessions < pace * (seconds - 0.1):
        assert closes_due(sessions, seconds, pace, 0.05) == pytest.approx(pace * 0.05)


def test_every_setting_has_a_variable_with_its_unit_and_a_description() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.alias, name
        assert field.description, name


def test_all_problems_of_the_environment_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_GATEWAY_LISTEN_PORT", "many")
    monkeypatch.setenv("OCPP_GATEWAY_CALL_TIMEOUT_SECONDS", "-1")
    monkeypatch.setenv("OCPP_GATEWAY_NO_SUCH_THING", "1")
    settings, problems = check(GatewaySettings)
    assert settings is None
    text = "\n".join(problems)
    for variable in ("LISTEN_PORT", "CALL_TIMEOUT_SECONDS", "NO_SUCH_THING"):
        assert variable in text


def test_the_command_knows_its_version_and_checks_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, timeout=30, check=False
        )

    assert run("--version").stdout.startswith("ocpp-gateway ")
    fine = run("check-config")
    assert fine.returncode == 0
    assert "OCPP_GATEWAY_LISTEN_PORT" in fine.stdout
    monkeypatch.setenv("OCPP_GATEWAY_LISTEN_PORT", "many")
    bad = run("check-config")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "OCPP_GATEWAY_LISTEN_PORT" in bad.stderr
    assert run("run").returncode == 2
