"""The way in: from a request to its verdict, and, for one that flaps, a wait before the upgrade."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol

from contracts.broker import Delivery
from contracts.envelope import AdmissionNotice, AdmissionVerdict
from contracts.process.settings import Registration
from contracts.tracing import Span
from gateway import credentials_shown, handshake, metrics, security
from gateway.admission import Admissions
from gateway.admission_settings import Authentication
from gateway.buckets import Bucket, Buckets
from gateway.clock import Clock
from gateway.connection import Connection
from gateway.credentials_shown import Shown
from gateway.failures import BackOff, Failures
from gateway.flapping import Flapping
from gateway.frames import Phase
from gateway.handshake import Accepted, Refused
from gateway.peer import Request
from gateway.security import LetIn, Policy
from gateway.settings import GatewaySettings
from gateway.sources import source_of
from gateway.tolerances import Tolerance
from gateway.tracing import Traces

MOST_SOURCES = 20_000
BURST_S = 2.0

RECHECKS_PER_TICK = 20
"""Sessions whose record is asked for anew: a change of all of them must not crowd out those who come in."""
NO_LONGER = 1008
"""Close code of a session that its charge point's record does not allow any more."""


class Door(Protocol):
    """What the edge does for it."""

    def unavailable(self, identity: str) -> Refused | None: ...
    def refuse(self, connection: Connection, refused: Refused, **who: str) -> None: ...
    def open(self, connection: Connection, accepted: Accepted, let_in: LetIn) -> bool: ...
    def held(self, connection: Connection) -> None: ...
    def session_of(self, identity: str) -> tuple[Connection, LetIn] | None: ...
    def identities(self) -> Iterable[str]: ...


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request whose path and version are in order."""

    connection: Connection
    accepted: Accepted
    request: Request
    source: str
    shown: Shown | None


_Then = Callable[[_Arrival, LetIn], None]


class Admitting:
    """Judges requests; each ends in `open` or `refuse`, or with its connection."""

    def __init__(self, settings: GatewaySettings, clock: Clock, door: Door, traces: Traces | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._door = door
        self._traces = traces
        self._spans: dict[Connection, Span] = {}
        """Of the handshakes that are recorded."""
        self.admissions = Admissions(
            settings.gateway_id,
            timeout=settings.admission_timeout_seconds,
            fresh=settings.admission_cache_seconds,
            stale=settings.admission_stale_seconds,
            most_known=2 * settings.max_connections,
        )
        self._open_to_all = settings.authentication is Authentication.OFF
        self._policy = Policy(
            min_profile=settings.min_security_profile,
            registration_open=settings.registration is Registration.OPEN,
            certificate_organization=settings.client_cert_organization,
            hex_password_literal=Tolerance.HEX_PASSWORD_LITERAL in settings.tolerances,
        )
        rate, of_source = settings.handshakes_per_second, settings.handshakes_per_second_per_address
        self._proxies = settings.known_proxies
        self._rate = Bucket(rate, max(1.0, BURST_S * rate))
        self._sources: Buckets[str] = Buckets(of_source, max(1.0, BURST_S * of_source), MOST_SOURCES)
        self._failures = Failures(
            BackOff(
                settings.failed_auth_first_seconds,
                settings.failed_auth_most_seconds,
                settings.failed_auth_half_life_seconds,
                settings.failed_auth_per_identity,
                settings.failed_auth_per_address,
            )
        )
        self._flapping: Flapping[Connection] = Flapping(settings.reconnects_per_minute, settings.flap_delay_seconds)
        self._waiting: dict[Connection, Callable[[], None]] = {}
        self._recheck: dict[str, None] = {}

    def requested(self, connection: Connection, request: Request) -> None:
        """A charge point asks to come in. The limits come first: they cost the least."""
        now = self._clock.now()
        if self._traces is not None and (span := self._traces.requested(request)) is not None:
            self._spans[connection] = span
        source = source_of(request.peer.address)
        path = request.path.partition("?")[0][:200]
        # as in the crowd of those that are opening: behind a proxy that tells nothing, they are not told apart
        if not self._proxies.listed(request.peer.address) and not self._sources.take(source, now):
            self._turn_away(connection, handshake.ADDRESS_RATE, path=path)
        elif not self._rate.take(now):
            self._turn_away(connection, handshake.RATE, path=path)
        else:
            verdict = handshake.decide(
                request.path,
                request.subprotocols,
                self._settings.endpoint_path,
                self._settings.tolerances,
                request.websocket_version,
            )
            if isinstance(verdict, Refused):
                self._turn_away(connection, verdict, path=path)
                return
            shown = credentials_shown.read(request.authorization)
            self._look_up(_Arrival(connection, verdict, request, source, shown), now)

    def gone(self, connection: Connection) -> None:
        """It is no longer in handshake."""
        if (span := self._spans.pop(connection, None)) is not None:
            span.attributes["ocpp.outcome"] = "gone"
            span.end("gone")
        self._flapping.discard(connection)
        self._waiting.pop(connection, None)

    def changed(self, delivery: Delivery) -> None:
        """A record, or all of them, have changed: sessions must still be what it asks for."""
        change = self.admissions.changed(delivery)
        if change is None or self._open_to_all:
            return
        identities = self._door.identities() if change.identity is None else (change.identity,)
        self._recheck |= dict.fromkeys(one for one in identities if self._door.session_of(one) is not None)

    def tick(self, now: float) -> None:
        """Answer those that were held, and give up on lookups that take too long."""
        self.admissions.tick(now)
        if (link := self.admissions.link) is not None and link.up:
            for identity in tuple(islice(self._recheck, RECHECKS_PER_TICK)):
                del self._recheck[identity]
                if self._door.session_of(identity) is not None:
                    self.admissions.ask(identity, partial(self._judge_again, identity), now)
        for connection in self._flapping.due(now):
            if (answer := self._waiting.pop(connection, None)) is not None:
                answer()

    # inner workings

    def _look_up(self, arrival: _Arrival, now: float) -> None:
        identity = arrival.accepted.identity
        unavailable = self._door.unavailable(identity) or self._backing_off(arrival, now)
        if unavailable is not None:
            self._refuse(arrival, unavailable)
        else:
            self._ask(arrival, self._let_in)

    def _ask(self, arrival: _Arrival, then: _Then) -> None:
        if self._open_to_all:
            then(arrival, LetIn())
        else:
            identity = arrival.accepted.identity
            self.admissions.ask(identity, partial(self._judge, arrival, then), self._clock.now())

    def _judge(self, arrival: _Arrival, then: _Then, record: AdmissionVerdict | None) -> None:
        now, identity = self._clock.now(), arrival.accepted.identity
        if record is None:
            self._refuse(arrival, handshake.UNDECIDED)
            return
        # again: many may have been waiting for the record, each with a guess
        backing_off = self._backing_off(arrival, now)
        if backing_off is not None:
            self._refuse(arrival, backing_off)
            return
        verdict = security.judge(record, arrival.accepted.version, arrival.request.peer, arrival.shown, self._policy)
        if isinstance(verdict, Refused):
            if verdict is security.WRONG:
                self._failures.failed(identity, arrival.source, now)
            self._refuse(arrival, verdict)
            return
        if verdict.authenticated:
            self._failures.succeeded(identity, arrival.source)
        then(arrival, verdict)

    def _judge_again(self, identity: str, record: AdmissionVerdict | None) -> None:
        """Of one that is in: it stays while nobody can say, and is asked about again."""
        held = self._door.session_of(identity)
        if held is None:
            return
        if record is None:
            self._recheck[identity] = None
            return
        connection, let_in = held
        if not security.still_good(record, let_in, connection.peer, self._policy):
            metrics.NO_LONGER.inc()
            connection.close(NO_LONGER, "no longer let in")

    def _backing_off(self, arrival: _Arrival, now: float) -> Refused | None:
        """Passwords are not looked at for a while; a certificate is not a thing to guess."""
        peer = arrival.request.peer
        if arrival.shown is None or peer.certificate is not None:
            return None
        seconds = self._failures.wait(arrival.accepted.identity, arrival.source, now)
        return replace(handshake.BACKING_OFF, wait=seconds) if seconds > 0 else None

    def _let_in(self, arrival: _Arrival, let_in: LetIn) -> None:
        connection, identity, now = arrival.connection, arrival.accepted.identity, self._clock.now()
        if self._flapping.passes(identity, now):
            self._open(arrival, let_in)
            return
        if connection.phase is not Phase.VERDICT:
            return
        metrics.FLAPPING.inc()
        older = self._flapping.hold(identity, connection, now)
        # asked for again then: its record may change while it waits
        self._waiting[connection] = partial(self._ask, arrival, self._open)
        self._door.held(connection)
        if older is not None:
            self._waiting.pop(older, None)
            self._turn_away(older, handshake.SUPERSEDED, identity=identity)

    def _open(self, arrival: _Arrival, let_in: LetIn) -> None:
        identity, connection = arrival.accepted.identity, arrival.connection
        span = self._spans.pop(connection, None)
        opened = self._door.open(connection, arrival.accepted, let_in)
        if self._traces is not None and span is not None:
            self._traces.opened(span, connection.session if opened else None)
        if not opened or not let_in.needs_notice:
            return
        self.admissions.tell(
            AdmissionNotice(
                identity=identity,
                gateway=self._settings.gateway_id,
                profile=let_in.profile,
                at_ms=self._clock.wall_ms(self._clock.now()),
                key_id=let_in.key_id,
            )
        )

    def _turn_away(self, connection: Connection, refused: Refused, **who: str) -> None:
        if (span := self._spans.pop(connection, None)) is not None:
            span.attributes["ocpp.outcome"] = refused.reason
            span.end()
        self._door.refuse(connection, refused, **who)

    def _refuse(self, arrival: _Arrival, refused: Refused) -> None:
        self._turn_away(arrival.connection, refused, identity=arrival.accepted.identity)
