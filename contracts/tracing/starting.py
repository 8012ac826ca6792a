"""From settings to tracing, or to none."""

import os
import socket
import sys

from contracts.process.settings import EXIT_BAD_SETTINGS
from contracts.tracing.recording import Tracing
from contracts.tracing.settings import TracingSettings


def started(settings: TracingSettings, component: str, instance: str = "") -> Tracing | None:
    """Tracing as the environment asks for it, None while it is off; its `close` is the caller's to call.

    `instance` tells processes of one kind apart; host and process id by default. What the SDK cannot use in the
    variables that only it reads is one line on stderr and SystemExit(2).
    """
    if not settings.traces:
        return None
    from contracts.tracing.exporting import exporting

    try:
        return exporting(settings, settings.sampling, component, instance or f"{socket.gethostname()}-{os.getpid()}")
    except ValueError as error:
        print(f"OTEL_*: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - as for other settings
        raise SystemExit(EXIT_BAD_SETTINGS) from None
