"""The chart's values.schema.json: a written part, and maps of settings with names, types and bounds from the code."""

import json
from pathlib import Path
from typing import Any

import yaml

from contracts.process.settings import ProcessSettings
from gateway.settings import GatewaySettings
from workers.settings import WorkerSettings

WRITTEN = Path(__file__).with_name("values_schema.yaml")
SET_BY_CHART = frozenset(
    {
        "AMQP_URL",
        "AMQP_MANAGEMENT_URL",
        "DATABASE_URL",
        "OCPP_AMQP_CA_FILE",
        "OCPP_AMQP_CERT_FILE",
        "OCPP_AMQP_KEY_FILE",
        "OCPP_AMQP_DECLARE",
        "OCPP_MONITOR_HOST",
        "OCPP_MONITOR_PORT",
        "OCPP_GATEWAY_ID",
        "OCPP_GATEWAY_LISTEN_HOST",
        "OCPP_GATEWAY_LISTEN_PORT",
        "OCPP_GATEWAY_ENDPOINT_PATH",
        "OCPP_GATEWAY_MAX_CONNECTIONS",
        "OCPP_GATEWAY_PLAIN_LISTEN",
        "OCPP_GATEWAY_TLS_CERT_FILES",
        "OCPP_GATEWAY_TLS_KEY_FILES",
        "OCPP_GATEWAY_TLS_LISTEN_HOST",
        "OCPP_GATEWAY_TLS_LISTEN_PORT",
        "OCPP_GATEWAY_TLS_CLIENT_CA_FILE",
        "OCPP_GATEWAY_TLS_CRL_FILE",
        "OCPP_GATEWAY_PROXIES",
        "OCPP_GATEWAY_PROXY_PROTOCOL",
        "OCPP_GATEWAY_CLIENT_CERT_HEADER",
        "OCPP_GATEWAY_VALIDATION_FILE",
        "OCPP_GATEWAY_DRAIN_GRACE_SECONDS",
        "OCPP_GATEWAY_DRAIN_CLOSES_PER_SECOND",
        "OCPP_WORKER_GRACE_SECONDS",
        "OCPP_WORKER_CA_CERTIFICATE_FILE",
        "OCPP_WORKER_CA_KEY_FILE",
    }
)
"""What other values of the chart decide: no map of settings takes it, so nothing is set twice."""

SET_BY_TRACING = "OTEL_"
"""How those begin that the values of `tracing` decide."""

OWN_LEVEL = "OCPP_LOG_LEVEL"
"""Shared, and yet of use for one kind of process alone."""

_KEPT = (
    "type",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
)
_ON_OFF = {"on", "off"}


def text() -> str:
    """The whole file."""
    schema = yaml.safe_load(WRITTEN.read_text())
    shared = settings_schema(ProcessSettings)
    schema["definitions"] |= {
        "sharedSettings": _map("Settings of all processes", shared),
        "gatewaySettings": _map("Settings of gateways", _own(settings_schema(GatewaySettings), shared)),
        "workersSettings": _map("Settings of workers", _own(settings_schema(WorkerSettings), shared)),
    }
    return json.dumps(schema, indent=2) + "\n"


def settings_schema(settings: type[ProcessSettings]) -> dict[str, Any]:
    """Variable to schema, of every setting that is not the chart's to set."""
    whole = settings.model_json_schema(by_alias=True)
    return {
        name: _one(found, whole.get("$defs", {}))
        for name, found in whole["properties"].items()
        if name not in SET_BY_CHART and not name.startswith(SET_BY_TRACING)
    }


def _one(found: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    described = {"description": found["description"]}
    for choice in found.get("anyOf", ()):
        if choice.get("type") != "null":
            found = choice
    if "$ref" in found:
        found = definitions[found["$ref"].rpartition("/")[2]]
    rules = {rule: found[rule] for rule in _KEPT if rule in found}
    if set(rules.get("enum", ())) == _ON_OFF:
        rules = {"enum": [*rules["enum"], True, False]}  # YAML reads on and off as truth values
    return described | rules


def _own(settings: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    return {name: rules for name, rules in settings.items() if name not in shared or name == OWN_LEVEL}


def _map(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "type": "object", "additionalProperties": False, "properties": properties}
