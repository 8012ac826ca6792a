"""Metrics of the workers; never labelled by identity."""

from prometheus_client import Counter, Gauge, Histogram

from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from contracts.events import EVENTS

calls_handled = Counter(
    "ocpp_worker_calls_handled_total", "Calls handled, by how they ended", ["service", "action", "outcome"]
)
call_age = Histogram(
    "ocpp_worker_call_age_seconds",
    "From the gateway's receipt of a frame to its reply",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120),
)
batch_calls = Histogram(
    "ocpp_worker_batch_calls",
    "Calls in one database transaction",
    ["service"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
commit_seconds = Histogram(
    "ocpp_worker_transaction_seconds",
    "From the begin of a batch's database transaction to its commit",
    ["service"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
waiting = Gauge("ocpp_worker_calls_waiting", "Calls delivered and not yet settled", ["service"])
retries = Counter("ocpp_worker_retries_total", "Batches or Calls tried again", ["service", "reason"])
dead_lettered = Counter("ocpp_worker_dead_lettered_total", "Deliveries given up", ["service", "reason"])
invalid_replies = Counter(
    "ocpp_worker_invalid_replies_total", "Replies of ours that their schema refused", ["service", "action"]
)
commands = Counter("ocpp_worker_commands_total", "Commands of the workers' own, by outcome", ["action", "outcome"])
effects_dropped = Counter("ocpp_worker_effects_dropped_total", "Work after a commit that found no room", ["service"])
store_reachable = Gauge("ocpp_worker_store_reachable", "1 while the database answers")
parked = Counter("ocpp_worker_parked_messages_total", "Transaction messages stored for repair", ["reason"])
irregular = Counter("ocpp_worker_irregularities_total", "Irregularities tolerated in transaction messages", ["flag"])
signed_samples = Counter(
    "ocpp_worker_signed_samples_total", "Signed meter values, by what came of their signature", ["result"]
)

command_outcomes = Counter(
    "ocpp_commands_outcomes_total", "Direct commands of backends and workers that ended", ["outcome", "reason"]
)
command_seconds = Histogram(
    "ocpp_commands_outcome_seconds",
    "From the dispatch of a command to a gateway to its outcome",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 600),
)
command_untold = Counter("ocpp_commands_untold_total", "Outcomes and receipts that reached no reply queue", ["reason"])
command_redelivered = Counter(
    "ocpp_commands_redelivered_total", "Commands delivered again, by what is known of them", ["known"]
)
commands_outstanding = Gauge("ocpp_commands_outstanding", "Commands dispatched or waiting for the directory")
directory_sessions = Gauge("ocpp_commands_directory_sessions", "Connected charge points in the directory")
directory_gateways = Gauge("ocpp_commands_directory_gateways", "Gateways in the directory")
gateways_lost = Counter("ocpp_commands_gateways_lost_total", "Gateways that fell silent or had no queue", ["how"])
snapshot_seconds = Histogram(
    "ocpp_commands_snapshot_seconds",
    "From asking all gateways for their sessions to a complete directory",
    buckets=(1, 1.2, 1.5, 2, 3, 4, 5, 6),
)
events_relayed = Counter("ocpp_events_relayed_total", "Events that the broker took", ["type"])
events_refused = Counter(
    "ocpp_events_refused_total", "Publishes of events that the broker refused: a backend's queue is full", ["type"]
)
events_given_up = Counter("ocpp_events_given_up_total", "Events that a full queue never took", ["type"])
events_pending = Gauge("ocpp_events_outbox_pending", "Events not yet relayed, seen by the relay at work; 0 elsewhere")
events_lag = Gauge("ocpp_events_lag_seconds", "Age of the oldest event not yet relayed, seen like that")
presence_gateways_lost = Counter(
    "ocpp_presence_gateways_lost_total", "Gateways that fell silent, whose sessions were closed in the store"
)
tracked_taken = Counter("ocpp_worker_tracked_commands_taken_total", "Tracked commands stored")
tracked_ended = Counter("ocpp_worker_tracked_commands_ended_total", "Tracked commands that ended", ["outcome"])
tracked_open = Gauge(
    "ocpp_worker_tracked_commands_open", "Tracked commands in the store that have not ended, by state", ["state"]
)
tracked_attempts = Counter(
    "ocpp_worker_tracked_command_attempts_total", "Dispatches of tracked commands, by the outcome of each", ["outcome"]
)

certificates_issued = Counter(
    "ocpp_worker_certificates_issued_total",
    "Requests for certificates by what came of them: request_refused, signed, installed, rejected, failed, superseded",
    ["result"],
)
certificates_expiring = Gauge(
    "ocpp_worker_certificates_expiring",
    "Installed certificates that expire within OCPP_WORKER_CERTIFICATE_RENEW_DAYS, or have expired",
)
certificate_orders = Counter(
    "ocpp_worker_certificate_orders_total",
    "Attempts at what charge points are to do with certificates (renew, install, refresh, delete), by their outcome",
    ["kind", "outcome"],
)

# Prometheus sees no rise in a series that begins at 1, so what is rare and watched begins at 0.
_UNKNOWN_FOR = (
    Reason.SESSION_CLOSED,
    Reason.GATEWAY_LOST,
    Reason.NO_OUTCOME,
    Reason.REDELIVERED,
    Reason.UNDELIVERABLE,
)
for _reason in _UNKNOWN_FOR:
    command_outcomes.labels(OutcomeKind.UNKNOWN.value, _reason.value)
for _how in ("silent", "returned"):
    gateways_lost.labels(_how)
for _parked in (
    "charge_point_unknown",
    "samples_unreadable",
    "transaction_ended_before",
    "transaction_missing",
    "transaction_unassigned",
    "transaction_unknown",
):
    parked.labels(_parked)
for _type in EVENTS:
    events_refused.labels(_type)
    events_given_up.labels(_type)
for _result in ("request_refused", "signed", "installed", "rejected", "failed", "superseded"):
    certificates_issued.labels(_result)


def count_from_zero(service: str) -> None:
    """Begin the counters of what may go wrong in this service at 0, for the same reason."""
    for reason in ("envelope", "poison"):
        dead_lettered.labels(service, reason)
    for reason in ("store_unavailable", "handler_raised", "one_by_one"):
        retries.labels(service, reason)
    effects_dropped.labels(service)
