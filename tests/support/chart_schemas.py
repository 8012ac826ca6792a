"""What Kubernetes and its operators would refuse of rendered objects; one of an unknown kind counts as refused."""

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import jsonschema_rs
import orjson

from tests.support.charts import MODULES, Document, node_binary

_KUBERNETES = ("1.30.0", "1.37.0")
"""The least that the chart asks for, and the newest of which there are schemas."""
_CUSTOM = Path(__file__).parents[1] / "chart/custom_resources.mjs"
_GROUPS = (
    "monitoring.coreos.com/",
    "keda.sh/",
    "cert-manager.io/",
    "gateway.networking.k8s.io/",
    "external-secrets.io/",
    "postgresql.cnpg.io/",
)

_TEXT, _COUNT, _ANYTHING = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "object"}


def _closed(**properties: Document) -> Document:
    return {"type": "object", "additionalProperties": False, "properties": properties}


# The fields that we use, by the cluster operator's API reference (rabbitmq.com/v1beta1); no package has its schema.
RABBITMQ_CLUSTER = {
    **_closed(
        apiVersion={"const": "rabbitmq.com/v1beta1"},
        kind={"const": "RabbitmqCluster"},
        metadata=_ANYTHING,
        spec=_closed(
            replicas=_COUNT,
            image=_TEXT,
            persistence=_closed(storage=_TEXT, storageClassName=_TEXT),
            resources=_closed(requests=_ANYTHING, limits=_ANYTHING),
            rabbitmq=_closed(
                additionalPlugins={"type": "array", "items": _TEXT, "maxItems": 100},
                additionalConfig={"type": "string", "maxLength": 2000},
                advancedConfig=_TEXT,
                envConfig=_TEXT,
            ),
            affinity=_closed(podAntiAffinity=_ANYTHING, podAffinity=_ANYTHING, nodeAffinity=_ANYTHING),
            tls=_closed(secretName=_TEXT, caSecretName=_TEXT, disableNonTLSListeners={"type": "boolean"}),
            terminationGracePeriodSeconds=_COUNT,
        ),
    ),
    "required": ["apiVersion", "kind", "metadata", "spec"],
}


def problems_of(documents: Iterable[Document]) -> list[str]:
    """One line for each thing that is not as a schema has it."""
    custom: list[Document] = []
    problems: list[str] = []
    for document in documents:
        if document["apiVersion"].startswith(_GROUPS):
            custom.append(document)
        else:
            problems += _problems(document)
    return problems + _problems_of_custom(custom)


def _problems(document: Document) -> Iterator[str]:
    name = f"{document['kind']}/{document['metadata']['name']}"
    for kubernetes in _KUBERNETES:
        validator = _validator(kubernetes, document["apiVersion"], document["kind"])
        if validator is None:
            yield f"{name}: no schema of {document['apiVersion']} in {kubernetes}"
        else:
            for error in validator.iter_errors(document):
                yield f"{name} in {kubernetes}: {'.'.join(map(str, error.instance_path))}: {error.message[:300]}"


@cache
def _validator(kubernetes: str, api_version: str, kind: str) -> jsonschema_rs.Validator | None:
    if kind == "RabbitmqCluster":
        return jsonschema_rs.validator_for(RABBITMQ_CLUSTER)
    group, _, version = api_version.rpartition("/")
    file = _schemas(kubernetes) / f"{kind.lower()}-{'-'.join(filter(None, (group.partition('.')[0], version)))}.json"
    if not file.is_file():
        return None
    return jsonschema_rs.validator_for(orjson.loads(file.read_bytes()), registry=_definitions(kubernetes))


def _schemas(kubernetes: str) -> Traversable:
    return files("kubernetes_validate") / f"kubernetes-json-schema/v{kubernetes}-local-strict"


@cache
def _definitions(kubernetes: str) -> jsonschema_rs.Registry:
    definitions = orjson.loads((_schemas(kubernetes) / "_definitions.json").read_bytes())
    return jsonschema_rs.Registry([(definitions["$id"], definitions)])


def _problems_of_custom(documents: list[Document]) -> list[str]:
    done = subprocess.run(
        [str(node_binary()), str(_CUSTOM), str(MODULES)],
        input=orjson.dumps(documents),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[str] = orjson.loads(done.stdout)
    return found
