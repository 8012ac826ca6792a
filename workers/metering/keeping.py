"""What all metering handlers do with what they read: samples stored, oddities counted, the rest parked for repair."""

from collections.abc import Iterable, Sequence

from workers import metrics
from workers.metering import ocmf
from workers.metering.measuring import Measured
from workers.runtime.calls import IncomingCall
from workers.store import samples
from workers.store.engine import StoreTransaction
from workers.store.meter_keys import MeterKey
from workers.store.parking import digest, park
from workers.store.samples import Sample

MOST_JUDGED = 50
"""Signatures of one message; charge points send one or two, or those of a whole transaction at its end."""

TOO_MANY = "too_many"


def keep_samples(call: IncomingCall, store: StoreTransaction, measured: Measured, *, only: bool = False) -> None:
    """Have the samples written with the batch; a message that holds something unreadable is parked as well.

    So is an invalid one of which samples are the `only` trace, when it has none.
    """
    samples.record(store, measured.samples, now=call.handled_at, judge=SignatureJudge())
    for sample in measured.samples:
        if sample.flags:
            count_flags(sample.flags.split())
    if measured.unreadable or (only and call.violation is not None and not measured.samples):
        park_call(call, store, "samples_unreadable", digest(call.action, call.payload))


class SignatureJudge:
    """Says what the signatures of one message are worth: a word for each sample's row, and the metric.

    It never costs us the sample. Beyond MOST_JUDGED of a message the word is `too_many`: verifying takes time.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_JUDGED

    def __call__(self, sample: Sample, keys: Sequence[MeterKey]) -> str:
        result = TOO_MANY
        if self._left:
            self._left -= 1
            result = ocmf.judge(sample.raw_value, sample.signed_value, keys).value
        metrics.signed_samples.labels(result).inc()
        return result


def park_call(call: IncomingCall, store: StoreTransaction, reason: str, key: str, reference: str = "") -> None:
    """Keep the payload for repair, once per reason and key."""
    park(
        store,
        identity=call.identity,
        ocpp_version=call.version.value,
        action=call.action,
        reason=reason,
        payload=call.payload,
        received_at=call.received_at,
        park_key=f"{reason} {key}",
        transaction_ref=reference,
    )


def schema_flag(call: IncomingCall) -> tuple[str, ...]:
    """The flag of a Call whose payload its schema refuses."""
    return () if call.violation is None else ("schema",)


def count_flags(flags: Iterable[str]) -> None:
    """Count irregularities; the words are ours, so they are few."""
    for flag in flags:
        metrics.irregular.labels(flag).inc()
