"""One gateway, or all beside each other: where the time of a Call goes, and what is held back or borne."""

from tools.dashboards.boards import Panels, board, prometheus_variables, query_variable
from tools.dashboards.panels import PROMETHEUS, graph
from tools.dashboards.queries import highest, quantile, quantiles, rate, total

_SCOPE = 'namespace=~"$namespace", instance=~"$instance"'
_EACH = "instance"
_NAMED = "{{instance}}"


def gateway() -> str:
    """The dashboard as JSON."""
    # All of these and not `.*`, since workers have some of the same metrics.
    chosen = query_variable(
        "instance",
        "Gateway",
        'label_values(ocpp_ws_connections_limit{namespace=~"$namespace"}, instance)',
        PROMETHEUS,
        all_value=None,
    )
    return board(
        "gateway",
        "Gateway",
        "Each gateway process: round trips, window, broker, event loop, admission, TLS, throttling, validation.",
        [*prometheus_variables(), chosen],
        [
            ("Load", _load()),
            ("Round trip of Calls", _roundtrip()),
            ("Broker", _broker()),
            ("Admission and TLS", _admission()),
            ("Held back, borne and refused", _bounds()),
        ],
    )


def _load() -> Panels:
    return [
        graph(
            "Connections",
            (total("ocpp_ws_active_connections", _SCOPE, _EACH), _NAMED),
            (highest("ocpp_ws_connections_limit", _SCOPE), "limit of each"),
        ),
        graph("Calls", (rate("ocpp_call_relayed_total", _SCOPE, _EACH), _NAMED), unit="reqps"),
        graph(
            "Event loop's lag, p99",
            (quantile(0.99, "ocpp_event_loop_lag_seconds", _SCOPE, _EACH), _NAMED),
            unit="s",
            about="Above 0.25 s a process is too busy.",
        ),
        graph("CPU", (rate("process_cpu_seconds_total", _SCOPE, _EACH), _NAMED), unit="percentunit"),
        graph("Memory", (total("process_resident_memory_bytes", _SCOPE, _EACH), _NAMED), unit="bytes"),
        graph("Draining", (highest("ocpp_gateway_draining", _SCOPE, _EACH), _NAMED)),
    ]


def _roundtrip() -> Panels:
    return [
        graph(
            "p99, by action",
            (quantile(0.99, "ocpp_call_roundtrip_duration_seconds", _SCOPE, "action"), "{{action}}"),
            unit="s",
            width="half",
        ),
        graph(
            "By stage",
            *quantiles("ocpp_call_stage_duration_seconds", _SCOPE, "stage", "{{stage}}"),
            unit="s",
            width="half",
            about="queued: arrival to publish. confirmed: publish to the broker's confirm. answered: publish to reply.",
        ),
        graph(
            "p99, by gateway", (quantile(0.99, "ocpp_call_roundtrip_duration_seconds", _SCOPE, _EACH), _NAMED), unit="s"
        ),
        graph(
            "Window",
            (total("ocpp_relay_window_calls", _SCOPE, _EACH), _NAMED),
            (highest("ocpp_relay_window_limit_calls", _SCOPE), "limit of each"),
            about="Calls in flight to the workers; at the limit sockets are left unread.",
        ),
        graph("Window, bytes", (total("ocpp_relay_window_bytes", _SCOPE, _EACH), _NAMED), unit="bytes"),
        graph(
            "Commands, p99 by action",
            (quantile(0.99, "ocpp_command_roundtrip_duration_seconds", _SCOPE, "action"), "{{action}}"),
            unit="s",
        ),
    ]


