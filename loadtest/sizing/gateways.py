"""How many gateways: sockets, CPU, and the storm after the loss of some; each is one process on one core."""

from collections.abc import Callable
from math import ceil

from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import Demand, Options
from loadtest.sizing.tiers import GB, KB, MB, MILLION, Need, Tier, most, rounded_up

_MOST_REPLICAS = 100_000
_SPARE_MEMORY = 1.25
"""The allocator's and the kernel's share, and sessions that queue Calls: what is asked for above what is computed."""


def cores_at_work(asked: Demand, options: Options, constants: Constants) -> float:
    """Of all gateways together in the busiest hour: Calls, commands, pings, reconnects."""
    call = constants.gateway_cpu_us_per_call_tls if options.tls else constants.gateway_cpu_us_per_call
    interval = constants.gateway_ping_interval_s
    pings = asked.charge_points / interval if interval else 0.0
    micros = (
        asked.calls_per_s * call
        + asked.commands * constants.gateway_cpu_us_per_command
        + pings * constants.gateway_cpu_us_per_ping
        + asked.reconnects * handshake_us(options, constants)
    )
    return micros / MILLION


def handshake_us(options: Options, constants: Constants) -> float:
    """CPU of one socket's opening, TLS included where there is any."""
    return constants.gateway_cpu_us_per_handshake_tls if options.tls else constants.gateway_cpu_us_per_handshake


def handshakes_per_s(free_cores: float, options: Options, constants: Constants) -> float:
    """What one gateway lets in a second with so much of its core free; its limits' settings bound it too."""
    by_cpu = max(0.0, free_cores) * MILLION / handshake_us(options, constants)
    return min([by_cpu, *handshake_limits(options, constants)])


def handshake_limits(options: Options, constants: Constants) -> list[float]:
    """The settings that bound it; 0 is no bound."""
    bounds = [constants.gateway_handshakes_per_s]
    if options.addresses:
        bounds.append(constants.gateway_handshakes_per_s_per_address * options.addresses)
    return [bound for bound in bounds if bound]


def lost_of(replicas: int, options: Options) -> int:
    """How many of so many go at once."""
    return 1 if options.lose == "replica" else ceil(replicas / options.zones)


def size_gateways(asked: Demand, options: Options, constants: Constants) -> Tier:
    """The least number that satisfies every need with some of them lost; ValueError when there is none."""
    points, cores = asked.charge_points, cores_at_work(asked, options, constants)
    fit = min(constants.gateway_sockets_proven, constants.gateway_max_connections)

    def sockets(left: int, lost: int) -> bool:
        del lost
        return points <= left * fit

    def work(left: int, lost: int) -> bool:
        del lost
        return cores <= left * options.at_work

    def storm(left: int, lost: int) -> bool:
        each = handshakes_per_s(1.0 - cores / left, options, constants)
        return points * lost / (left + lost) <= left * each * options.reconnect_s

    def power_cut(left: int, lost: int) -> bool:
        together = left + lost
        return points <= together * handshakes_per_s(1.0 - cores / together, options, constants) * options.power_cut_s

    least = options.zones if options.lose == "zone" else 2
    lost = "one lost" if options.lose == "replica" else "a zone lost"
    needs = [
        Need(why=f"one in each of {least} zones" if options.lose == "zone" else "one may fail", replicas=least),
        Need(why=f"sockets of each, {lost}", replicas=_least(sockets, options)),
        Need(why=f"CPU, {lost}", replicas=_least(work, options)),
        Need(why=f"all back in {options.reconnect_s:g} s, {lost}", replicas=_least(storm, options)),
        Need(why=f"all in {options.power_cut_s:g} s after a power cut", replicas=_least(power_cut, options)),
    ]
    need = most(needs)
    left = need.replicas - lost_of(need.replicas, options)
    socket_kb = constants.gateway_kb_per_socket_tls if options.tls else constants.gateway_kb_per_socket
    held = constants.gateway_start_mb * MB + points / left * socket_kb * KB
    return Tier(
        name="gateway",
        replicas=need.replicas,
        why=need.why,
        busy_cores=cores,
        cores=1.0,
        memory_gb=rounded_up((held * _SPARE_MEMORY + constants.gateway_window_mb * MB) / GB, 0.25),
        figures={
            "sockets each": points / need.replicas,
            f"sockets each, {lost}": points / left,
            "core busy, %": 100 * cores / need.replicas,
            f"core busy, {lost}, %": 100 * cores / left,
            "handshakes/s each": handshakes_per_s(1.0 - cores / left, options, constants),
        },
    )


def _least(holds: Callable[[int, int], bool], options: Options) -> int:
    """The fewest replicas for which a need holds; it holds for more, too, so halving finds them."""

    def enough(replicas: int) -> bool:
        lost = lost_of(replicas, options)
        return replicas > lost and holds(replicas - lost, lost)

    few, many = 1, 2
    while not enough(many):
        few, many = many, many * 2
        if many > _MOST_REPLICAS:
            raise ValueError("no number of gateways is enough: more time, more addresses or smaller cells are needed")
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many
