"""What RabbitMQ and PostgreSQL need: nodes, cores, queues, and what they write."""

from math import ceil

from contracts.actions import Service
from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import BILLING, Demand, Options
from loadtest.sizing.tiers import GB, MILLION, Ceiling, Tier, rounded_up

_BOOKS = {"Heartbeat": "heartbeat", "MeterValues": "meter_values", "TransactionEvent": "meter_values"}
"""Actions whose cost in the database is known by itself; all others cost what a Call costs that writes a row."""
_VOLUME = 1.5
"""Disk to ask for, above what is kept: compaction, vacuum and a filling disk's alarm need room."""
_LEAST_STORE_GB = 4.0
_HOT_DAYS = 0.25
"""So much of the meter samples is to fit into memory: of the transactions that are open."""
_HOT_INDEX_BYTES = 8192.0
"""And one page of the index by charge point, to which the next samples of each go."""
_BROKER_CONNECTION_GB = 0.0005


def size_broker(asked: Demand, processes: int, options: Options, constants: Constants) -> Tier:
    """Nodes of a cluster.

    Any one may lead all busy queues, after the others were restarted, so each is given the cores for the whole load.
    """
    cores = broker_cores(asked, constants)
    billing = sum(rate for action, rate in asked.calls.items() if action in BILLING)
    backlog = billing * options.outage_hours * 3600 * constants.broker_backlog_bytes_per_call / GB
    queue = max(sum(asked.calls_of(service).values()) for service in Service)
    kept = constants.broker_frame_log_gb + constants.broker_start_gb + backlog
    written = sum(asked.day.values()) * constants.broker_disk_bytes_per_call
    return Tier(
        name="broker",
        replicas=options.broker_nodes,
        why="a majority outlives a zone" if options.broker_nodes > 1 else "as asked: nothing outlives this node",
        busy_cores=cores,
        cores=max(2.0, float(ceil(cores / options.at_work))),
        memory_gb=rounded_up(constants.broker_start_gb + processes * 2 * _BROKER_CONNECTION_GB, 1.0),
        figures={
            "Calls/s": asked.calls_per_s,
            "queues for the busiest service": ceil(queue / (constants.broker_calls_per_s_per_queue * options.at_work)),
            "disk GB": rounded_up(kept * _VOLUME, 10.0),
            f"of it billing data of {options.outage_hours:g} h without database, GB": backlog,
            "written GB/day": written / GB,
            "written MB/s in the busiest hour": asked.calls_per_s * constants.broker_disk_bytes_per_call / MILLION,
        },
    )


def broker_cores(asked: Demand, constants: Constants) -> float:
    """Of the node that leads everything."""
    micros = asked.calls_per_s * constants.broker_cpu_us_per_call
    # A command and its outcome travel four hops, a Call and its reply two.
    return (micros + asked.commands * 2 * constants.broker_cpu_us_per_call) / MILLION


def size_store(asked: Demand, transactions_per_s: float, options: Options, constants: Constants) -> Tier:
    """The primary of PostgreSQL; a standby is as large. `transactions_per_s`: the most that the workers make."""
    cores = store_cores(asked, constants)
    wal = sum(rate * _store(action, "wal_bytes", constants) for action, rate in asked.day.items())
    rows = _rows(asked)
    grown = sum(count * size for count, size in _sizes(rows, constants))
    standing = asked.charge_points * constants.store_row_bytes_charge_point
    commits = min(asked.calls_per_s, transactions_per_s)
    samples = rows["meter samples"] * constants.store_row_bytes_sample
    hot = standing + asked.charge_points * _HOT_INDEX_BYTES + samples * _HOT_DAYS
    return Tier(
        name="store",
        replicas=1,
        why="one primary; as large a standby in another zone",
        busy_cores=cores,
        cores=max(2.0, float(ceil(cores / options.at_work))),
        memory_gb=max(_LEAST_STORE_GB, rounded_up(hot / GB, 4.0)),
        figures={
            "commits/s in the busiest hour, at most": commits,
            "disk operations/s in the busiest hour, at most": commits
            + asked.calls_per_s * constants.store_page_writes_per_call,
            "meter samples/day": rows["meter samples"],
            "rows/day": sum(rows.values()),
            "grows GB/day": grown / GB,
            "WAL GB/day": wal / GB,
            f"disk GB, {options.keep_days:g} days kept": rounded_up(
                (grown * options.keep_days + standing) * _VOLUME / GB, 10.0
            ),
        },
    )


def store_cores(asked: Demand, constants: Constants) -> float:
    """Of the primary."""
    micros = sum(rate * _store(action, "cpu_us", constants) for action, rate in asked.calls.items())
    return micros / MILLION


def ceilings(asked: Demand, options: Options, constants: Constants) -> list[Ceiling]:
    """What of the servers cannot be added to within a cell."""
    queue = max(sum(asked.calls_of(service).values()) for service in Service)
    return [
        Ceiling(
            what=f"broker (leader of all queues, {constants.broker_cores_most:g} cores)",
            share=broker_cores(asked, constants) / options.at_work / constants.broker_cores_most,
            then="another cell",
        ),
        Ceiling(
            what=f"database (primary, {constants.store_cores_most:g} cores)",
            share=store_cores(asked, constants) / options.at_work / constants.store_cores_most,
            then="another cell",
        ),
        Ceiling(
            what="busiest queue of Calls",
            share=queue / constants.broker_calls_per_s_per_queue,
            then="shard that queue by identity (consistent hash)",
        ),
    ]


def _store(action: str, what: str, constants: Constants) -> float:
    value: float = getattr(constants, f"store_{what}_{_BOOKS.get(action, 'call')}")
    return value


def _rows(asked: Demand) -> dict[str, float]:
    """That stay, of an average day."""
    day = asked.day
    events = day.get("TransactionEvent", 0.0)
    sessions = day.get("Authorize", 0.0)  # one for each session in both versions
    return {
        "meter samples": asked.samples_per_day,
        "transactions": sessions,
        "transaction events": events,
        "authorizations": day.get("Authorize", 0.0),
    }


def _sizes(rows: dict[str, float], constants: Constants) -> list[tuple[float, float]]:
    return [
        (rows["meter samples"], constants.store_row_bytes_sample),
        (rows["transactions"], constants.store_row_bytes_transaction),
        (rows["transaction events"], constants.store_row_bytes_transaction_event),
        (rows["authorizations"], constants.store_row_bytes_authorization),
    ]
