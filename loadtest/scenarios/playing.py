"""From a scenario and its arguments to a report on disk and an exit code."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from loadtest.anchors.measuring import OURS, beside, measure
from loadtest.crowd.conductor import CrowdFailed
from loadtest.report.model import Report
from loadtest.report.writing import write
from loadtest.scenarios.arguments import command_line, settings_of
from loadtest.scenarios.live import Display, display
from loadtest.scenarios.machine import machine
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import System, SystemFailed
from loadtest.scenarios.watching import RunFailed

INTERRUPTED = "interrupted"
Opening = Callable[[argparse.Namespace], AbstractContextManager[System]]


def play(scenario: Scenario, options: argparse.Namespace, opening: Opening, program: str, prefix: str) -> int:
    """Open the system, play the scenario against it, write the report; the exit code is that of its verdict.

    Without `--report`, the report's folder is the scenario's name and the time, with `prefix` before it.

    A run that was interrupted, or could not go on, still tells what it measured. SystemFailed when there is no system.
    """
    began = datetime.now(UTC)
    report = Report(
        scenario=scenario.name,
        command=command_line(program, sys.argv[1:]),
        began=began.isoformat(timespec="seconds"),
        seconds=0.0,
        machine=machine(),
        settings=settings_of(options),
    )
    where = options.report or Path(f"{prefix}{scenario.name}-{began:%Y%m%d-%H%M%S}")
    if options.report is not None:
        _make(options.report)
    with _few_logs(), opening(options) as system:
        if missing := scenario.faults - system.faults:
            raise SystemFailed(
                f"{scenario.name} needs {', '.join(sorted(missing))}, which cannot be done to this system"
            )
        with (
            display(scenario.title, plain=options.plain) as shown,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            runner.run(_play(scenario, system, report, shown, options))
        _conclude(
            report, where, options.plots
        )  # before the system is taken down, which takes long and may be interrupted
    return report.exit_code


def _make(folder: Path) -> None:
    """Find out before the run, not after hours, that there can be no report; ValueError then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--report {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f"--report {folder}: not writable")


async def _play(
    scenario: Scenario, system: System, report: Report, shown: Display, options: argparse.Namespace
) -> None:
    loop = asyncio.get_running_loop()
    playing = asyncio.ensure_future(_run(scenario, system, report, shown, options))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, playing.cancel)
    try:
        await playing
    except asyncio.CancelledError:
        report.failures.append(INTERRUPTED)
    except (CrowdFailed, RunFailed, SystemFailed) as failure:
        report.failures.append(str(failure))
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs nobody what was measured
        traceback.print_exc()
        report.failures.append(f"{type(error).__name__}: {error}")
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # removing leaves the default, by which SIGTERM ends us and nothing else


async def _run(scenario: Scenario, system: System, report: Report, shown: Display, options: argparse.Namespace) -> None:
    async with Run(system, report, shown, options) as run:
        await scenario.play(run, options)
        if options.anchors:
            await _measure_anchors(run)


async def _measure_anchors(run: Run) -> None:
    """On the same machine and in the same run, after the crowds have gone: only the ratios are quoted."""
    system, report = run.system, run.report

    def broker_cpu_s() -> float | None:
        used = system.usage().get("broker")
        return None if used is None else used.cpu_s

    run.moment("anchors begin")
    found = await measure(
        amqp_url=system.amqp_url,
        broker_cpu_s=broker_cpu_s if "broker" in system.usage() else None,
        tell=run.tell.say,
    )
    ours = dict(OURS)
    if report.scenario == "max":  # the only one that goes up to our own ceiling
        of_this_kind = f"_{run.options.kind}_calls_per_second"
        ours |= {anchor.name: "calls_per_second" for anchor in found.anchors if anchor.name.endswith(of_this_kind)}
    report.anchors = beside(found.anchors, report, ours)
    report.notes += found.notes


@contextmanager
def _few_logs() -> Iterator[None]:
    """Let a broker link speak only when something is wrong: the screen is the view's."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        yield
    finally:
        structlog.configure(**before)


def _conclude(report: Report, folder: Path, plots: bool) -> None:
    write(report, folder, plots=plots)
    for figure in report.figures:
        value = (
            "-" if figure.value is None else f"{figure.value:,.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
        )
        mark = {True: "ok ", False: "NOT", None: "   "}[figure.holds]
        print(
            f"{mark} {figure.title or figure.name}: {value} {figure.unit}{f' ({figure.note})' if figure.note else ''}"
        )
    for text in report.failures:
        print(f"failed: {text}")
    if report.generator_limited:
        print(f"generator limited: {report.generator_limited}")
    print(f"{report.scenario}: {report.verdict}; report: {folder / 'report.html'}", flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    with suppress(ImportError):
        from uvloop import new_event_loop

        return new_event_loop
    return asyncio.new_event_loop
