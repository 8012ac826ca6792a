"""One charge point's story, from logs and traces: no metric names a charge point."""

from grafana_foundation_sdk.builders import dashboard

from tools.dashboards.boards import board, query_variable
from tools.dashboards.panels import LOKI, lines_with_traces, log_lines, log_rates, traces

_LINES = '{namespace=~"$namespace"} |= `$identity` | json | identity = `$identity`'


def charge_point() -> str:
    """The dashboard as JSON."""
    return board(
        "charge-point",
        "One charge point",
        "Enter an identity. Lines are those that Loki has of our processes' JSON logs; the field trace leads to Tempo"
        ". Every frame of a charge point: `ocppctl tail IDENTITY --since 1h`.",
        [
            dashboard.DatasourceVariable("logs").label("Loki").type("loki"),
            dashboard.DatasourceVariable("traces").label("Tempo").type("tempo"),
            query_variable("namespace", "Namespace", "label_values(namespace)", LOKI, all_value=".+"),
            dashboard.TextBoxVariable("identity").label("Identity").default_value("CP-1"),
        ],
        [
            (
                "Sessions",
                [
                    log_rates(
                        "What was logged, by event",
                        f"sum by (event) (count_over_time({_LINES} [$__auto]))",
                        "{{event}}",
                    ),
                    log_lines("Sessions", f'{_LINES} | event =~ "session[.].+"', about="Opened, closed, taken over."),
                ],
            ),
            (
                "Calls and commands",
                [
                    log_lines(
                        "Calls, and what went wrong with them",
                        f'{_LINES} | event =~ "(call|frame|payload|message|result)[.].+"',
                        about="One line per answered Call needs OCPP_LOG_LEVEL=debug; failures are always there.",
                    ),
                    log_lines(
                        "Commands and jobs",
                        f'{_LINES} | event =~ "(command|tracked_command|job)[.].+"',
                        about="command.ended needs OCPP_LOG_LEVEL=debug.",
                    ),
                    lines_with_traces(
                        "Lines that name a trace",
                        f'{_LINES} | trace != ""',
                        ("event", "action", "outcome", "unique_id", "command_id", "trace"),
                        about="The trace of a Call or command that was sampled; its id opens it.",
                    ),
                    traces("Traces", '{ span.ocpp.identity = "$identity" }', about="Of those that were sampled."),
                ],
            ),
            ("Everything", [log_lines("All lines", _LINES, height=16)]),
        ],
    )
