"""Workers and broker: what is handled, how the store does, what waits where."""

from tools.dashboards.boards import Panels, board, prometheus_variables
from tools.dashboards.panels import graph
from tools.dashboards.queries import highest, mean, quantile, quantiles, rate, total

_CELL = 'namespace=~"$namespace"'
_RETRIED_LEGEND = "{{service}}: {{reason}}"
_QUEUE = "queue"
_QUEUE_LEGEND = "{{queue}}"


def workers() -> str:
    """The dashboard as JSON."""
    return board(
        "workers",
        "Workers and broker",
        "The five worker services, the store as they see it, commands, events, and RabbitMQ's queues.",
        prometheus_variables(),
        [
            ("Calls", _calls()),
            ("Store", _store()),
            ("Commands", _commands()),
            ("Events and sessions", _events()),
            ("Processes", _processes()),
            ("RabbitMQ", _rabbitmq()),
            ("Certificates and signatures", _certificates()),
        ],
    )


def _calls() -> Panels:
    return [
        graph(
            "Handled, by service",
            (rate("ocpp_worker_calls_handled_total", _CELL, "service"), "{{service}}"),
            unit="reqps",
        ),
        graph(
            "Handled, by how it ended",
            (rate("ocpp_worker_calls_handled_total", _CELL, "service, outcome"), "{{service}}: {{outcome}}"),
            unit="reqps",
        ),
        graph(
            "Age of a Call at its reply, p99",
            (quantile(0.99, "ocpp_worker_call_age_seconds", _CELL, "service"), "{{service}}"),
            unit="s",
            about="From the gateway's receipt of the frame.",
        ),
        graph("Waiting in workers", (total("ocpp_worker_calls_waiting", _CELL, "service"), "{{service}}")),
        graph(
            "Tried again", (rate("ocpp_worker_retries_total", _CELL, "service, reason"), _RETRIED_LEGEND), unit="cps"
        ),
        graph(
            "Given up",
            (rate("ocpp_worker_dead_lettered_total", _CELL, "service, reason"), "dead letter, " + _RETRIED_LEGEND),
            (
                rate("ocpp_worker_invalid_replies_total", _CELL, "service, action"),
                "invalid reply, {{service}}: {{action}}",
            ),
            (rate("ocpp_worker_effects_dropped_total", _CELL, "service"), "effect dropped, {{service}}"),
            unit="cps",
        ),
    ]


def _store() -> Panels:
    return [
        graph(
            "Transactions, p99",
            (quantile(0.99, "ocpp_worker_transaction_seconds", _CELL, "service"), "{{service}}"),
            unit="s",
            about="From the begin of a batch's database transaction to its commit.",
        ),
        graph("Calls in one transaction, mean", (mean("ocpp_worker_batch_calls", _CELL, "service"), "{{service}}")),
        graph(
            "Database answers",
            (f"min by (instance) (ocpp_worker_store_reachable{{{_CELL}}})", "{{instance}}"),
            about="1 while it does.",
        ),
    ]


def _commands() -> Panels:
    return [
        graph(
            "Direct commands, by outcome",
            (rate("ocpp_commands_outcomes_total", _CELL, "outcome, reason"), "{{outcome}} {{reason}}"),
            unit="reqps",
        ),
        graph("Dispatch to outcome", *quantiles("ocpp_commands_outcome_seconds", _CELL), unit="s"),
        graph(
            "Outstanding",
            (total("ocpp_commands_outstanding", _CELL), "dispatched, or waiting for the directory"),
            (rate("ocpp_commands_redelivered_total", _CELL, "known"), "redelivered per second: {{known}}"),
            (rate("ocpp_commands_untold_total", _CELL, "reason"), "untold per second: {{reason}}"),
        ),
        graph(
            "Tracked commands, open",
            (highest("ocpp_worker_tracked_commands_open", _CELL, "namespace, state"), "{{namespace}} {{state}}"),
        ),
        graph(
            "Tracked commands, ended",
            (rate("ocpp_worker_tracked_commands_taken_total", _CELL), "taken"),
            (rate("ocpp_worker_tracked_commands_ended_total", _CELL, "outcome"), "ended: {{outcome}}"),
            (rate("ocpp_worker_tracked_command_attempts_total", _CELL, "outcome"), "attempt: {{outcome}}"),
            unit="cps",
        ),
        graph(
            "The workers' own commands",
            (rate("ocpp_worker_commands_total", _CELL, "action, outcome"), "{{action}}: {{outcome}}"),
            unit="cps",
        ),
    ]


