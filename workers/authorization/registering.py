"""BootNotification and Heartbeat."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime

from contracts.events import ChargePointBooted
from contracts.process.settings import Registration
from contracts.versions import ErrorKind
from workers.authorization.boot_decision import (
    boot_reply,
    facts_of,
    is_anothers_certificate,
    jittered,
    registration_of,
)
from workers.authorization.initial_configuration import configure_accepted
from workers.runtime.calls import Answer, IncomingCall, Refusal, Reply, refused
from workers.runtime.reading import write_time
from workers.settings import WorkerSettings
from workers.store import outbox, registration
from workers.store.engine import StoreTransaction


class Registering:
    """The handlers of who may be here."""

    def __init__(self, settings: WorkerSettings, chance: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._chance = chance
        self._told_at: datetime | None = None
        self._time = Answer()

    async def boot(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Decide by the rules, store what was told, push the initial configuration once accepted."""
        facts = facts_of(call.version, call.payload)
        # An empty vendor is met in the field and told apart from none: without any, it is no BootNotification.
        if facts["vendor"] is None or facts["model"] is None:
            return refused(call, ErrorKind.OCCURRENCE, "vendor and model are required")
        if call.version.is_2x and is_anothers_certificate(call.certificate_name, call.identity, facts["serial_number"]):
            return Refusal(ErrorKind.SECURITY, "the certificate is another charge point's", close=True)
        known, fixed = await registration.fixed(store, call.identity)
        if known or self._settings.registration is Registration.OPEN:
            registered = fixed or registration_of(await registration.rules(store), call.identity, facts)
            stored = {
                **facts,
                "registration": registered,
                "ocpp_version": call.version.value,
                "booted_at": call.received_at,
            }
            if await registration.record_boot(store, call.identity, stored, call.handled_at):
                _tell(call, facts, registered, store)
        else:
            registered = "rejected"  # a gateway asks before it lets anyone in: this one slipped through
        if registered == "accepted":
            await configure_accepted(call, facts, store)
        return Answer(
            boot_reply(
                registered,
                call.handled_at,
                interval_s=self._spread(self._settings.heartbeat_interval_seconds),
                retry_s=self._spread(self._settings.boot_retry_interval_seconds),
            )
        )

    def _spread(self, seconds: int) -> int:
        return jittered(seconds, self._settings.interval_jitter, self._chance())

    async def heartbeat(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """The time, by which charge points set their clocks."""
        registration.record_heartbeat(store, call.identity, call.received_at)
        if self._told_at is not call.handled_at:  # the same for all Calls of a batch
            self._told_at, self._time = call.handled_at, Answer({"currentTime": write_time(call.handled_at)})
        return self._time


def _tell(call: IncomingCall, facts: Mapping[str, str | None], registered: str, store: StoreTransaction) -> None:
    data = ChargePointBooted(
        registration=registered,
        ocpp_version=call.version.value,
        vendor=facts["vendor"],
        model=facts["model"],
        serial_number=facts.get("serial_number"),
        firmware_version=facts.get("firmware_version"),
        reason=facts.get("boot_reason"),
    )
    outbox.emit(store, call.identity, data, occurred_at=call.received_at, now=call.handled_at)
