"""What a number of charge points asks of a system: Calls, commands, events and rows, by the day mix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contracts import actions
from contracts.actions import Service
from loadtest.crowd.mix import DAY_MIX, DAY_S, Mix, calls_per_second

BILLING = actions.TRANSACTION_ACTIONS
_EVENTFUL = frozenset({"BootNotification", "StatusNotification", "StartTransaction", "StopTransaction"})
"""Each of these writes one event; sessions write `opened` and `closed`."""
_SAMPLED = frozenset({"MeterValues", "TransactionEvent"})
"""Each of these writes `meter.sampled`."""
OWNERS: Mapping[str, Service] = {
    action.name: action.owner for action in actions.table().values() if action.from_charge_point
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is wished for beside the number of charge points."""

    mix: Mix = DAY_MIX
    share_201: float = 0.0
    tls: bool = False
    samples_per_message: float = 3.0
    commands_per_day: float = 5.0
    """Commands of backends to each charge point."""
    reconnects_per_day: float = 2.0
    """Of each charge point on an ordinary day: networks come and go."""
    meter_events: bool = True
    """The events `meter.sampled`; OCPP_WORKER_EVENTS_OFF switches them off."""
    head_room: float = 0.4
    """The share of every core that stays free in the busiest hour, with a replica lost."""
    lose: Literal["replica", "zone"] = "zone"
    """What may be lost while the rest carries everything."""
    zones: int = 3
    reconnect_s: float = 60.0
    """Time to have those back whose gateways were lost."""
    power_cut_s: float = 600.0
    """Time to have all of a cell back, and booted, after all were cut off at once."""
    addresses: int = 0
    """Source addresses that the charge points share (a carrier's NAT); 0: as good as one each."""
    broker_nodes: int = 3
    outage_hours: float = 8.0
    """So long the broker keeps billing data while the database is away."""
    keep_days: float = 90.0
    """So long meter samples and transactions stay in the database."""
    cell_charge_points: float = 0.0
    """The most charge points of a cell; 0: what the constants say."""

    def __post_init__(self) -> None:
        if not 0 <= self.share_201 <= 1 or not 0 <= self.head_room < 1:
            raise ValueError("shares are from 0 to 1, and some of each core has to work")
        if min(self.zones, self.broker_nodes) < 1 or min(self.reconnect_s, self.power_cut_s, self.keep_days) <= 0:
            raise ValueError("zones, broker nodes and times are above 0")
        if min(self.samples_per_message, self.commands_per_day, self.reconnects_per_day, self.outage_hours) < 0:
            raise ValueError("counts are not below 0")

    @property
    def at_work(self) -> float:
        """The share of a core that may be in use."""
        return 1.0 - self.head_room


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Of so many charge points: rates a second in the busiest hour, and counts of an average day."""

    charge_points: int
    calls: Mapping[str, float]
    """A second, by action."""
    commands: float
    events: float
    reconnects: float
    day: Mapping[str, float] = field(repr=False)
    """Calls of a day, by action."""
    samples_per_day: float
    events_per_day: float

    @property
    def calls_per_s(self) -> float:
        """All of them."""
        return sum(self.calls.values())

    def calls_of(self, service: Service) -> dict[str, float]:
        """Those that a service answers."""
        return {action: rate for action, rate in self.calls.items() if OWNERS[action] is service}


def demand(charge_points: int, options: Options) -> Demand:
    """By the mix."""
    peak = calls_per_second(options.mix, charge_points, share_201=options.share_201, at_peak=True)
    average = calls_per_second(options.mix, charge_points, share_201=options.share_201)
    reconnects = charge_points * options.reconnects_per_day / DAY_S
    return Demand(
        charge_points=charge_points,
        calls=peak,
        commands=charge_points * options.commands_per_day / DAY_S * options.mix.peak_factor,
        events=_events(peak, reconnects, options),
        reconnects=reconnects,
        day={action: rate * DAY_S for action, rate in average.items()},
        samples_per_day=_samples(average, options) * DAY_S,
        events_per_day=_events(average, reconnects, options) * DAY_S,
    )


def _samples(calls: Mapping[str, float], options: Options) -> float:
    """Those of the messages between start and end; in 2.x start and end have one each too."""
    each, between = options.samples_per_message, options.mix.samples_per_session
    whole = calls.get("TransactionEvent", 0.0) / (between + 2)
    return calls.get("MeterValues", 0.0) * each + whole * (between * each + 2)


def _events(calls: Mapping[str, float], reconnects: float, options: Options) -> float:
    begun_or_ended = calls.get("TransactionEvent", 0.0) * 2 / (options.mix.samples_per_session + 2)
    told = sum(calls.get(action, 0.0) for action in _EVENTFUL) + begun_or_ended + 2 * reconnects
    return told + (sum(calls.get(action, 0.0) for action in _SAMPLED) if options.meter_events else 0.0)
