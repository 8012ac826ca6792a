"""The whole fleet on one page: who is connected, what is said, and whether the objectives are kept."""

from tools.dashboards.boards import Panels, board, prometheus_variables
from tools.dashboards.panels import figure, graph
from tools.dashboards.queries import highest, quantiles, rate, total

_CELL = 'namespace=~"$namespace"'


def fleet() -> str:
    """The dashboard as JSON."""
    return board(
        "fleet",
        "Fleet",
        "Connected charge points, their Calls and commands, and the objectives, for one cell or all.",
        prometheus_variables(),
        [
            ("Now", _now()),
            ("Objectives", _objectives()),
            ("Sockets", _sockets()),
            ("Calls of charge points", _calls()),
            ("Commands to charge points", _commands()),
        ],
    )


def _now() -> Panels:
    recorded = "{" + _CELL + "}"
    return [
        figure("Connected", (f"sum(namespace:ocpp_ws_connections:sum{recorded})", "")),
        figure(
            "Room for",
            (f"sum(namespace:ocpp_ws_connections_limit:sum{recorded})", ""),
            about="Connections that all gateways together may hold.",
        ),
        figure("Gateways", (f'count(ocpp_build_info{{{_CELL}, component="ocpp-gateway"}})', "")),
        figure("Draining", (total("ocpp_gateway_draining", _CELL), ""), about="Gateways that are shutting down."),
        figure("Calls", (f"sum(namespace:ocpp_calls:rate5m{recorded})", ""), unit="reqps"),
        figure(
            "Failed through our fault",
            (f"max(namespace:ocpp_calls_failed:ratio_rate1h{recorded})", ""),
            unit="percentunit",
            about="Of the Calls of the last hour, in the worst cell. The objective is below 0.1 %.",
        ),
    ]


def _objectives() -> Panels:
    recorded = "{" + _CELL + "}"
    windows = ("5m", "1h", "6h", "3d")
    return [
        graph(
            "Calls that failed through our fault",
            *((f"max(namespace:ocpp_calls_failed:ratio_rate{window}{recorded})", window) for window in windows),
            unit="percentunit",
            width="half",
            about="Ended as timeout or failed. Objective: below 0.1 %; 1.4 % over an hour pages.",
        ),
        graph(
            "Answers that took more than 1 s",
            *((f"max(namespace:ocpp_calls_slow:ratio_rate{window}{recorded})", window) for window in windows),
            unit="percentunit",
            width="half",
            about="Objective: below 1 %; 14.4 % over an hour pages.",
        ),
    ]


def _sockets() -> Panels:
    recorded = "{" + _CELL + "}"
    return [
        graph(
            "Connected, by version and security profile",
            (total("ocpp_ws_active_connections", _CELL, "version, profile"), "{{version}}, profile {{profile}}"),
            stacked=True,
        ),
        graph("Opened", (rate("ocpp_ws_connection_accepted_total", _CELL, "version"), "{{version}}"), unit="cps"),
        graph(
            "Closed, by WebSocket close code",
            (rate("ocpp_ws_connection_closed_total", _CELL, "code"), "{{code}}"),
            unit="cps",
            about="1001: going away, as when a gateway drains; 1006: lost; 1008: silent, replaced, or over its rate.",
        ),
        graph(
            "Refused, by reason", (rate("ocpp_ws_connection_rejected_total", _CELL, "reason"), "{{reason}}"), unit="cps"
        ),
        graph(
            "Storm",
            (f"sum(namespace:ocpp_ws_accepted:rate2m{recorded})", "accepted"),
            (f"sum(namespace:ocpp_ws_rejected:rate2m{recorded})", "refused"),
            (rate("ocpp_ws_connection_held_total", _CELL), "held back"),
            (
                f"0.005 * sum(max_over_time(namespace:ocpp_ws_connections:sum{recorded}[1h]))",
                "a storm, if for 5 minutes",
            ),
            unit="cps",
        ),
        graph(
            "Taken over, and no longer admitted",
            (rate("ocpp_session_taken_over_total", _CELL), "a newer socket elsewhere"),
            (rate("ocpp_session_no_longer_admitted_total", _CELL), "the record has changed"),
            (rate("ocpp_commands_gateways_lost_total", _CELL, "how"), "gateway lost: {{how}}"),
            unit="cps",
        ),
    ]


def _calls() -> Panels:
    return [
        graph(
            "Calls, by action",
            (rate("ocpp_call_answered_total", _CELL, "action"), "{{action}}"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Calls, by how they ended",
            (rate("ocpp_call_answered_total", _CELL, "outcome"), "{{outcome}}"),
            unit="reqps",
        ),
        graph("Round trip", *quantiles("ocpp_call_roundtrip_duration_seconds", _CELL), unit="s"),
        graph(
            "Messages",
            (rate("ocpp_message_received_total", _CELL), "from charge points"),
            (rate("ocpp_message_sent_total", _CELL), "to charge points"),
            unit="reqps",
        ),
        graph(
            "Not as planned in sessions",
            (rate("ocpp_session_noticed_total", _CELL, "kind"), "{{kind}}"),
            unit="cps",
            about="What each word means: Noticed in gateway/effects.py.",
        ),
        graph(
            "Irregular and parked transaction messages",
            (rate("ocpp_worker_irregularities_total", _CELL, "flag"), "{{flag}}"),
            (rate("ocpp_worker_parked_messages_total", _CELL, "reason"), "parked: {{reason}}"),
            unit="cps",
            about="Parked ones belong to no known transaction: `ocpp-worker show parked`.",
        ),
    ]


def _commands() -> Panels:
    return [
        graph("Sent, by action", (rate("ocpp_call_sent_total", _CELL, "action"), "{{action}}"), unit="reqps"),
        graph(
            "Direct commands, by outcome",
            (rate("ocpp_commands_outcomes_total", _CELL, "outcome"), "{{outcome}}"),
            unit="reqps",
        ),
        graph(
            "In the directory",
            (highest("ocpp_commands_directory_sessions", _CELL, "namespace"), "sessions, {{namespace}}"),
            (f"sum by (namespace) (namespace:ocpp_ws_connections:sum{{{_CELL}}})", "sockets, {{namespace}}"),
            about="Both are the same while announcements arrive.",
        ),
    ]
