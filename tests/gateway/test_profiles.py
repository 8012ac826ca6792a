"""The whole table of security profiles over real sockets, plain and TLS, with real certificates."""

import ssl
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from contracts.credentials import StoredKey
from contracts.envelope import AdmissionVerdict
from tests.gateway.test_security import SECRET, TABLE
from tests.support.certificates import DAY, Authority

KEY = StoredKey.of(SECRET)
SHOWN: dict[str, Callable[[str], bytes | None]] = {
    "no Basic": lambda _: None,
    "right": lambda identity: identity.encode() + b":" + SECRET,
    "wrong": lambda identity: identity.encode() + b":another password of it",
    "other name": lambda _: b"CP-77:" + SECRET,
    "unreadable": lambda _: b"no colon",
}


class Wallet:
    """An authority, the gateway's files, and a client's context for each kind of peer of the table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        root = Authority()
        self._root = root.write(folder)
        certificate, key = root.server("localhost").write(folder, "server")
        self.settings = {
            "tls_listen_host": "127.0.0.1",
            "tls_listen_port": 0,
            "tls_cert_files": str(certificate),
            "tls_key_files": str(key),
            "tls_client_ca_file": str(self._root),
        }
        # one certificate for all profiles: their identities are its alternative names
        names = [f"CP-{profile}" for profile in TABLE]
        expired = root.client("SN-1", names=names, starts=timedelta(days=-9), ends=-DAY)
        self.contexts = {
            "plain": None,
            "TLS": self._context(),
            "its certificate": self._context(root.client("SN-1", names=names).write(folder, "own")),
            "a foreign certificate": self._context(root.client("CP-99").write(folder, "foreign")),
            "an expired certificate": self._context(expired.write(folder, "old")),
        }

    def _context(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._root))
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return Wallet(tmp_path_factory.mktemp("certificates"))


async def meets(gateway: Any, identity: str, context: ssl.SSLContext | None, shown: bytes | None) -> str:
    """What a charge point meets: the profile of its session, or the status of its refusal and whether it challenges."""
    port, scheme = (gateway.port, "ws") if context is None else (gateway.tls_port, "wss")
    headers = None if shown is None else {"Authorization": f"Basic {b64encode(shown).decode()}"}
    try:
        async with connect(
            f"{scheme}://127.0.0.1:{port}/ocpp/{identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=headers,
            ssl=context,
            server_hostname=None if context is None else "localhost",
            ping_interval=None,
            proxy=None,
        ):
            return f"profile {gateway.edge.registry.of_identity(identity).session.profile}"
    except InvalidStatus as refused:
        response = refused.response
        return f"{response.status_code}{' challenge' if 'WWW-Authenticate' in response.headers else ''}"


def met_by(outcome: str) -> str:
    """The same of an outcome in the table."""
    if outcome.startswith("profile"):
        return outcome
    return "401 challenge" if outcome.startswith("401") else outcome[:3]


@pytest.mark.parametrize("peer", ["plain", "TLS", "its certificate", "a foreign certificate", "an expired certificate"])
async def test_every_profile_against_everything_that_can_be_shown(edge_alone, wallet, peer):
    gateway, link = await edge_alone(
        authentication="on", registration="closed", failed_auth_first_seconds=0, **wallet.settings
    )
    link.records = {
        f"CP-{profile}": AdmissionVerdict(f"CP-{profile}", known=True, profile=profile, keys=(KEY.encode(),))
        for profile in TABLE
    }
    met, expected = {}, {}
    for profile, peers in TABLE.items():
        for basic, outcome in peers[peer].items():
            identity = f"CP-{profile}"
            shown = SHOWN[basic](identity)
            met[profile, basic] = await meets(gateway, identity, wallet.contexts[peer], shown)
            expected[profile, basic] = met_by(outcome)
    assert met == expected
    assert await meets(gateway, "CP-9", wallet.contexts[peer], b"CP-9:" + SECRET) == "404"
