"""For each alert what makes it fire and what must not; `promtool test rules` plays them.

Values are written as promtool does: `0+60x30` begins at 0 and grows by 60 a minute, 30 times.
"""

from dataclasses import dataclass

_GATEWAY = 'namespace="cell", job="gateway", instance="g1"'
_OTHER_GATEWAY = 'namespace="cell", job="gateway", instance="g2"'
_WORKER = 'namespace="cell", job="worker", instance="w1"'
_QUEUE = 'namespace="cell", vhost="/"'

_ANSWERED = "ocpp_call_answered_total"
_ROUNDTRIP = "ocpp_call_roundtrip_duration_seconds"
_ACTIVE = "ocpp_ws_active_connections"
_LIMIT = "ocpp_ws_connections_limit"
_READY = "rabbitmq_detailed_queue_messages_ready"


@dataclass(frozen=True)
class Case:
    alert: str
    story: str
    after: str
    series: dict[str, str]
    fires: dict[str, str] | None = None
    """The labels beside namespace and severity with which it fires; None: it is silent."""


def _calls(good: float, bad: float, minutes: int) -> dict[str, str]:
    """A minute's Calls, by how they ended."""
    return {
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="result"}}': f"0+{good}x{minutes}",
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="timeout"}}': f"0+{bad / 2}x{minutes}",
        f'{_ANSWERED}{{{_GATEWAY}, action="MeterValues", outcome="failed"}}': f"0+{bad / 2}x{minutes}",
    }


def _answers(quick: float, slow: float, minutes: int) -> dict[str, str]:
    """A minute's answers."""
    return {
        f'{_ROUNDTRIP}_bucket{{{_GATEWAY}, action="Heartbeat", le="1.0"}}': f"0+{quick}x{minutes}",
        f'{_ROUNDTRIP}_bucket{{{_GATEWAY}, action="Heartbeat", le="+Inf"}}': f"0+{quick + slow}x{minutes}",
        f'{_ROUNDTRIP}_count{{{_GATEWAY}, action="Heartbeat"}}': f"0+{quick + slow}x{minutes}",
    }


def _sockets(values: str, draining: str = "0x60") -> dict[str, str]:
    return {
        f'{_ACTIVE}{{{_GATEWAY}, version="1.6", profile="1"}}': values,
        f"{_LIMIT}{{{_GATEWAY}}}": "50000x500",
        f"ocpp_gateway_draining{{{_GATEWAY}}}": draining,
    }


def _accepted(a_minute: int, minutes: int = 20) -> dict[str, str]:
    return {f'ocpp_ws_connection_accepted_total{{{_GATEWAY}, version="1.6"}}': f"0+{a_minute}x{minutes}"}


def _rejected(reason: str, values: str) -> dict[str, str]:
    return {f'ocpp_ws_connection_rejected_total{{{_GATEWAY}, reason="{reason}"}}': values}


def _build(component: str, who: str, values: str = "1x120") -> dict[str, str]:
    return {f'ocpp_build_info{{{who}, component="{component}", version="1", python="3.11"}}': values}


def _outcomes(unknown: float, known: float) -> dict[str, str]:
    name = "ocpp_commands_outcomes_total"
    return {
        f'{name}{{{_WORKER}, outcome="unknown", reason="session_lost"}}': f"0+{unknown}x40",
        f'{name}{{{_WORKER}, outcome="result", reason=""}}': f"0+{known}x40",
    }


def _lag(over: float, whole: float) -> dict[str, str]:
    name = "ocpp_event_loop_lag_seconds_bucket"
    return {
        f'{name}{{{_GATEWAY}, le="0.25"}}': f"0+{whole - over}x40",
        f'{name}{{{_GATEWAY}, le="0.5"}}': f"0+{whole}x40",
        f'{name}{{{_GATEWAY}, le="+Inf"}}': f"0+{whole}x40",
    }


_METERING = {"vhost": "/", "queue": "ocpp.calls.metering"}
_A_GATEWAY = {"component": "ocpp-gateway"}
_A_WORKER = {"component": "ocpp-worker-metering"}
_DAY = 86400

