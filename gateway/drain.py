"""Leaving in good order: finish what is in flight, close sockets at a pace, be gone within the grace time."""

import asyncio
from collections.abc import Iterable

import structlog

from gateway.connection import Connection
from gateway.edge import Edge

GOING_AWAY = 1001
STEP_S = 0.05
FINISH_SHARE, GONE_SHARE, SETTLE_SHARE = 0.85, 0.92, 0.04
"""Of the grace time: until then Calls may finish, then sockets must be gone; and how long the broker may take then.

What is left is for the broker's connection and the monitor's port.
"""


def closes_due(sessions: int, seconds_left: float, pace: float, step: float) -> float:
    """How many sockets to close in this step: at the pace, or faster when the time left would not do."""
    needed = sessions / max(seconds_left, step)
    return max(pace, needed) * step


async def drain(edge: Edge) -> None:
    """Close all sessions with 1001; returns when they are gone, or when the grace time is nearly over.

    Idle sessions go first. One with something in flight waits for it until the time is nearly up. So does billing data
    that has lost its session, for a broker that comes back in time.
    """
    settings = edge.settings
    log = structlog.get_logger()
    loop = asyncio.get_running_loop()
    began = loop.time()
    finish_by = began + settings.drain_grace_seconds * FINISH_SHARE
    gone_by = began + settings.drain_grace_seconds * GONE_SHARE
    log.info("drain.begun", sessions=len(edge.registry), in_flight=len(edge.relay))
    edge.begin_drain()
    budget = 0.0
    while len(edge.registry) and loop.time() < finish_by:
        left = finish_by - loop.time()
        budget = min(budget, 1.0) + closes_due(len(edge.registry), left, settings.drain_closes_per_second, STEP_S)
        budget -= _close_some(edge.registry, int(budget), idle_only=True)
        await asyncio.sleep(STEP_S)
    unfinished = _close_some(edge.registry, len(edge.registry), idle_only=False)
    edge.abort_handshakes()
    while (edge.sockets or edge.relay.holds_unsafe()) and loop.time() < gone_by:  # noqa: ASYNC110 - a poll for seconds
        await asyncio.sleep(STEP_S)
    log.info("drain.done", seconds=round(loop.time() - began, 2), closed_unfinished=unfinished, sockets=edge.sockets)


def _close_some(connections: Iterable[Connection], most: int, *, idle_only: bool) -> int:
    closed = 0
    for connection in connections:
        if closed >= most:
            break
        if connection.session is not None and (connection.session.idle or not idle_only):
            connection.close(GOING_AWAY, "gateway is shutting down")
            closed += 1
    return closed
