"""Writes docs/asyncapi.yaml from the contracts code; `make docs` runs it, a test holds the document against it."""

import sys
from pathlib import Path
from typing import Any

import yaml

from tools.asyncapi.channels import channels, described_topology, operations
from tools.asyncapi.messages import all_messages, envelope_schemas
from tools.asyncapi.schemas import of_models

PAGE = Path(__file__).parents[1] / "docs" / "asyncapi.yaml"
HEAD = "# Made from the code by `make docs`; docs/backend.md is the guide to it.\n"
DESCRIPTION = """\
What a backend service sends and receives over RabbitMQ (AMQP 0-9-1) to command charge points and to learn of events.
Operations are a backend's. Messages and channels with the tag `internal` are between our own processes: read them to
debug, never publish them. docs/backend.md explains timing, retries, and what each outcome means.

Readers ignore keys that they do not know; a change that old readers could not bear has another `v`. The component
schema `Reason` explains the words of `reason`, `OutcomeKind` those of `outcome`. `x-amqp-topology` is all that our
processes declare on the broker.
"""


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OCPP gateway: commands and events",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
            "tags": [
                {"name": "backend", "description": "For backend services."},
                {"name": "internal", "description": "Between the gateway's own processes."},
            ],
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "broker.example:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "The RabbitMQ that the gateways and workers use; its URL is the setting `AMQP_URL`.",
                "bindings": {"amqp": {}},
            }
        },
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": {message.name: message.described() for message in all_messages()},
            "schemas": {**of_models(), **envelope_schemas()},
        },
        "x-amqp-topology": described_topology(),
    }


def page() -> str:
    """The document as YAML."""
    return HEAD + yaml.dump(
        document(), Dumper=_Readable, sort_keys=False, allow_unicode=True, width=116, default_flow_style=False
    )


class _Readable(yaml.SafeDumper):
    """YAML without anchors, and with texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML calls it so
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)

if __name__ == "__main__":
    sys.exit(PAGE.write_text(page()) and 0)
