"""Opening a charge point's websocket."""

import ssl
from base64 import b64encode
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from loadtest.credentials import Credentials
from loadtest.settings import LinkSettings


class ConnectFailed(Exception):  # noqa: N818 - it is an outcome of every reconnection, not a defect
    """No connection; `reason` is short and countable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def charge_point_url(url: str, identity: str) -> str:
    """Join the endpoint and the percent-encoded identity (OCPP-J 1.6, 3.1.1)."""
    return f"{url.rstrip('/')}/{quote(identity, safe='')}"


async def open_connection(
    identity: str, subprotocol: str, credentials: Credentials, settings: LinkSettings
) -> ClientConnection:
    """Connect with what the security profile demands, and agree on the subprotocol.

    Raises:
        ConnectFailed: refused, unreachable, too slow, or the server chose another subprotocol.

    """
    headers = {}
    password = credentials.shown_password
    if password is not None:
        # Bytes, not text: an AuthorizationKey is hexadecimal for bytes that need not be UTF-8.
        token = b64encode(identity.encode() + b":" + password).decode("ascii")
        headers["Authorization"] = f"Basic {token}"
    options: dict[str, Any] = {} if settings.source_address is None else {"local_addr": (settings.source_address, 0)}
    try:
        context = credentials.tls()
        if context is not None:
            options["ssl"] = context
        connection = await connect(
            charge_point_url(credentials.url, identity),
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=settings.open_timeout_s,
            close_timeout=settings.close_timeout_s,
            ping_interval=settings.ping_interval_s,
            ping_timeout=settings.call_timeout_s,
            **options,
        )
    except InvalidStatus as refusal:
        raise ConnectFailed(f"HTTP {refusal.response.status_code}") from refusal
    except InvalidURI as error:
        raise ConnectFailed("bad url") from error
    except InvalidHandshake as error:
        raise ConnectFailed("handshake") from error
    except TimeoutError as error:
        raise ConnectFailed("timeout") from error
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed("untrusted server") from error
    except ssl.SSLError as error:
        raise ConnectFailed("tls") from error
    except (OSError, EOFError) as error:
        raise ConnectFailed("unreachable") from error
    if connection.subprotocol != subprotocol:
        await connection.close(1002)
        raise ConnectFailed("subprotocol")
    return connection
