"""Structured logs: JSON lines, or coloured console lines on a terminal."""

import logging
import sys

import structlog

from contracts.process.settings import LogFormat, ProcessSettings

# Without local variables: they hold payloads, tokens and keys (and rendering deep ones can take minutes).
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(settings: ProcessSettings, process: str) -> None:
    """Set up structlog and the standard library's loggers for this process; call once, before the first log line."""
    level = logging.getLevelName(settings.log_level.upper())
    console = settings.log_format is LogFormat.CONSOLE or (
        settings.log_format is LogFormat.AUTO and sys.stdout.isatty()
    )

    def name_process(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("process", process)  # not a context variable: libraries log from their own threads too
        return event

    shared: list[structlog.typing.Processor] = [
        name_process,
        _leave_out_no_trace,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [_make_printable, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard library: same lines, but only what an operator can act on.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderer,
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def _leave_out_no_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of lines that could name a trace, most have none: only a few Calls are recorded."""
    if event.get("trace", "") is None:
        del event["trace"]
    return event


def _make_printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    # JSON escapes by itself.
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = printable(value)
    return event


def printable(text: str) -> str:
    """The text on one line, unable to steer a terminal: for what a peer wrote."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
