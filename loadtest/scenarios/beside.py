"""The others: a small crowd beside the one that meets the fault; what they feel of it is measured apart."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from loadtest.crowd.orders import Kind, Load
from loadtest.parsing import number
from loadtest.scenarios.counting import Counts
from loadtest.scenarios.running import Run
from loadtest.scenarios.verdicts import about_answers
from loadtest.scenarios.watching import Watched


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what describes them."""
    add = parser.add_argument_group("the others").add_argument
    add("--others", type=number(1, 1_000_000, int), default=500, metavar="N",
        help="charge points that the fault does not meet (%(default)s)")  # fmt: skip
    add("--others-rate", type=number(0.01, 1_000_000), default=200.0, metavar="R",
        help="their Calls a second (%(default)s)")  # fmt: skip
    add("--limit-slowdown", type=number(1, 1_000_000), default=5.0, metavar="TIMES",
        help="of their p99 by the fault (%(default)s)")  # fmt: skip


def crowd(run: Run, urls: Sequence[str] | None = None) -> Watched:
    """They, to be entered before the crowd that meets the fault: the live view is of the last."""
    options = run.options
    return run.crowd(options.others, name="others", urls=urls, prefix=f"{options.prefix}-OTHER")


def load(run: Run, kind: Kind) -> Load:
    """What they do all the time."""
    return Load(kind=kind, rate=run.options.others_rate)


def tell(run: Run, quiet: Counts, during: Counts, what: str) -> None:
    """Put into the report how much slower their Calls became; `what` is what went on."""
    calm, harmed = quiet.quantile_ms(0.99), during.quantile_ms(0.99)
    run.figure("others_p99_quiet_ms", calm, "ms", title="p99 of the others, quiet", better="less")
    run.figure("others_p99_ms", harmed, "ms", title=f"p99 of the others during {what}", better="less")
    run.figure(
        "others_slowdown", harmed / calm if calm and harmed else None, "ratio",
        title=f"p99 of the others during {what}, by the quiet one", at_most=run.options.limit_slowdown, better="less",
        note=f"{during.answered:,} Calls in {during.seconds:.0f} s",
    )  # fmt: skip


def judge(run: Run, others: Watched) -> None:
    """The fault was none of theirs: nothing of theirs may be lost. At the end of a run."""
    run.fail(*(f"the others: {text}" for text in about_answers([others.latest])))


def limited(*crowds: Counts) -> str:
    """Why a generator may have been the bottleneck. What waits for a connection is not late by its doing."""
    return next(filter(None, (replace(counts, waiting_more=0).generator_limited for counts in crowds)), "")
