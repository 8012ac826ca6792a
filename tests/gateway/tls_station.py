"""TLS ends of sockets, as charge points and others hold them."""

import asyncio
import ssl
from typing import Any

from gateway import metrics
from gateway.app import Gateway
from tests.gateway.station import OPENED, head_of, upgrade_request

TLS12 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS13 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


async def dial(gateway: Gateway, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection; a fixture ends it."""
    assert gateway.tls_port
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.tls_port, ssl=context, server_hostname="localhost"
    )
    OPENED.append(writer)
    return reader, writer


async def secured(
    gateway: Gateway, context: ssl.SSLContext, identity: str = "CP-1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A session over TLS."""
    reader, writer = await dial(gateway, context)
    writer.write(upgrade_request(f"/ocpp/{identity}"))
    assert (await head_of(reader))[0] == 101
    return reader, writer


async def half_open(gateway: Gateway, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the TLS port that stops before TLS."""
    assert gateway.tls_port
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.tls_port)
    OPENED.append(writer)
    writer.write(data)
    return reader, writer


def peer_of(gateway: Gateway) -> Any:
    """What is known of the only session's charge point."""
    (connection,) = gateway.edge.registry
    return connection.peer


def failed(reason: str) -> float:
    value: float = metrics.TLS_FAILED.labels(reason)._value.get()
    return value
