"""How many workers of each service; each is one process on one core."""

from math import ceil

from contracts.actions import Service
from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import Demand, Options
from loadtest.sizing.tiers import GB, KB, MB, MILLION, Ceiling, Need, Tier, most, rounded_up

_SPARE_MEMORY = 1.5
"""Batches, replies and caches: what is asked for above what a worker holds at its start."""
_IDLE_CORE = 0.25
"""Asked for by a worker that has next to nothing to do."""
_SMALL = 0.1
COMMAND_SHARDS = 4
"""One replica at a time serves a shard of `ocpp.commands`: more replicas than shards only stand by."""
STATUSES_AFTER_BOOT = 2
"""Of the charge point and of its connector."""


def call_us(action: str, constants: Constants) -> float:
    """CPU of a worker for one Call."""
    costs = {
        "BootNotification": constants.worker_cpu_us_boot,
        "Heartbeat": constants.worker_cpu_us_heartbeat,
        "Authorize": constants.worker_cpu_us_authorize,
        "StatusNotification": constants.worker_cpu_us_status,
        "StartTransaction": constants.worker_cpu_us_start,
        "StopTransaction": constants.worker_cpu_us_stop,
        "MeterValues": constants.worker_cpu_us_meter_values,
        "TransactionEvent": constants.worker_cpu_us_transaction_event,
    }
    return costs[action]


def busy_cores(service: Service, asked: Demand, constants: Constants) -> float:
    """Of all replicas of a service together in the busiest hour."""
    micros = sum(rate * call_us(action, constants) for action, rate in asked.calls_of(service).items())
    if service is Service.AUTHORIZATION:
        micros += asked.reconnects * constants.worker_cpu_us_admission
    if service is Service.COMMANDS:
        micros += asked.commands * constants.worker_cpu_us_command
        micros += asked.events * constants.worker_cpu_us_event
        micros += 2 * asked.reconnects * constants.worker_cpu_us_presence
    return micros / MILLION


def storm_cores(service: Service, returning_per_s: float, constants: Constants, *, boots: bool) -> float:
    """What the return of so many charge points a second costs a service."""
    cost = {
        Service.AUTHORIZATION: constants.worker_cpu_us_admission + (constants.worker_cpu_us_boot if boots else 0.0),
        Service.DIAGNOSTICS: STATUSES_AFTER_BOOT * constants.worker_cpu_us_status if boots else 0.0,
        Service.COMMANDS: 2 * constants.worker_cpu_us_presence,  # events may lag for a while: the outbox keeps them
    }
    return returning_per_s * cost.get(service, 0.0) / MILLION


def size_workers(asked: Demand, lost_points: float, options: Options, constants: Constants) -> list[Tier]:
    """A tier for each service; `lost_points` are those that return when gateways are lost."""
    return [_service(service, asked, lost_points, options, constants) for service in Service]


def _service(service: Service, asked: Demand, lost_points: float, options: Options, constants: Constants) -> Tier:
    cores = busy_cores(service, asked, constants)
    storms = (
        storm_cores(service, lost_points / options.reconnect_s, constants, boots=False),
        storm_cores(service, asked.charge_points / options.power_cut_s, constants, boots=True),
    )
    needs = [
        Need(why="one may fail", replicas=2),
        Need(why="CPU in the busiest hour, one lost", replicas=1 + ceil(cores / options.at_work)),
        Need(why=f"gateways lost, all back in {options.reconnect_s:g} s", replicas=ceil(cores + storms[0])),
        Need(why=f"power cut, all booted in {options.power_cut_s:g} s", replicas=ceil(cores + storms[1])),
    ]
    need = most(needs)
    memory = constants.worker_start_mb * MB
    if service is Service.COMMANDS:
        memory += asked.charge_points * constants.worker_kb_per_directory_entry * KB
    return Tier(
        name=str(service),
        replicas=need.replicas,
        why=need.why,
        busy_cores=cores,
        cores=1.0 if max(cores, *storms) / need.replicas > _SMALL else _IDLE_CORE,
        memory_gb=rounded_up(memory * _SPARE_MEMORY / GB, 0.25),
        figures={
            "Calls/s": sum(asked.calls_of(service).values()),
            "core busy, %": 100 * cores / need.replicas,
        },
    )


def ceilings(asked: Demand, constants: Constants) -> list[Ceiling]:
    """What of the workers is one process however many there are."""
    return [
        Ceiling(
            what="event relay (one process of `commands` at a time)",
            share=asked.events * constants.worker_cpu_us_event / MILLION,
            then="switch off meter.sampled (OCPP_WORKER_EVENTS_OFF), or another cell",
        ),
        Ceiling(
            what=f"commands ({COMMAND_SHARDS} shards, one process each)",
            share=asked.commands * constants.worker_cpu_us_command / MILLION / COMMAND_SHARDS,
            then="another cell",
        ),
    ]
