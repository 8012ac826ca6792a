"""A whole installation: how many cells, and what each consists of."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from loadtest.sizing import gateways, servers, workers
from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import Demand, Options, demand
from loadtest.sizing.storm import Recovery, Storm, recovery
from loadtest.sizing.tiers import Ceiling, Tier

SCALES = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_SAMPLE = 100_000


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cluster of the whole system, for a part of the charge points."""

    demand: Demand
    tiers: Sequence[Tier]
    ceilings: Sequence[Ceiling]
    """What grows and cannot be added to, the nearest first."""
    gateways_lost: Recovery
    power_cut: Recovery

    def tier(self, name: str) -> Tier:
        """The tier of that name."""
        return next(tier for tier in self.tiers if tier.name == name)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Equal cells for all charge points."""

    charge_points: int
    options: Options
    cells: int
    why: str
    cell: Cell

    @property
    def cores(self) -> float:
        """To ask for, of everything; a standby of the database is not in it."""
        return self.cells * sum(tier.replicas * tier.cores for tier in self.cell.tiers)

    @property
    def memory_gb(self) -> float:
        """The same for memory."""
        return self.cells * sum(tier.replicas * tier.memory_gb for tier in self.cell.tiers)


def plan(charge_points: int, options: Options, constants: Constants) -> Plan:
    """As few cells as hold so many; ValueError when nothing would."""
    if charge_points < 1:
        raise ValueError("an installation has at least one charge point")
    largest, why = cell_size(options, constants)
    cells = ceil(charge_points / largest)
    return Plan(
        charge_points=charge_points,
        options=options,
        cells=cells,
        why=why if cells > 1 else "one is enough",
        cell=size_cell(ceil(charge_points / cells), options, constants),
    )


def cell_size(options: Options, constants: Constants) -> tuple[int, str]:
    """The most charge points of one cell, and why not more."""
    asked = demand(_SAMPLE, options)
    bounds = [(options.cell_charge_points or constants.cell_charge_points_most, "the size of a cell")]
    bounds += [
        (_SAMPLE / ceiling.share, ceiling.what)
        for ceiling in _unshardable(asked, options, constants)
        if ceiling.share > 0
    ]
    size, why = min(bounds)
    if size < 1:
        raise ValueError(f"not one charge point fits: {why}")
    return floor(size), why


def size_cell(charge_points: int, options: Options, constants: Constants) -> Cell:
    """Everything of one cell."""
    asked = demand(charge_points, options)
    gateway = gateways.size_gateways(asked, options, constants)
    lost = gateways.lost_of(gateway.replicas, options)
    returning = charge_points * lost / gateway.replicas
    services = workers.size_workers(asked, returning, options, constants)
    processes = gateway.replicas + sum(tier.replicas for tier in services)
    transactions = sum(tier.replicas for tier in services) * constants.worker_transactions_per_s
    tiers = [
        gateway,
        *services,
        servers.size_broker(asked, processes, options, constants),
        servers.size_store(asked, transactions, options, constants),
    ]
    ceilings = [
        Ceiling(
            what=f"charge points of a cell ({options.cell_charge_points or constants.cell_charge_points_most:,.0f})",
            share=charge_points / (options.cell_charge_points or constants.cell_charge_points_most),
            then="another cell",
        ),
        *workers.ceilings(asked, constants),
        *servers.ceilings(asked, options, constants),
    ]
    authorization = next(tier for tier in services if tier.name == "authorization").replicas
    return Cell(
        demand=asked,
        tiers=tiers,
        ceilings=sorted(ceilings, key=lambda ceiling: -ceiling.share),
        gateways_lost=recovery(
            Storm.of(asked, away=returning, gateways=gateway.replicas - lost, authorization=authorization,
                     boots=False, options=options, constants=constants)
        ),
        power_cut=recovery(
            Storm.of(asked, away=charge_points, gateways=gateway.replicas, authorization=authorization,
                     boots=True, options=options, constants=constants)
        ),
    )  # fmt: skip


def _unshardable(asked: Demand, options: Options, constants: Constants) -> list[Ceiling]:
    """Those that only a further cell helps against."""
    found = [*workers.ceilings(asked, constants), *servers.ceilings(asked, options, constants)]
    return [ceiling for ceiling in found if ceiling.then.endswith("another cell")]
