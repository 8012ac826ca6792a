"""The command line of the scenarios, and the system that it describes."""

import argparse
import sys

import pytest

from loadtest.cli import main
from loadtest.scenarios import arguments, given
from loadtest.scenarios.command import SCENARIOS, add_to
from loadtest.scenarios.given import Given, parts_of
from loadtest.scenarios.system import Fault, SystemFailed


def _options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    return parser.parse_args([*argv, "--url", "ws://127.0.0.1:9/ocpp"])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_has_help_and_defaults_that_its_own_arguments_take(scenario, capsys):
    with pytest.raises(SystemExit) as ended:
        main([scenario.name, "--help"])
    assert ended.value.code == 0
    assert scenario.help.split(",")[0][:40] in " ".join(capsys.readouterr().out.split())
    options = vars(_options(scenario.name))
    assert all(options[name] == value for name, value in scenario.defaults.items())


@pytest.mark.parametrize(
    "wrong",
    [
        ["--url", "http://x/"],
        ["--rate", "0"],
        ["--charge-points", "many"],
        ["--id-tags", ","],
        ["--metrics", "lorry=http://x"],
        ["--fault", "flood=true"],
        ["--fault", "kill-gateway="],
        ["--password-template", "the-same-for-all"],
        ["--ca-file", "/no/such/file.pem"],
    ],
)
def test_bad_arguments_are_told_before_anything_runs(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["steady", "--url", "ws://127.0.0.1:9/ocpp", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_secrets_are_in_neither_the_command_nor_the_settings():
    argv = ["steady", "--password-template", "key-{identity}-sesame", "--amqp-url=amqp://user:sesame@broker/", "--tls"]
    shown = arguments.command_line("ocpp-loadtest", argv)
    assert shown == "ocpp-loadtest steady --password-template '***' '--amqp-url=amqp://user:***@broker/' --tls"
    assert "sesame" not in arguments.command_line("x", ["--password-template=key-{identity}-sesame"])
    assert "sesame" not in str(arguments.settings_of(_options(*argv)))


def test_as_many_processes_and_addresses_as_it_takes():
    options = _options("steady", "--rate", "100")
    assert arguments.processes(options, 100) == 1
    assert arguments.processes(_options("steady", "--processes", "5"), 100) == 5
    here = ["ws://127.0.0.1:1/ocpp"]
    assert arguments.source_addresses(options, here, 1000) == ()
    assert arguments.source_addresses(options, here, 60_000) == ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert arguments.source_addresses(options, here * 3, 60_000) == ()
    assert len(arguments.source_addresses(options, here * 3, 100_000)) == 4
    assert arguments.source_addresses(options, ["ws://gateway.example/ocpp"], 60_000) == ()


def test_parts_are_numbered_and_known_by_their_kind():
    named = [("gateway", "http://a"), ("gateway", "http://b"), ("metering", "http://c"), ("metering", "http://d")]
    assert [(part.name, part.kind) for part in parts_of([*named, ("broker", "http://e")])] == [
        ("gateway-0", "gateway"), ("gateway-1", "gateway"), ("metering", "worker"), ("metering-2", "worker"),
        ("broker", "broker"),
    ]  # fmt: skip


def test_a_fault_is_its_command_without_a_shell(tmp_path):
    text = f"kill-gateway={sys.executable} -c \"import sys; open(sys.argv[1], 'w').close()\" '{tmp_path}/$HOME'"
    options = _options("steady", "--fault", text, "--fault", f"restart-broker={sys.executable} -c 'exit(3)'")
    with given.opened(options) as system:
        assert system.faults == {Fault.KILL_GATEWAY, Fault.RESTART_BROKER}
        system.inflict(Fault.KILL_GATEWAY)
        assert (tmp_path / "$HOME").exists()
        with pytest.raises(SystemFailed, match="exit code 3"):
            system.inflict(Fault.RESTART_BROKER)
        with pytest.raises(SystemFailed, match="no command for slow-worker"):
            system.inflict(Fault.SLOW_WORKER)


def test_endpoints_are_sorted_by_tls_and_silent_parts_are_missing():
    system = Given(["ws://a/ocpp", "wss://b/ocpp"], parts_of([("gateway", "http://127.0.0.1:9/metrics")]))
    assert (system.urls, system.secure_urls) == (("ws://a/ocpp",), ("wss://b/ocpp",))
    assert system.usage() == {}
