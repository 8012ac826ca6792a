"""Sizes hold what they are for, grow with what is asked, and say when nothing would do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.crowd.mix import Mix
from loadtest.sizing.cells import SCALES, cell_size, plan, size_cell
from loadtest.sizing.constants import shipped
from loadtest.sizing.demand import Options, demand
from loadtest.sizing.gateways import cores_at_work, handshakes_per_s, lost_of, size_gateways

KNOWN = shipped()
OPTIONS = st.builds(
    Options,
    mix=st.builds(Mix, heartbeat_s=st.floats(10, 3600), sample_s=st.floats(5, 900)),
    share_201=st.floats(0, 1),
    tls=st.booleans(),
    head_room=st.floats(0, 0.8),
    lose=st.sampled_from(["replica", "zone"]),
    zones=st.integers(2, 5),
    reconnect_s=st.floats(20, 600),
)


@given(points=st.integers(1, 250_000), options=OPTIONS)
@settings(max_examples=60, deadline=None)
def test_gateways_bear_the_loss_they_are_sized_for(points, options) -> None:
    asked = demand(points, options)
    tier = size_gateways(asked, options, KNOWN)
    lost = lost_of(tier.replicas, options)
    left = tier.replicas - lost
    cores = cores_at_work(asked, options, KNOWN)
    assert left >= 1
    assert points <= left * KNOWN.gateway_sockets_proven
    assert cores <= left * options.at_work * (1 + 1e-9)
    each = handshakes_per_s(1 - cores / left, options, KNOWN)
    assert points * lost / tier.replicas <= left * each * options.reconnect_s * (1 + 1e-9)
    held_kb = points / left * (KNOWN.gateway_kb_per_socket_tls if options.tls else KNOWN.gateway_kb_per_socket)
    assert tier.memory_gb * 1024**2 > held_kb


@given(points=st.integers(100, 200_000), more=st.integers(1, 50_000), options=OPTIONS)
@settings(max_examples=40, deadline=None)
def test_more_charge_points_never_need_fewer_gateways_or_cells(points, more, options) -> None:
    few, many = (size_gateways(demand(count, options), options, KNOWN) for count in (points, points + more))
    assert few.replicas <= many.replicas + _zone_steps(options)
    assert few.busy_cores < many.busy_cores


def _zone_steps(options: Options) -> int:
    """A zone's share is rounded up: one gateway more may make the loss one larger, so need another."""
    return options.zones if options.lose == "zone" else 0


def test_a_million_charge_points_are_four_cells() -> None:
    whole = plan(1_000_000, Options(), KNOWN)
    assert whole.cells == 4
    assert whole.cell.demand.charge_points == 250_000
    assert whole.why == "the size of a cell"
    assert whole.cores == 4 * sum(tier.replicas * tier.cores for tier in whole.cell.tiers)


@pytest.mark.parametrize("count", SCALES)
@pytest.mark.parametrize("tls", [False, True])
def test_at_every_scale_each_service_outlives_one_and_storms_end(count, tls) -> None:
    options = Options(tls=tls)
    cell = plan(count, options, KNOWN).cell
    assert all(tier.replicas >= 2 for tier in cell.tiers if tier.name != "store")
    assert all(ceiling.share <= 1 for ceiling in cell.ceilings)
    # The last wave of those told to come later comes after at most two Retry-Afters.
    patience = 2 * KNOWN.gateway_retry_after_s
    assert cell.gateways_lost.connected_s <= options.reconnect_s + patience
    assert cell.power_cut.registered_s <= options.power_cut_s + patience
    assert cell.power_cut.connected_s <= cell.power_cut.registered_s


def test_what_nothing_can_be_added_to_makes_smaller_cells() -> None:
    dear = replace(KNOWN, worker_cpu_us_event=20 * KNOWN.worker_cpu_us_event)
    size, why = cell_size(Options(), dear)
    assert size < 250_000
    assert "event relay" in why
    whole = plan(250_000, Options(), dear)
    assert whole.cells > 1
    assert whole.cell.ceilings[0].share <= 1
    assert cell_size(Options(meter_events=False), dear)[0] == 250_000


def test_a_busy_queue_is_sharded_and_no_reason_for_a_cell() -> None:
    busy = replace(KNOWN, broker_calls_per_s_per_queue=100.0)
    cell = plan(100_000, Options(), busy).cell
    assert cell.tier("broker").figures["queues for the busiest service"] > 1
    assert plan(100_000, Options(), busy).cells == 1


def test_tls_costs_memory_and_cpu() -> None:
    plain, tls = (size_cell(100_000, Options(tls=tls), KNOWN).tier("gateway") for tls in (False, True))
    assert tls.memory_gb > plain.memory_gb
    assert tls.busy_cores > plain.busy_cores


def test_a_limit_of_zero_is_none() -> None:
    free = replace(KNOWN, gateway_handshakes_per_s=0.0, gateway_open_handshakes=0.0)
    assert handshakes_per_s(1.0, Options(), free) == pytest.approx(1e6 / KNOWN.gateway_cpu_us_per_handshake)
    assert size_cell(10_000, Options(), free).gateways_lost.refused == 0


def test_few_addresses_need_more_gateways_or_more_time() -> None:
    one, many = (
        size_cell(100_000, Options(addresses=count, reconnect_s=20), KNOWN).tier("gateway") for count in (1, 1000)
    )
    assert one.replicas > many.replicas
    assert "20 s" in one.why


def test_what_no_number_of_gateways_can_is_said() -> None:
    with pytest.raises(ValueError, match="no number of gateways"):
        size_cell(100_000, Options(lose="zone", zones=1), KNOWN)


def test_an_installation_of_nobody_is_none() -> None:
    with pytest.raises(ValueError, match="at least one"):
        plan(0, Options(), KNOWN)
