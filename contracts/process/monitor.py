"""The process's face to its platform: `/metrics`, `/healthz` (alive) and `/readyz` (may take new work)."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SHUTDOWN_TIMEOUT_S = 0.2

Check = Callable[[], str | None]
"""Returns None when fine, else the reason in a few words."""


class Monitor:
    """An HTTP server for probes and scrapes; `start` opens the port, `stop` releases it."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry = REGISTRY) -> None:
        self._host = host
        self._registry = registry
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._runner: web.AppRunner | None = None
        self.port = port
        """The port; the one really taken once started."""

    def live(self, name: str, check: Check) -> None:
        """Add a check whose failure means: restart this process. Never one that depends on broker or database."""
        self._live[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check whose failure means: send new work elsewhere."""
        self._ready[name] = check

    def unready(self) -> dict[str, str]:
        """The readiness checks that fail now, with their reasons."""
        return _failures(self._ready)

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        # A scraper that does not read its answer must not hold up the end of the process.
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return _verdict(self._live)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _verdict(self._ready)


def _failures(checks: dict[str, Check]) -> dict[str, str]:
    return {name: reason for name, check in checks.items() if (reason := check()) is not None}


def _verdict(checks: dict[str, Check]) -> web.Response:
    failures = _failures(checks)
    body = {"ok": not failures, "checks": {name: failures.get(name, "ok") for name in checks}}
    return web.json_response(body, status=503 if failures else 200)
