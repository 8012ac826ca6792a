"""Which traces are recorded: decided once, at the root, before anything is made for a span. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from contracts.tracing.context import TraceContext

DEFAULT_SHARE = 0.01
_IDS = 1 << 64


class Sampler(StrEnum):
    """The samplers of the OpenTelemetry specification that need no server."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_ALWAYS_ON = "parentbased_always_on"
    PARENT_ALWAYS_OFF = "parentbased_always_off"
    PARENT_RATIO = "parentbased_traceidratio"


@dataclass(frozen=True, slots=True)
class Sampling:
    """A share of all traces by their ids; those that another process began as that has decided, if `by_parent`."""

    share: float
    by_parent: bool = True

    @classmethod
    def of(cls, sampler: Sampler | None, share: float | None) -> "Sampling":
        """As OTEL_TRACES_SAMPLER and its argument say; without a sampler's name one trace in a hundred."""
        if sampler is None:
            return cls(DEFAULT_SHARE if share is None else share)
        kind = sampler.removeprefix("parentbased_")
        ratio = 1.0 if share is None else share  # the specification's own default
        return cls({"always_on": 1.0, "always_off": 0.0}.get(kind, ratio), by_parent=sampler.startswith("parentbased_"))

    @property
    def bound(self) -> int:
        """Ids whose lower 64 bits are below it are recorded."""
        return round(self.share * _IDS)

    def begins(self, trace_id: int) -> bool:
        """Whether a trace that begins here is recorded."""
        return trace_id % _IDS < self.bound

    def follows(self, parent: TraceContext) -> bool:
        """Whether a trace that began elsewhere is recorded here too."""
        return parent.sampled if self.by_parent else self.begins(parent.trace_id)
