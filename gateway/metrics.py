"""What a gateway counts. No metric is labelled by identity: labels are bounded by the code."""

from prometheus_client import Counter, Gauge

from gateway.durations import Durations
from gateway.pace import Limit

CONNECTIONS = Gauge("ocpp_ws_active_connections", "Open OCPP sessions.", ["version", "profile"])
CONNECTIONS_LIMIT = Gauge("ocpp_ws_connections_limit", "Sockets beyond this are refused.")
DRAINING = Gauge("ocpp_gateway_draining", "1 while this gateway is shutting down.")
ACCEPTED = Counter("ocpp_ws_connection_accepted_total", "Handshakes accepted.", ["version"])
REJECTED = Counter("ocpp_ws_connection_rejected_total", "Handshakes refused.", ["reason"])
CLOSED = Counter("ocpp_ws_connection_closed_total", "Sessions closed, by WebSocket close code.", ["code"])
PAUSED = Gauge("ocpp_ws_paused_connections", "Connections left unread because the in-flight window is full.")

RECEIVED = Counter("ocpp_message_received_total", "Text messages received from charge points.", ["version"])
SENT = Counter("ocpp_message_sent_total", "Text messages sent to charge points.", ["version"])
NOTICED = Counter("ocpp_session_noticed_total", "Things that went other than planned in sessions.", ["kind"])
TOLERATED = Counter("ocpp_tolerated_total", "Deviations from OCPP that were borne, by the rule's name.", ["rule"])
SIGNED = Counter("ocpp_signed_message_total", "Signed messages, and unsigned ones where none may be.", ["result"])
CALLS = Counter("ocpp_call_relayed_total", "Calls and SENDs taken from charge points for the workers.", ["version"])
ANSWERED = Counter(
    "ocpp_call_answered_total",
    "Calls of charge points that ended: result or call_error of a worker; refused by us; timeout and failed, which are"
    " ours to answer for; closed, when the session ended first.",
    ["action", "outcome"],
)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROUNDTRIP = Durations(
    "ocpp_call_roundtrip_duration_seconds",
    "From a Call's arrival to a worker's answer, as seen by the gateway.",
    buckets=_SECONDS,
    label="action",
)
STAGES = Durations(
    "ocpp_call_stage_duration_seconds",
    "Parts of that: queued (arrival to publish), confirmed (publish to the broker's confirm), answered (publish to"
    " reply).",
    buckets=_SECONDS,
    label="stage",
)
INVALID = Counter(
    "ocpp_validation_failed_total",
    "Payloads that violate their schema: in (requests), result (of commands), out (commands); refused or taken.",
    ["direction", "action", "rule", "verdict"],
)
OUTCOMES = Counter("ocpp_call_sent_total", "Commands to charge points, by outcome.", ["action", "outcome"])
COMMAND_ROUNDTRIP = Durations(
    "ocpp_command_roundtrip_duration_seconds",
    "From a command's frame to the charge point's answer.",
    buckets=_SECONDS,
    label="action",
)

WINDOW = Gauge("ocpp_relay_window_calls", "Calls in flight to the workers.")
WINDOW_LIMIT = Gauge("ocpp_relay_window_limit_calls", "Calls in flight beyond which no socket is read.")
WINDOW_BYTES = Gauge("ocpp_relay_window_bytes", "Bytes of the envelopes of Calls in flight to the workers.")
ORPHANS = Gauge("ocpp_relay_orphans", "Transaction messages kept for the broker though nobody waits any more.")
REPUBLISHED = Counter("ocpp_relay_republished_total", "Calls published again, by why.", ["reason"])
REPLIES_DROPPED = Counter("ocpp_reply_dropped_total", "Deliveries from workers that found no taker.", ["reason"])
OUTCOMES_DROPPED = Counter("ocpp_outcome_dropped_total", "Command outcomes that could not be kept or told.", ["reason"])
ADMISSION = Counter("ocpp_admission_lookup_total", "Who-is-this lookups, by what they ended in.", ["result"])
FLAPPING = Counter("ocpp_ws_connection_held_total", "Handshakes held because their charge point came in too often.")
NO_LONGER = Counter("ocpp_session_no_longer_admitted_total", "Sessions closed because their record has changed.")
THROTTLED = Counter("ocpp_session_throttled_total", "Times a session was left unread over its rate.", ["limit"])
RATE_EXCEEDED = Counter("ocpp_session_rate_exceeded_total", "Sessions closed because throttling did not slow them.")

TAKEN_OVER = Counter("ocpp_session_taken_over_total", "Sessions closed because another gateway holds a newer one.")
ANNOUNCEMENT_LAG = Gauge(
    "ocpp_announcement_lag_seconds", "Age of the oldest change of a session that the broker has not confirmed."
)
ANNOUNCEMENTS_DROPPED = Counter(
    "ocpp_announcement_dropped_total", "Closed sessions that will never be announced: too many waited for the broker."
)

FRAMES_LOGGED = Counter("ocpp_frame_log_frames_total", "Frames handed to the frame log's stream.")
FRAMES_DROPPED = Counter(
    "ocpp_frame_log_dropped_total", "Frames that did not fit into the frame log's buffer, or that its stream refused."
)
FRAME_LOG_UP = Gauge("ocpp_frame_log_link_up", "1 while the frame log's own link to the broker is up.")

TLS_HANDSHAKES = Gauge("ocpp_tls_handshakes_open", "TLS handshakes under way.")
TLS_FAILED = Counter("ocpp_tls_handshake_failed_total", "TLS handshakes that came to nothing.", ["reason"])
TLS_NOT_AFTER = Gauge(
    "ocpp_tls_certificate_not_after_seconds", "When a certificate of this gateway ends (Unix time).", ["key_type"]
)
TLS_REVOCATIONS_NEXT_UPDATE = Gauge(
    "ocpp_tls_revocations_next_update_seconds", "When the first revocation list is out of date (Unix time); 0: none."
)
TLS_RELOAD = Counter("ocpp_tls_reload_total", "Certificate files read anew.", ["result"])
PROXY_HEADERS_REFUSED = Counter(
    "ocpp_proxy_header_refused_total", "Connections of proxies ended for want of a PROXY protocol header.", ["reason"]
)
FORWARDED_IGNORED = Counter(
    "ocpp_forwarded_header_ignored_total", "Headers as proxies set them, from peers that are none.", ["header"]
)


def _from_zero(counter: Counter, *values: str) -> None:
    """Show what is rare before it happens: Prometheus sees no rise in a series that begins at 1."""
    for value in values:
        counter.labels(value)


_from_zero(REPUBLISHED, "reconnect", "refused")
_from_zero(REPLIES_DROPPED, "late_or_unknown", "bad_envelope", "late_verdict")
_from_zero(OUTCOMES_DROPPED, "no_reply_to", "too_many", "bad_address")
_from_zero(THROTTLED, *Limit)
_from_zero(TLS_RELOAD, "ok", "failed")
