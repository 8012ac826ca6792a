"""The edge of the gateway: joins sockets, sessions and relay, carries out effects, and keeps the time for all."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from math import ceil

from contracts.envelope import CommandEnvelope, ReplyEnvelope
from contracts.frame_log import Direction
from contracts.tracing import Tracing
from gateway import handshake, metrics
from gateway.admitting import Admitting
from gateway.announcements import Announcements
from gateway.clock import Clock
from gateway.commands import Command
from gateway.connection import Connection
from gateway.crowd import Crowd
from gateway.deadlines import Delay, Rounds, SessionDeadlines
from gateway.dispatch import Dispatch
from gateway.effects import Abandon, Effect, Outcome, Settled, Transmit
from gateway.effects import Relay as RelayEffect
from gateway.frame_log import FrameLog
from gateway.handshake import Accepted, Refused
from gateway.journal import Journal
from gateway.outcomes import Outcomes
from gateway.pace import PaceRules
from gateway.pacing import Pacing
from gateway.peer import Request
from gateway.registry import Registry
from gateway.relay import Relay
from gateway.security import LetIn
from gateway.session import Session
from gateway.session_rules import rules_of
from gateway.settings import GatewaySettings
from gateway.signed_messages import Signatures
from gateway.sources import source_of
from gateway.takeover import Takeover
from gateway.tracing import Traces

REPLACED = 1008
"""Close code of a socket whose charge point has connected anew: a policy of ours, not an error of its own."""

ENDED = 1008
"""Close code of a session that a worker wants ended, once it has its answer."""

_SPARE_SOCKETS = 100


class Edge:
    """Everything of one gateway process except its sockets' listener and its broker link."""

    def __init__(self, settings: GatewaySettings, clock: Clock, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.max_frame_bytes = settings.max_frame_bytes
        self.write_buffer_bytes = settings.write_buffer_bytes
        self.compression = settings.compression
        self.draining = False
        self.turnover = 0
        """How many TCP connections have been opened, or have ended."""
        self.registry: Registry[Connection] = Registry()
        self.relay = Relay(
            settings.gateway_id, self, clock, window_calls=settings.window_calls, window_bytes=settings.window_bytes
        )
        self.outcomes = Outcomes(settings.outcomes_kept)
        self._traces = None if tracing is None else Traces(tracing, clock)
        self.admitting = Admitting(settings, clock, self, self._traces)
        self.announcements = Announcements(
            settings.gateway_id,
            clock,
            self.registry,
            heartbeat_s=settings.heartbeat_seconds,
            most_closed=2 * settings.max_connections,
        )
        self.frame_log = FrameLog(settings, clock)
        self.takeover = Takeover(settings.gateway_id, self.registry, self.announcements, _replaced)
        self.dispatch = Dispatch(settings.gateway_id, clock, self.outcomes, self._find, self._offer, self._traces)
        self._rules = rules_of(settings)
        self._deadlines: SessionDeadlines[Connection] = SessionDeadlines()
        self._handshakes: Delay[Connection] = Delay(settings.handshake_timeout_seconds)
        self._closings: Delay[Connection] = Delay(settings.close_timeout_seconds)
        interval = settings.ping_interval_seconds
        self._rounds: Rounds[Connection] | None = Rounds(interval, clock.now()) if interval else None
        self._proxies = settings.known_proxies
        self._crowd = Crowd(settings.open_handshakes, settings.open_handshakes_per_address)
        self._pacing = Pacing(
            PaceRules(settings.frames_per_second, settings.bytes_per_second), settings.throttled_close_seconds
        )
        self._waiting_for_room: dict[Connection, None] = {}
        self._journal = Journal()
        metrics.CONNECTIONS_LIMIT.set(settings.max_connections)
        metrics.WINDOW_LIMIT.set(settings.window_calls)

    def everyone(self) -> Iterator[Connection]:
        """Every TCP connection."""
        yield from self._handshakes
        yield from self.registry
        yield from self._closings

    # what the process shows

    @property
    def sockets(self) -> int:
        """All TCP connections: in handshake, open, closing."""
        return len(self._crowd) + len(self.registry) + len(self._closings)

    def unavailable(self, identity: str) -> Refused | None:
        """Why this process takes no session of this identity just now."""
        if self.draining:
            return handshake.DRAINING
        link = self.relay.link
        if link is None or not link.up or link.blocked:
            return handshake.BROKER_AWAY
        # one that replaces its own older socket, perhaps a dead one, takes no more room
        if len(self.registry) >= self.settings.max_connections and self.registry.of_identity(identity) is None:
            return handshake.FULL
        return None

    # Front: from connections

    @property
    def accepting(self) -> bool:
        return self.relay.accepting

    def arrived(self, address: str) -> bool:
        """A TCP connection was accepted, nothing read; False when there are too many to even refuse it politely."""
        if self.sockets >= self.settings.max_connections + _SPARE_SOCKETS:
            metrics.REJECTED.labels("too_many_sockets").inc()
            return False
        # many charge points come by way of a proxy: those are told apart once they are known, by their rate
        reason = self._crowd.arrived("" if self._proxies.listed(address) else source_of(address))
        if reason is not None:
            metrics.REJECTED.labels(reason).inc()
        return reason is None

    def settled(self, address: str) -> None:
        """The opening of a connection that `arrived` is over: it is a session, refused, or gone."""
        self.turnover += 1
        self._crowd.settled("" if self._proxies.listed(address) else source_of(address))

    def connected(self, connection: Connection) -> None:
        """The request of a connection that `arrived` is awaited: TLS, if any, is done."""
        self._handshakes.add(connection, self.clock.now())

    def requested(self, connection: Connection, request: Request) -> None:
        self.admitting.requested(connection, request)

    def refused(self, refused: Refused) -> dict[str, str]:
        """A handshake is being refused: headers to add."""
        metrics.REJECTED.labels(refused.reason).inc()
        headers = dict(refused.headers)
        if refused.retry_later:
            seconds = self.settings.retry_after_seconds if refused.wait is None else max(1, ceil(refused.wait))
            headers["Retry-After"] = str(seconds + random.randint(0, seconds))  # noqa: S311 - spreads the herd
        return headers

    def frame_read(self, connection: Connection, size: int, *, whole: bool) -> None:
        pace = None if connection.session is None else connection.session.pace
        if pace is not None and (limit := pace.charge(size, self.clock.now(), whole=whole)) is not None:
            self._pacing.throttle(connection, limit)

    def text_received(self, connection: Connection, session: Session, frame: bytes) -> None:
        now = self.clock.now()
        self._journal.tallies[session.version].received += 1
        if session.logged:
            self.frame_log.record(session, Direction.IN, frame, now)
        self._perform(connection, session, session.frame_received(frame, now))

    def wait_for_room(self, connection: Connection) -> None:
        self._waiting_for_room[connection] = None

    def closing(self, connection: Connection) -> None:
        """The close handshake has begun: for everybody else the session is over."""
        self._opening_over(connection)
        self._closings.add(connection, self.clock.now())
        self._end_session(connection)

    def lost(self, connection: Connection) -> None:
        """The TCP connection is gone."""
        self.turnover += 1
        self._opening_over(connection)
        self._closings.discard(connection)
        self._end_session(connection)
        if connection.session is not None:
            self._journal.lost(connection.session, *connection.farewell, self.clock.now())

    # Receiver: from the relay

    def replied(self, owner: object, number: int, reply: ReplyEnvelope) -> None:
        connection, session = _held(owner)
        if session is not None:
            self._perform(connection, session, session.reply_received(number, reply, self.clock.now()))
            if reply.close:
                connection.close(ENDED, "ended by the operator")
            connection.resume()

    def unroutable(self, owner: object, number: int) -> None:
        connection, session = _held(owner)
        if session is not None:
            self._perform(connection, session, session.unroutable(number, self.clock.now()))
            connection.resume()

    def relay_failed(self, owner: object, number: int) -> None:
        connection, session = _held(owner)
        if session is not None:
            self._perform(connection, session, session.relay_failed(number, self.clock.now()))
            connection.resume()

    def send_settled(self, owner: object) -> None:
        connection, session = _held(owner)
        if session is not None:
            session.send_settled()
            connection.resume()

    def room_again(self) -> None:
        # later: the relay is in the middle of something
        asyncio.get_running_loop().call_soon(self._resume_waiting)

    # from time and the drain

    def tick(self) -> None:
        """Everything that waits for time; to be called a few times per second."""
        self.clock.synchronise()
        now = self.clock.now()
        for session, connection in self._deadlines.due(now):
            self._perform(connection, session, session.tick(now))
            connection.resume()
        for connection in self._handshakes.due(now):
            metrics.REJECTED.labels("handshake_timeout").inc()
            connection.abort("handshake timeout")
        for connection in self._closings.due(now):
            connection.abort("close timeout")
        if self._rounds is not None:
            for connection in self._rounds.visit(now):
                connection.keepalive(self.settings.missed_pings)
        self.relay.tick(now)
        self.outcomes.tick()
        self.admitting.tick(now)
        self._pacing.tick(now)
        self.announcements.tick(now)
        gauges = (
            (metrics.WINDOW, len(self.relay)),
            (metrics.WINDOW_BYTES, self.relay.size_bytes),
            (metrics.PAUSED, len(self._waiting_for_room)),
            (metrics.ANNOUNCEMENT_LAG, self.announcements.lag_s(now)),
        )
        self._journal.tick(gauges)

    def begin_drain(self) -> None:
        """Take no new sessions, Calls or commands; what is in flight goes on."""
        self.draining = True
        metrics.DRAINING.set(1)
        for connection in self.registry:
            if connection.session is not None:
                self._perform(connection, connection.session, connection.session.drain())
                connection.resume()

    def abort_handshakes(self) -> None:
        """End the connections that are no sessions yet."""
        for connection in self._handshakes:
            connection.abort("gateway is shutting down")

    # Door: from the admission

    def refuse(self, connection: Connection, refused: Refused, **who: str) -> None:
        """Answer with an HTTP error, unless the connection has ended already."""
        if connection.refuse(refused):
            self._journal.refused(refused, connection.remote, self.clock.now(), **who)

    def held(self, connection: Connection) -> None:
        """The answer is put off by us: the time for the handshake starts anew."""
        self._handshakes.add(connection, self.clock.now())

    def session_of(self, identity: str) -> tuple[Connection, LetIn] | None:
        """An identity's session, and what it was let in with."""
        connection = self.registry.of_identity(identity)
        session = None if connection is None else connection.session
        if connection is None or session is None:
            return None
        return connection, LetIn(session.profile, session.key_id, session.certificate_name)

    def identities(self) -> Iterator[str]:
        """Of all sessions."""
        return (connection.session.identity for connection in self.registry if connection.session is not None)

    def open(self, connection: Connection, accepted: Accepted, let_in: LetIn) -> bool:
        """Make it a session; False when it is none after all."""
        unavailable = self.unavailable(accepted.identity)
        if unavailable is not None:
            self.refuse(connection, unavailable, identity=accepted.identity)
            return False
        if connection.peer_left:
            # It may have waited for us in vain, and be connected elsewhere: which this would replace.
            metrics.REJECTED.labels("peer_left").inc()
            connection.abort("peer left")
            return False
        if not connection.upgrade(accepted):
            return False
        for rule in (*accepted.tolerated, *let_in.tolerated):
            metrics.TOLERATED.labels(rule.value).inc()
        self._opening_over(connection)
        now, record = self.clock.now(), let_in.record
        session = Session(
            accepted.identity,
            accepted.version,
            self.registry.new_session_id(),
            self.registry.next_epoch(self.clock.wall_ms(now)),
            self._rules,
            vendor=record.vendor,
            model=record.model,
            signatures=Signatures.of(record.message_policy, record.message_keys),
        )
        session.opened_at = now
        session.logged = self.frame_log.selects(session.identity)
        session.profile, session.certificate_name = let_in.profile, let_in.certificate_name
        session.key_id = let_in.key_id
        session.pace = self._pacing.new()
        connection.session = session
        older = self.registry.add(connection, session)
        if self._rounds is not None:
            self._rounds.add(connection)
        remote = connection.remote
        self._journal.opened(session, remote)
        self.announcements.opened(session, remote)
        if older is not None:
            _replaced(older)
        connection.begin()
        return True

    # inner workings

    def _opening_over(self, connection: Connection) -> None:
        self._handshakes.discard(connection)
        self.admitting.gone(connection)

    def _end_session(self, connection: Connection) -> None:
        session = connection.session
        self._waiting_for_room.pop(connection, None)
        self._pacing.discard(connection)
        if session is None or session.closed:
            return
        if self._rounds is not None:
            self._rounds.discard(connection)
        self.registry.remove(session)
        self._journal.ended(session)
        self._perform(connection, session, session.close(self.clock.now()))
        self.announcements.closed(session, *connection.farewell)

    def _perform(self, connection: Connection, session: Session, effects: Iterable[Effect]) -> None:
        tally, traces, written = self._journal.tallies[session.version], self._traces, False
        for effect in effects:
            if isinstance(effect, Transmit):
                tally.sent += 1
                written = connection.transmit(effect.frame)
                if written and session.logged:
                    self.frame_log.record(session, Direction.OUT, effect.frame, self.clock.now())
            elif isinstance(effect, RelayEffect):
                tally.calls += 1
                self.announcements.spoken(session)
                span = None if traces is None else traces.begun(session, effect)
                self.relay.take(session, effect, connection, span)
            elif isinstance(effect, Settled):
                self._journal.settled(session, effect, self.clock.now())
                if traces is not None:
                    traces.settled(session, effect, written=written)
            elif isinstance(effect, Abandon):
                self.relay.abandon(session.session_id, effect.number)
            elif isinstance(effect, Outcome):
                self.dispatch.ended(session, effect)
            else:
                self._journal.noticed(session, effect, self.clock.now())
        if session.deadline() < session.scheduled:
            self._deadlines.note(session, connection)

    def _resume_waiting(self) -> None:
        while self._waiting_for_room and self.relay.accepting:
            connection = next(iter(self._waiting_for_room))
            del self._waiting_for_room[connection]
            connection.resume()

    def _find(self, command: CommandEnvelope) -> Session | None:
        connection = self.registry.of_identity(command.identity)
        session = None if connection is None else connection.session
        if session is None or command.session not in {None, session.session_id}:
            return None
        return session

    def _offer(self, session: Session, command: Command) -> None:
        connection = self.registry.of_session(session.session_id)
        if connection is not None:
            self._perform(connection, session, session.command_received(command, self.clock.now()))


def _replaced(connection: Connection) -> None:
    connection.close(REPLACED, "replaced by a newer connection")


def _held(owner: object) -> tuple[Connection, Session | None]:
    assert isinstance(owner, Connection)  # noqa: S101 - the edge gives nothing else to the relay
    return owner, owner.session
