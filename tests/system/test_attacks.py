"""Attacks from outside and inside, in short: honest charge points go on being served, and memory stays bounded."""

import pytest

from tests.support.figures import note
from tools.attacks.run import Result, run
from tools.attacks.target import Effort
from tools.nodes import Broker

pytestmark = pytest.mark.system

HONEST = 150
MOST_GROWTH = 128 * 2**20
"""Far above what all the bounds of this many sockets allow, far below what one attack without a bound would take."""


@pytest.fixture(scope="module")
def attacked(rabbit: Broker, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One run for all tests of this module."""
    folder = tmp_path_factory.mktemp("attacked")
    vhost = "attacked"
    url = rabbit.create_vhost(vhost)
    try:
        result = run(
            url,
            f"sqlite+aiosqlite:///{folder}/ocpp.db",
            folder,
            honest=HONEST,
            every_s=1.5,
            quiet_s=3.0,
            effort=Effort(seconds=1.5, share=0.1),
            rest_s=0.1,
            handshake_timeout_s=2.0,
        )
    finally:
        rabbit.delete_vhost(vhost)
    note("attacks on a gateway, honest round trips meanwhile:\n" + "\n".join(result.lines()))
    return result


def test_every_attack_ends_as_it_should_and_no_honest_charge_point_is_dropped_or_left_without_an_answer(
    attacked: Result,
) -> None:
    assert attacked.mistakes() == []
    assert len(attacked.log.round_trips) > HONEST


def test_no_attack_makes_the_gateway_grow_without_bound(attacked: Result) -> None:
    grown = {phase.name: (phase.rss_peak - attacked.quiet.rss_peak) // 2**20 for phase in attacked.attacks}
    assert {name: size for name, size in grown.items() if size > MOST_GROWTH // 2**20} == {}