def _broker() -> Panels:
    return [
        graph("Confirms", *quantiles("ocpp_broker_confirm_duration_seconds", _SCOPE), unit="s"),
        graph(
            "Unconfirmed, returned, republished",
            (total("ocpp_broker_unconfirmed", _SCOPE), "unconfirmed"),
            (rate("ocpp_broker_returned_total", _SCOPE), "returned per second"),
            (rate("ocpp_relay_republished_total", _SCOPE, "reason"), "republished per second: {{reason}}"),
            (total("ocpp_relay_orphans", _SCOPE), "billing data that nobody waits for"),
        ),
        graph(
            "Link",
            (f"min(ocpp_broker_link_up{{{_SCOPE}}})", "up everywhere"),
            (highest("ocpp_broker_blocked", _SCOPE), "blocked somewhere"),
            (rate("ocpp_broker_disconnected_total", _SCOPE), "ended per second"),
            (f"min(ocpp_frame_log_link_up{{{_SCOPE}}})", "frame log's link up everywhere"),
        ),
        graph("Announcements' lag", (highest("ocpp_announcement_lag_seconds", _SCOPE, _EACH), _NAMED), unit="s"),
        graph(
            "Replies and outcomes that found no taker",
            (rate("ocpp_reply_dropped_total", _SCOPE, "reason"), "reply: {{reason}}"),
            (rate("ocpp_outcome_dropped_total", _SCOPE, "reason"), "outcome: {{reason}}"),
            (rate("ocpp_announcement_dropped_total", _SCOPE), "announcement"),
            unit="cps",
        ),
        graph(
            "Frame log",
            (rate("ocpp_frame_log_frames_total", _SCOPE), "written"),
            (rate("ocpp_frame_log_dropped_total", _SCOPE), "dropped"),
            unit="cps",
        ),
    ]


def _admission() -> Panels:
    return [
        graph("Lookups, by result", (rate("ocpp_admission_lookup_total", _SCOPE, "result"), "{{result}}"), unit="cps"),
        graph(
            "Handshakes refused",
            (rate("ocpp_ws_connection_rejected_total", _SCOPE, "reason"), "{{reason}}"),
            unit="cps",
        ),
        graph(
            "TLS handshakes",
            (total("ocpp_tls_handshakes_open", _SCOPE), "under way"),
            (rate("ocpp_tls_handshake_failed_total", _SCOPE, "reason"), "failed per second: {{reason}}"),
        ),
        graph(
            "Certificates end in",
            (f"min by (key_type) (ocpp_tls_certificate_not_after_seconds{{{_SCOPE}}}) - time()", "{{key_type}}"),
            (f"min(ocpp_tls_revocations_next_update_seconds{{{_SCOPE}}} > 0) - time()", "revocation list"),
            unit="s",
            from_zero=False,
            about="Below 0 it has ended.",
        ),
        graph(
            "Certificate files read anew", (rate("ocpp_tls_reload_total", _SCOPE, "result"), "{{result}}"), unit="cps"
        ),
        graph(
            "Proxies",
            (rate("ocpp_proxy_header_refused_total", _SCOPE, "reason"), "ended: {{reason}}"),
            (rate("ocpp_forwarded_header_ignored_total", _SCOPE, "header"), "ignored: {{header}}"),
            unit="cps",
        ),
    ]


def _bounds() -> Panels:
    return [
        graph(
            "Throttled",
            (rate("ocpp_session_throttled_total", _SCOPE, "limit"), "left unread: {{limit}}"),
            (rate("ocpp_session_rate_exceeded_total", _SCOPE), "closed"),
            unit="cps",
        ),
        graph("Left unread: the window is full", (total("ocpp_ws_paused_connections", _SCOPE, _EACH), _NAMED)),
        graph("Tolerances used", (rate("ocpp_tolerated_total", _SCOPE, "rule"), "{{rule}}"), unit="cps"),
        graph(
            "Invalid payloads, by action and rule",
            (
                rate("ocpp_validation_failed_total", _SCOPE, "direction, action, rule, verdict"),
                "{{direction}} {{action}}: {{rule}}, {{verdict}}",
            ),
            unit="cps",
            width="half",
        ),
        graph(
            "Signed messages",
            (rate("ocpp_signed_message_total", _SCOPE, "result"), "{{result}}"),
            unit="cps",
            width="half",
        ),
    ]