CASES = (
    Case("OcppCallAvailabilityBurn", "one of two cells fails", "70m", _calls(980, 20, 80) | {
        f'{_ANSWERED}{{namespace="other", instance="g1", action="Heartbeat", outcome="result"}}': "0+99000x80",
    }, {}),
    Case("OcppMassDisconnect", "one of two cells is cut off", "24m", _sockets("1000x20 100x20") | {
        f'{_ACTIVE}{{namespace="other", instance="g1", version="1.6", profile="1"}}': "90000x40",
        f'{_LIMIT}{{namespace="other", instance="g1"}}': "100000x40",
    }, {}),
    Case("OcppCallAvailabilityBurn", "2 % fail for an hour", "70m", _calls(980, 20, 80), {}),
    Case("OcppCallAvailabilityBurn", "0.8 % fail for hours", "7h", _calls(992, 8, 430), {}),
    Case("OcppCallAvailabilityBurn", "0.4 % fail, which is no night's work", "7h", _calls(996, 4, 430)),
    Case("OcppCallAvailabilityBurn", "it is over: the short windows are clean", "110m", {
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="result"}}': "0+980x120",
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="timeout"}}': "0+20x70 1400x50",
    }),
    Case("OcppCallAvailabilityBurn", "refused Calls and ended sessions are not our fault", "70m", {
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="result"}}': "0+500x80",
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="refused"}}': "0+300x80",
        f'{_ANSWERED}{{{_GATEWAY}, action="Heartbeat", outcome="closed"}}': "0+200x80",
    }),
    Case("OcppCallAvailabilityBurn", "a test bench with a Call every two minutes", "70m", _calls(0.4, 0.1, 80)),
    Case("OcppCallAvailabilityBurnSlow", "0.4 % fail for a day", "7h", _calls(996, 4, 430), {}),
    Case("OcppCallAvailabilityBurnSlow", "0.2 % fail for days", "8h", _calls(998, 2, 490), {}),
    Case("OcppCallAvailabilityBurnSlow", "within the objective", "8h", _calls(9995, 5, 490)),
    Case("OcppCallLatencyBurn", "a fifth is slow for an hour", "70m", _answers(800, 200, 80), {}),
    Case("OcppCallLatencyBurn", "8 % are slow for hours", "7h", _answers(920, 80, 430), {}),
    Case("OcppCallLatencyBurn", "4 % are slow, which is no night's work", "7h", _answers(960, 40, 430)),
    Case("OcppCallLatencyBurnSlow", "4 % are slow for a day", "7h", _answers(960, 40, 430), {}),
    Case("OcppCallLatencyBurnSlow", "2 % are slow for days", "8h", _answers(980, 20, 490), {}),
    Case("OcppCallLatencyBurnSlow", "within the objective", "8h", _answers(995, 5, 490)),
    Case("OcppMassDisconnect", "a quarter is gone", "24m", _sockets("1000x20 750x20"), {}),
    Case("OcppMassDisconnect", "every gateway is gone", "24m", {
        f'{_ACTIVE}{{{_GATEWAY}, version="1.6", profile="1"}}': "1000x20 stale",
        f"{_LIMIT}{{{_GATEWAY}}}": "50000x20 stale",
    }, {}),
    Case("OcppMassDisconnect", "more than half is gone during a rolling restart", "24m",
         _sockets("1000x20 400x20", "0x15 1x20"), {}),
    Case("OcppMassDisconnect", "a quarter is on its way during a rolling restart", "24m",
         _sockets("1000x20 750x20", "0x15 1x20")),
    Case("OcppMassDisconnect", "some leave", "24m", _sockets("1000x20 900x20")),
    Case("OcppMassDisconnect", "a test bench is switched off", "24m", _sockets("10x20 0x20")),
    Case("OcppReconnectStorm", "each comes back every two minutes", "20m",
         _sockets("2000x20") | _accepted(1000), {}),
    Case("OcppReconnectStorm", "they are refused again and again", "20m",
         _sockets("2000x20") | _accepted(0) | _rejected("handshake_rate", "0+1000x20"), {}),
    Case("OcppReconnectStorm", "all come back once, within a minute", "20m",
         _sockets("2000x20") | {f'ocpp_ws_connection_accepted_total{{{_GATEWAY}, version="1.6"}}': "0x12 2000x8"}),
    Case("OcppReconnectStorm", "a rolling restart of a large fleet", "20m",
         _sockets("50000x20") | _accepted(12000)),
    Case("OcppGatewayNearConnectionsLimit", "one of two is at nine tenths", "20m", _sockets("45000x20") | {
        f'{_ACTIVE}{{{_OTHER_GATEWAY}, version="1.6", profile="1"}}': "10000x20",
        f"{_LIMIT}{{{_OTHER_GATEWAY}}}": "50000x20",
    }, {}),
    Case("OcppGatewayNearConnectionsLimit", "versions and profiles make four fifths", "20m", _sockets("20000x20") | {
        f'{_ACTIVE}{{{_GATEWAY}, version="2.0.1", profile="3"}}': "20000x20",
    }),
    Case("OcppAuthenticationFailuresRising", "wrong passwords begin", "3h",
         _sockets("100x200") | _rejected("credentials_wrong", "0x150 0+60x60"), {}),
    Case("OcppAuthenticationFailuresRising", "foreign certificates begin", "3h",
         _sockets("100x200") | _rejected("certificate_other_identity", "0x150 0+60x60"), {}),
    Case("OcppAuthenticationFailuresRising", "as many as ever", "3h",
         _sockets("100x200") | _rejected("credentials_wrong", "0+60x200")),
    Case("OcppAuthenticationFailuresRising", "other refusals", "3h",
         _sockets("100x200") | _rejected("handshake_rate", "0x150 0+60x60")),
    Case("OcppBrokerUnreachable", "a gateway has no link", "5m",
         {f"ocpp_broker_link_up{{{_GATEWAY}}}": "1 0x10"} | _build("ocpp-gateway", _GATEWAY), _A_GATEWAY),
    Case("OcppBrokerUnreachable", "a worker has no link", "5m",
         {f"ocpp_broker_link_up{{{_WORKER}}}": "1 0x10"} | _build("ocpp-worker-metering", _WORKER), _A_WORKER),
    Case("OcppBrokerUnreachable", "a gateway has no link, and two cells call their processes the same", "5m", {
        f"ocpp_broker_link_up{{{_GATEWAY}}}": "1 0x10",
        'ocpp_broker_link_up{namespace="other", job="gateway", instance="g1"}': "1x11",
        'ocpp_build_info{namespace="other", job="gateway", instance="g1", component="ocpp-gateway"}': "1x11",
    } | _build("ocpp-gateway", _GATEWAY), _A_GATEWAY),
    Case("OcppBrokerUnreachable", "the link is back within seconds", "5m",
         {f"ocpp_broker_link_up{{{_GATEWAY}}}": "1 0 1x10"} | _build("ocpp-gateway", _GATEWAY)),
    Case("OcppBrokerBlocked", "a gateway is blocked", "5m", {f"ocpp_broker_blocked{{{_GATEWAY}}}": "0 1x10"}, {}),
    Case("OcppBrokerBlocked", "an alarm of memory, and nobody publishes", "5m", {
        'rabbitmq_alarms_memory_used_watermark{namespace="cell", instance="r1"}': "0 1x10",
        f"ocpp_broker_blocked{{{_GATEWAY}}}": "0x10",
    }, {}),
    Case("OcppBrokerBlocked", "an alarm of disk space", "5m", {
        'rabbitmq_alarms_free_disk_space_watermark{namespace="cell", instance="r1"}': "0 1x10",
    }, {}),
    Case("OcppBrokerBlocked", "all is well", "5m", {
        'rabbitmq_alarms_memory_used_watermark{namespace="cell", instance="r1"}': "0x10",
        'rabbitmq_alarms_free_disk_space_watermark{namespace="cell", instance="r1"}': "0x10",
        f"ocpp_broker_blocked{{{_GATEWAY}}}": "0x10",
    }),
    Case("OcppQueueGrowing", "it grows", "40m",
         {f'{_READY}{{{_QUEUE}, queue="ocpp.calls.metering"}}': "0+100x40"}, _METERING),
    Case("OcppQueueGrowing", "it is long and shrinks", "40m",
         {f'{_READY}{{{_QUEUE}, queue="ocpp.calls.metering"}}': "9000-100x40"}),
    Case("OcppQueueGrowing", "logs and dead letters may grow, and other people's queues", "40m", {
        f'{_READY}{{{_QUEUE}, queue="ocpp.frames"}}': "0+100x40",
        f'{_READY}{{{_QUEUE}, queue="ocpp.dead-letters"}}': "0+100x40",
        f'{_READY}{{{_QUEUE}, queue="billing"}}': "0+100x40",
    }),
    Case("OcppNoConsumers", "nobody serves it", "5m",
         {f'rabbitmq_detailed_queue_consumers{{{_QUEUE}, queue="ocpp.calls.metering"}}': "1 0x10"}, _METERING),
    Case("OcppNoConsumers", "one serves; the others are for people", "5m", {
        f'rabbitmq_detailed_queue_consumers{{{_QUEUE}, queue="ocpp.calls.metering"}}': "1x10",
        f'rabbitmq_detailed_queue_consumers{{{_QUEUE}, queue="ocpp.dead-letters"}}': "0x10",
        f'rabbitmq_detailed_queue_consumers{{{_QUEUE}, queue="ocpp.frames"}}': "0x10",
    }),
    Case("OcppDeadLetters", "one waits", "10m",
         {f'{_READY}{{{_QUEUE}, queue="ocpp.dead-letters"}}': "0 1x10"}, {}),
    Case("OcppDeadLetters", "one was given up where nobody reads the broker's metrics", "20m",
         {f'ocpp_worker_dead_lettered_total{{{_WORKER}, service="metering", reason="poison"}}': "0x10 1x10"}, {}),
    Case("OcppDeadLetters", "one was given up, and somebody has seen to it", "20m", {
        f'ocpp_worker_dead_lettered_total{{{_WORKER}, service="metering", reason="poison"}}': "0x10 1x10",
        f'{_READY}{{{_QUEUE}, queue="ocpp.dead-letters"}}': "0x10 1x2 0x10",
    }),
    Case("OcppDeadLetters", "none waits", "10m", {
        f'{_READY}{{{_QUEUE}, queue="ocpp.dead-letters"}}': "0x10",
        f'{_READY}{{{_QUEUE}, queue="ocpp.calls.metering"}}': "7x10",
    }),
    Case("OcppStoreUnreachable", "a worker has no database", "5m",
         {f"ocpp_worker_store_reachable{{{_WORKER}}}": "1 0x10"} | _build("ocpp-worker-metering", _WORKER), _A_WORKER),
    Case("OcppStoreUnreachable", "it is there", "5m",
         {f"ocpp_worker_store_reachable{{{_WORKER}}}": "1x10"} | _build("ocpp-worker-metering", _WORKER)),
    Case("OcppOutboxStuck", "the oldest event gets older", "15m",
         {f"ocpp_events_lag_seconds{{{_WORKER}}}": "0+60x20"}, {}),
    Case("OcppOutboxStuck", "a burst takes a minute", "15m",
         {f"ocpp_events_lag_seconds{{{_WORKER}}}": "0x5 60 60 0x10"}),
    Case("OcppBillingDataParked", "one message", "20m",
         {f'ocpp_worker_parked_messages_total{{{_WORKER}, reason="transaction_unknown"}}': "0x10 1x30"}, {}),
    Case("OcppBillingDataParked", "one, but hours ago", "3h",
         {f'ocpp_worker_parked_messages_total{{{_WORKER}, reason="transaction_unknown"}}': "0x5 1x60"}),
    Case("OcppBillingDataParked", "requests for certificates", "20m",
         {f'ocpp_worker_parked_messages_total{{{_WORKER}, reason="no_certificate_authority"}}': "0x10 5x30"}),
    Case("OcppEventsRefused", "a full queue", "20m",
         {f'ocpp_events_refused_total{{{_WORKER}, type="meter.sampled"}}': "0+60x20"}, {}),
    Case("OcppEventsRefused", "one is given up", "20m",
         {f'ocpp_events_given_up_total{{{_WORKER}, type="meter.sampled"}}': "0x10 1x10"}, {}),
    Case("OcppEventsRefused", "a few", "20m",
         {f'ocpp_events_refused_total{{{_WORKER}, type="meter.sampled"}}': "0x5 10x20"}),
    Case("OcppCommandOutcomesUnknownRising", "a tenth", "40m", _outcomes(6, 54), {}),
    Case("OcppCommandOutcomesUnknownRising", "one in a hundred", "40m", _outcomes(2, 198)),
    Case("OcppCommandOutcomesUnknownRising", "one of three in an hour", "40m", _outcomes(0.02, 0.04)),
    Case("OcppAnnouncementsLagging", "nothing is confirmed", "5m",
         {f"ocpp_announcement_lag_seconds{{{_GATEWAY}}}": "0+60x10"}, {}),
    Case("OcppAnnouncementsLagging", "a moment's delay", "5m",
         {f"ocpp_announcement_lag_seconds{{{_GATEWAY}}}": "0 12 0x10"}),
    Case("OcppServerCertificateExpiring", "13 days", "20m",
         {f'ocpp_tls_certificate_not_after_seconds{{{_GATEWAY}, key_type="rsa"}}': f"{13 * _DAY}x20"}, {}),
    Case("OcppServerCertificateExpiring", "15 days", "20m",
         {f'ocpp_tls_certificate_not_after_seconds{{{_GATEWAY}, key_type="rsa"}}': f"{15 * _DAY}x20"}),
    Case("OcppServerCertificateAboutToExpire", "a day, of one of two", "5m", {
        f'ocpp_tls_certificate_not_after_seconds{{{_GATEWAY}, key_type="rsa"}}': f"{90 * _DAY}x20",
        f'ocpp_tls_certificate_not_after_seconds{{{_GATEWAY}, key_type="ecdsa"}}': f"{_DAY}x20",
    }, {}),
    Case("OcppServerCertificateAboutToExpire", "three days", "5m",
         {f'ocpp_tls_certificate_not_after_seconds{{{_GATEWAY}, key_type="rsa"}}': f"{3 * _DAY}x20"}),
    Case("OcppRevocationListOutdated", "an hour is left", "20m",
         {f"ocpp_tls_revocations_next_update_seconds{{{_GATEWAY}}}": "4800x20"}, {}),
    Case("OcppRevocationListOutdated", "there is none", "20m",
         {f"ocpp_tls_revocations_next_update_seconds{{{_GATEWAY}}}": "0x20"}),
    Case("OcppRevocationListOutdated", "a day is left", "20m",
         {f"ocpp_tls_revocations_next_update_seconds{{{_GATEWAY}}}": f"{_DAY}x20"}),
    Case("OcppClientCertificatesExpiring", "a backlog that does not shrink", "2h", _sockets("1000x150") | {
        f"ocpp_worker_certificates_expiring{{{_WORKER}}}": "50x150",
        'ocpp_worker_certificates_expiring{namespace="cell", instance="w2"}': "0x150",
    }, {}),
    Case("OcppClientCertificatesExpiring", "a backlog, and the worker that looks was replaced", "2h",
         _sockets("1000x150") | {f"ocpp_worker_certificates_expiring{{{_WORKER}}}": "50x60 0x2 50x90"}, {}),
    Case("OcppClientCertificatesExpiring", "they come up for renewal, and are renewed", "2h", _sockets("1000x150") | {
        f"ocpp_worker_certificates_expiring{{{_WORKER}}}": "50x60 3x90",
    }),
    Case("OcppTargetDown", "a gateway does not answer", "20m",
         {f"up{{{_GATEWAY}}}": "1x10 0x20"} | _build("ocpp-gateway", _GATEWAY, "1x10 stale"), {}),
    Case("OcppTargetDown", "the broker's metrics are not read", "20m", {
        'up{namespace="cell", job="rabbitmq", instance="r1"}': "1x10 0x20",
        'rabbitmq_connections{namespace="cell", job="rabbitmq", instance="r1"}': "9x10 stale",
    }, {}),
    Case("OcppTargetDown", "it was taken away, and somebody else's is down", "20m",
         {f"up{{{_GATEWAY}}}": "1x10 stale", 'up{namespace="cell", job="shop", instance="s1"}': "0x30"}
         | _build("ocpp-gateway", _GATEWAY, "1x10 stale")),
    Case("OcppComponentAbsent", "the last metering worker is gone", "20m",
         _build("ocpp-gateway", _GATEWAY) | _build("ocpp-worker-metering", _WORKER, "1x10 stale"), _A_WORKER),
    Case("OcppComponentAbsent", "one of two gateways is gone", "20m",
         _build("ocpp-gateway", _GATEWAY) | _build("ocpp-gateway", _OTHER_GATEWAY, "1x10 stale")),
    Case("OcppEventLoopLagging", "one look in twenty is late by more than 0.25 s", "30m", _lag(12, 240), {}),
    Case("OcppEventLoopLagging", "one in a thousand", "30m", _lag(0.24, 240)),
)  # fmt: skip
