"""What OpenTelemetry's SDK logs, in our log: without its arguments, and not one line for each batch for ever."""

import logging
import threading
import time
from typing import Self

import structlog

QUIET_S = 60.0
SDK = "opentelemetry"


class SdkLog(logging.Handler):
    """Tells each kind of message at most once in a minute, and how many were not told since.

    An argument may be a header with a token in it, or an address with a password: numbers are told, of an exception its
    class, nothing else.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._guard = threading.Lock()  # the SDK logs from its own thread
        self._log = structlog.get_logger()

    @classmethod
    def install(cls) -> Self:
        """Take over everything that the SDK logs in this process."""
        handler, logger = cls(), logging.getLogger(SDK)
        logger.handlers[:] = [handler]
        logger.propagate = False
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        kind = str(record.msg)
        with self._guard:
            now = time.monotonic()
            if now - self._told_at.get(kind, -QUIET_S) < QUIET_S:
                self._untold[kind] = self._untold.get(kind, 0) + 1
                return
            self._told_at[kind] = now
            untold = self._untold.pop(kind, 0)
        raised = record.exc_info[0] if record.exc_info else None
        self._log.warning(
            "traces.trouble",
            problem=_without_arguments(record),
            exception=None if raised is None else raised.__name__,
            untold=untold,
        )


def _without_arguments(record: logging.LogRecord) -> str:
    arguments = record.args if isinstance(record.args, tuple) else ()
    words = iter(_harmless(argument) for argument in arguments)
    head, *rest = str(record.msg).replace("%.2f", "%s").replace("%d", "%s").split("%s")
    return head + "".join(next(words, "…") + part for part in rest)


def _harmless(argument: object) -> str:
    if isinstance(argument, BaseException):
        return type(argument).__name__
    return f"{argument:g}" if isinstance(argument, int | float) else "…"