def _events() -> Panels:
    return [
        graph(
            "Outbox",
            (highest("ocpp_events_outbox_pending", _CELL, "namespace"), "waiting, {{namespace}}"),
            about="Events that are written and not yet relayed.",
        ),
        graph(
            "Outbox, age of the oldest",
            (highest("ocpp_events_lag_seconds", _CELL, "namespace"), "{{namespace}}"),
            unit="s",
        ),
        graph(
            "Events relayed",
            (rate("ocpp_events_relayed_total", _CELL, "type"), "{{type}}"),
            (rate("ocpp_events_refused_total", _CELL, "type"), "refused: {{type}}"),
            (rate("ocpp_events_given_up_total", _CELL, "type"), "given up: {{type}}"),
            unit="cps",
        ),
        graph(
            "Directory",
            (highest("ocpp_commands_directory_sessions", _CELL, "instance"), "sessions, {{instance}}"),
            (highest("ocpp_commands_directory_gateways", _CELL, "instance"), "gateways, {{instance}}"),
        ),
        graph(
            "Time to a complete directory", (quantile(0.99, "ocpp_commands_snapshot_seconds", _CELL), "p99"), unit="s"
        ),
        graph(
            "Gateways lost",
            (rate("ocpp_commands_gateways_lost_total", _CELL, "how"), "directory: {{how}}"),
            (rate("ocpp_presence_gateways_lost_total", _CELL), "presence"),
            unit="cps",
        ),
    ]


def _processes() -> Panels:
    workers_only = f'ocpp_build_info{{{_CELL}, component=~"ocpp-worker-.+"}}'
    named = f"on (namespace, job, instance) group_left (component) {workers_only}"
    return [
        graph(
            "Running",
            (f"count by (component, version) (ocpp_build_info{{{_CELL}}})", "{{component}} {{version}}"),
        ),
        graph(
            "CPU",
            (
                f"sum by (component) (rate(process_cpu_seconds_total{{{_CELL}}}[$__rate_interval]) * {named})",
                "{{component}}",
            ),
            unit="percentunit",
        ),
        graph(
            "Memory",
            (f"max by (component) (process_resident_memory_bytes{{{_CELL}}} * {named})", "largest {{component}}"),
            unit="bytes",
        ),
        graph(
            "Event loop's lag, p99",
            (quantile(0.99, "ocpp_event_loop_lag_seconds", _CELL, "instance"), "{{instance}}"),
            unit="s",
        ),
        graph("Broker's confirms", *quantiles("ocpp_broker_confirm_duration_seconds", _CELL), unit="s"),
        graph(
            "Broker links",
            (f"sum by (component) (ocpp_broker_link_up{{{_CELL}}} * {named})", "up, {{component}}"),
            (rate("ocpp_broker_connected_total", _CELL), "connected per second"),
            (rate("ocpp_broker_disconnected_total", _CELL), "ended per second"),
        ),
    ]


def _rabbitmq() -> Panels:
    ours = {"queue": "ocpp[.].+"}
    return [
        graph(
            "Ready, by queue",
            (highest("rabbitmq_detailed_queue_messages_ready", _CELL, _QUEUE, **ours), _QUEUE_LEGEND),
            width="half",
        ),
        graph(
            "Delivered and not acked, by queue",
            (highest("rabbitmq_detailed_queue_messages_unacked", _CELL, _QUEUE, **ours), _QUEUE_LEGEND),
            width="half",
        ),
        graph(
            "Consumers, by queue",
            (highest("rabbitmq_detailed_queue_consumers", _CELL, _QUEUE, **ours), _QUEUE_LEGEND),
            about="A queue ocpp.calls.* without consumers serves nobody. ocpp.dead-letters and ocpp.frames have none.",
        ),
        graph(
            "Messages",
            (rate("rabbitmq_global_messages_received_total", _CELL), "received"),
            (rate("rabbitmq_global_messages_confirmed_total", _CELL), "confirmed"),
            (rate("rabbitmq_global_messages_delivered_total", _CELL), "delivered"),
            (rate("rabbitmq_global_messages_acknowledged_total", _CELL), "acked"),
            unit="cps",
        ),
        graph(
            "Connections and channels",
            (total("rabbitmq_connections", _CELL), "connections"),
            (total("rabbitmq_channels", _CELL), "channels"),
        ),
        graph(
            "Memory",
            (total("rabbitmq_process_resident_memory_bytes", _CELL, "instance"), "{{instance}}"),
            (highest("rabbitmq_resident_memory_limit_bytes", _CELL), "alarm above"),
            unit="bytes",
        ),
        graph(
            "Disk space left",
            (f"min by (instance) (rabbitmq_disk_space_available_bytes{{{_CELL}}})", "{{instance}}"),
            unit="bytes",
        ),
        graph(
            "Alarms",
            (highest("rabbitmq_alarms_memory_used_watermark", _CELL), "memory"),
            (highest("rabbitmq_alarms_free_disk_space_watermark", _CELL), "disk space"),
            about="1 while publishers are blocked.",
        ),
    ]


def _certificates() -> Panels:
    return [
        graph(
            "Certificates of charge points that expire soon",
            (highest("ocpp_worker_certificates_expiring", _CELL, "namespace"), "{{namespace}}"),
        ),
        graph(
            "Requests for certificates",
            (rate("ocpp_worker_certificates_issued_total", _CELL, "result"), "{{result}}"),
            (rate("ocpp_worker_certificate_orders_total", _CELL, "kind, outcome"), "{{kind}}: {{outcome}}"),
            unit="cps",
        ),
        graph(
            "Signed meter values", (rate("ocpp_worker_signed_samples_total", _CELL, "result"), "{{result}}"), unit="cps"
        ),
    ]
