"""The system under attack: gateway, authorization and metering as processes, with charge points on record."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from contracts.credentials import StoredKey
from tools.attacks.certificates import RunAuthority
from tools.attacks.honest import Log, honest_identities
from tools.attacks.target import Target, password_of
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.ports import free_ports
from tools.stack import ROOT, OwnProcess, Stack
from workers.store.engine import Store
from workers.store.security_tables import charge_point_keys, charge_point_security
from workers.store.tables import charge_points

VICTIM, INSIDER = "VICTIM-1", "INSIDER-1"
HANDSHAKE_TIMEOUT_S = 10.0
"""The gateway's own default."""


@dataclass(frozen=True, slots=True)
class System:
    """A running one."""

    stack: Stack
    target: Target

    @property
    def gateway(self) -> OwnProcess:
        return self.stack.gateways[0]


@contextmanager
def running(
    amqp_url: str, database_url: str, folder: Path, honest: int, handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S
) -> Iterator[System]:
    """A system with so many honest charge points on record; unknown ones are refused."""
    identities = tuple(honest_identities(honest))
    (tls_port,) = free_ports(1)
    authority = RunAuthority(folder / "certificates")
    files = authority.server()
    patience = str(handshake_timeout_s)
    given = {
        "OCPP_REGISTRATION": "closed",
        "OCPP_GATEWAY_HANDSHAKE_TIMEOUT_SECONDS": patience,
        "OCPP_GATEWAY_FLAP_DELAY_SECONDS": str(handshake_timeout_s / 2),
        "OCPP_GATEWAY_MIN_SECURITY_PROFILE": "1",
        "OCPP_GATEWAY_TLS_LISTEN_PORT": str(tls_port),
        "OCPP_GATEWAY_TLS_CERT_FILES": str(files.certificate),
        "OCPP_GATEWAY_TLS_KEY_FILES": str(files.key),
        "OCPP_GATEWAY_TLS_HANDSHAKE_TIMEOUT_SECONDS": patience,
    }
    stack = Stack(amqp_url=amqp_url, database_url=database_url, logs=folder / "logs", settings=given)
    services = [stack.workers["authorization"], stack.workers["metering"], stack.gateways[0]]
    try:
        stack.migrate()
        asyncio.run(_put_on_record(database_url, (*identities, VICTIM, INSIDER)))
        for process in services:
            process.start()
        for process in services:
            process.await_ready()
        host, _, port = stack.urls[0].removeprefix("ws://").partition("/")[0].partition(":")
        yield System(
            stack,
            Target(
                host=host,
                port=int(port),
                path="/ocpp",
                tls_port=tls_port,
                ca_file=authority.ca_file,
                handshake_timeout_s=handshake_timeout_s,
                honest=identities,
                victim=VICTIM,
                insider=INSIDER,
            ),
        )
    finally:
        stack.stop(timeout_s=10)


async def _put_on_record(database_url: str, identities: tuple[str, ...]) -> None:
    """Charge points with profile 1 and a key each; straight into the store, since thousands are to be there at once."""
    now = datetime.now(UTC)
    keys = {identity: StoredKey.of(password_of(identity)) for identity in identities}
    store = Store(database_url)
    try:
        async with store.transaction() as transaction:
            await transaction.run(insert(charge_points), [{"identity": name, "created_at": now} for name in identities])
            await transaction.run(
                insert(charge_point_security),
                [{"identity": name, "profile": 1, "updated_at": now} for name in identities],
            )
            await transaction.run(
                insert(charge_point_keys),
                [
                    {
                        "key_id": key.key_id, "identity": name, "digest": key.encode(), "state": "current",
                        "delivery": "provisioned", "created_at": now, "confirmed_at": now,
                    }
                    for name, key in keys.items()
                ],
            )  # fmt: skip
    finally:
        await store.close()


class Crowd:
    """The honest charge points' process."""

    def __init__(self, url: str, folder: Path, count: int, every_s: float) -> None:
        self._folder = folder
        self._output = folder / "honest.log"
        command = [
            sys.executable, "-m", "tools.attacks.honest", "--url", url, "--count", str(count), "--every", str(every_s),
            "--folder", str(folder),
        ]  # fmt: skip
        self._process = GuardedProcess(command, env=dict(os.environ), log=self._output, cwd=ROOT)

    def await_ready(self, timeout_s: float = 120) -> None:
        """Return once all are connected."""
        deadline = time.monotonic() + timeout_s
        while not (self._folder / "ready").exists():
            if not self._process.alive or time.monotonic() > deadline:
                raise SystemExit(f"the honest charge points did not come in:\n{end_of(self._output)}")
            time.sleep(0.05)

    def finish(self) -> Log:
        """End their work; what they went through."""
        self._process.signal_leader(signal.SIGTERM)
        if not self._process.wait(90):
            raise SystemExit(f"the honest charge points did not end:\n{end_of(self._output)}")
        said = json.loads((self._folder / "log.json").read_text())
        return Log(**{field.name: said[field.name] for field in fields(Log)})

    def release(self) -> None:
        self._process.release()
