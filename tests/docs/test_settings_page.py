"""The settings page says what the code says."""

import re

from contracts.process.settings import variables
from gateway.settings import GatewaySettings
from tools.settings_page import PAGE, page
from workers.settings import WorkerSettings


def test_the_page_is_what_the_code_gives() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_time_and_size_has_its_unit_in_its_name() -> None:
    units = re.compile(
        r"_(MILLI)?SECONDS?$|_BYTES$|_(CALLS|COMMANDS|PINGS|CONNECTIONS|KEPT|OUTSTANDING|SHARE|PREFETCH|DAYS)$"
        r"|_HANDSHAKES$|_PER_(SECOND|MINUTE|ADDRESS|IDENTITY)$"
    )
    unitless = {
        "OCPP_GATEWAY_LISTEN_PORT",
        "OCPP_GATEWAY_LISTEN_BACKLOG",
        "OCPP_GATEWAY_MIN_SECURITY_PROFILE",
        "OCPP_GATEWAY_TLS_MIN_VERSION",
        "OCPP_MONITOR_PORT",
        "OCPP_WORKER_INTERVAL_JITTER",  # a share
        "OCPP_WORKER_LANES",
    }
    for settings in (GatewaySettings, WorkerSettings):
        for name, default, _ in variables(settings):
            if default.replace(".", "", 1).isdigit() and name not in unitless:
                assert units.search(name), name


def test_every_setting_is_described() -> None:
    for settings in (GatewaySettings, WorkerSettings):
        for name, _, description in variables(settings):
            assert len(description) > 15, name
