"""What an operator may write into values: nothing unknown, nothing twice, and clear words for what is wrong."""

import re
import shutil
from collections.abc import Iterator
from importlib.metadata import version

import orjson
import pytest
import yaml

from loadtest.cli import main as loadtest
from tests.support.charts import CHART, HELMS, RefusedError, render, render_text
from tools.chart import values_schema, values_table

SIZED = {"1000": 1000, "30000": 30_000, "300000": 300_000}


def test_the_schema_is_the_one_that_the_code_makes() -> None:
    assert (CHART / "values.schema.json").read_text() == values_schema.text(), "run `make docs`"


def test_the_table_in_the_readme_is_the_one_that_the_values_make(tmp_path) -> None:
    readme = tmp_path / "README.md"
    shutil.copy(CHART / "README.md", readme)
    values_table.renew(CHART, readme)
    assert readme.read_text() == (CHART / "README.md").read_text(), "run `make docs`"


def test_a_value_without_a_comment_is_no_table(tmp_path) -> None:
    (tmp_path / "values.yaml").write_text("## @section A\n## @param known Known\nknown: 1\nunknown: 2\n")
    (tmp_path / "README.md").write_text("# x\n\n## Parameters\n")
    with pytest.raises(RuntimeError, match="unknown"):
        values_table.renew(tmp_path, tmp_path / "README.md")


def test_the_schema_leaves_no_part_open_but_what_kubernetes_defines() -> None:
    schema = orjson.loads((CHART / "values.schema.json").read_bytes())
    found = set(_open_objects(schema, ""))
    assert found == {
        "global",
        "gateway.affinity",
        "workers.affinity",
        "jobs.affinity",
        "broker.operator.extraSpec",
        "database.operator.extraSpec",
    }


def test_the_schema_knows_every_value_and_values_every_part_of_the_schema() -> None:
    schema = orjson.loads((CHART / "values.schema.json").read_bytes())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(_missing(schema, schema, values, "")) <= {"global"}


def test_the_chart_is_of_the_version_of_the_code() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version("ocpp-gateway")


WRONG = {
    "gateway.replica=3": "replica",
    "gateway.replicas=0": "replicas",
    "gateway.settings.OCPP_GATEWAY_LISTEN_PORT=1": "OCPP_GATEWAY_LISTEN_PORT",
    "gateway.settings.OCPP_GATEWAY_MAX_CONNECTIONS=1": "OCPP_GATEWAY_MAX_CONNECTIONS",
    "gateway.settings.OCPP_GATEWAY_DRAIN_GRACE_SECONDS=1": "OCPP_GATEWAY_DRAIN_GRACE_SECONDS",
    "gateway.settings.OCPP_WORKER_LANES=2": "OCPP_WORKER_LANES",
    "gateway.settings.OCPP_REGISTRATION=closed": "OCPP_REGISTRATION",
    "gateway.settings.OCPP_GATEWAY_MISSED_PINGS=-1": "OCPP_GATEWAY_MISSED_PINGS",
    "gateway.settings.OCPP_GATEWAY_PENDING_CALLS=many": "OCPP_GATEWAY_PENDING_CALLS",
    "settings.OCPP_LOG_LEVEL=loud": "OCPP_LOG_LEVEL",
    "settings.AMQP_URL=amqp://u:p@h/": "AMQP_URL",
    "workers.settings.DATABASE_URL=x": "DATABASE_URL",
    "workers.metering.settings.OCPP_WORKER_BATCH_CALLS=33000": "OCPP_WORKER_BATCH_CALLS",
    "workers.commands.autoscaling.maxReplicas=3": "autoscaling",
    "workers.autoscaling.mode=sometimes": "mode",
    "gateway.extraEnv[0].name=OCPP_GATEWAY_ID,gateway.extraEnv[0].value=x": "extraEnv.0",
    "gateway.podLabels.app\\.kubernetes\\.io/name=x": "podLabels",
    "broker.password=secret": "password",
    "broker.operator.replicas=2": "operator.replicas",
    "gateway.proxy.trustedNetworks={everybody}": "trustedNetworks.0",
}


@pytest.mark.parametrize("helm", HELMS)
def test_what_is_unknown_or_out_of_bounds_is_refused_by_name_all_at_once(helm) -> None:
    with pytest.raises(RefusedError) as refused:
        render_text(*(word for setting in WRONG for word in ("--set", setting)), helm=helm)
    said = str(refused.value).replace("/", ".")
    for setting, name in WRONG.items():
        assert re.search(rf"\b{name}\b", said), (setting, said)
    assert "secret" not in said


@pytest.mark.parametrize("name", ["gateway.replica", "gateway.settings.OCPP_GATEWAY_ID", "broker.password"])
def test_one_wrong_name_alone_is_refused(name) -> None:
    with pytest.raises(RefusedError, match=f"{name.rpartition('.')[2]}' not allowed"):
        render_text("--set", f"{name}=x")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["gateway.plain.enabled=false"], "nobody could connect"),
        (["gateway.tls.enabled=true"], "needs a certificate"),
        (["gateway.tls.enabled=true", "gateway.tls.certManager.enabled=true"], "issuerRef.name(.|\n)*dnsNames"),
        (["gateway.tls.enabled=true", "gateway.tls.existingSecrets={a}", "gateway.plain.enabled=false"], "test.url"),
        (["gateway.settings.OCPP_GATEWAY_MIN_SECURITY_PROFILE=2"], "test.url is needed"),
        (["gateway.clientCa.fromAuthority=true"], "needs an authority(.|\n)*who would show"),
        (["gateway.clientCa.crlSecret=x"], "gateway.clientCa.crlSecret needs"),
        (["gateway.proxy.protocol=v2"], "needs gateway.proxy.trustedNetworks(.|\n)*test.url"),
        (["gateway.proxy.clientCertificateHeader=X"], "trustedNetworks(.|\n)*needs gateway.clientCa"),
        (["tlsRoute.enabled=true"], "tlsRoute.parentRefs(.|\n)*needs gateway.tls.enabled"),
        (["ingress.enabled=true"], "ingress.hosts"),
        (["broker.mode=external"], "broker.external.existingSecret"),
        (["broker.leastRights.enabled=true"], "broker.leastRights.existingSecret"),
        (["broker.tls.enabled=true"], "broker.operator.tlsSecret"),
        (["database.mode=external"], "database.external.existingSecret"),
        (["workers.settings.OCPP_WORKER_DATABASE_CONNECTIONS=50"], "max_connections: 200, and workers may open 760"),
        (["workers.autoscaling.mode=keda", "workers.metering.replicas=1"], "workers.metering.replicas: .* at least 2"),
        (["workers.autoscaling.mode=hpa", "workers.metering.replicas=9"], "maxReplicas is less than workers.metering"),
        (["gateway.autoscaling.enabled=true", "gateway.replicas=11"], "maxReplicas is less than gateway.replicas"),
        (["monitoring.serviceMonitor.enabled=true", "monitoring.podMonitor.enabled=true"], "count everything twice"),
        (["tracing.exporter=otlp"], "needs tracing.endpoint"),
        (["authority.certManager.enabled=true"], "authority.certManager needs issuerRef.name"),
    ],
)
def test_values_that_contradict_each_other_are_told_all_at_once(settings, words) -> None:
    with pytest.raises(RefusedError, match=words):
        render_text(*(word for setting in settings for word in ("--set", setting)))


@pytest.mark.parametrize("name", SIZED)
def test_sizes_of_the_examples_are_the_calculators(name, capsys) -> None:
    assert loadtest(["size", "--charge-points", str(SIZED[name]), "--tls", "--format", "helm-values"]) == 0
    sized = yaml.safe_load(capsys.readouterr().out)
    text = (CHART / "examples" / f"{name}.yaml").read_text()
    assert _differences(sized, yaml.safe_load(text), "") == []
    assert f"ocpp-loadtest size --charge-points {SIZED[name]} --tls --format helm-values" in text


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("charge_points", [1, 250_000, 2_000_000])
def test_helm_takes_what_the_calculator_says(helm, charge_points, capsys) -> None:
    assert loadtest(["size", "--charge-points", str(charge_points), "--format", "helm-values"]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    deployments = [it for it in render(values=values, helm=helm) if it["kind"] == "Deployment"]
    replicas = {it["metadata"]["name"].removeprefix("ocpp-gateway-"): it["spec"]["replicas"] for it in deployments}
    wanted = {name: tier["replicas"] for name, tier in values["workers"].items()}
    assert replicas == {"gateway": values["gateway"]["replicas"], **wanted}


def _open_objects(schema, path) -> Iterator[str]:
    """Where objects may have members of any name and kind."""
    definitions = schema["definitions"]

    def walk(part, path) -> Iterator[str]:
        if "$ref" in part:
            part = definitions[part["$ref"].rpartition("/")[2]]
        if part.get("type") == "object" and "additionalProperties" not in part:
            yield path
        for name, child in part.get("properties", {}).items():
            yield from walk(child, f"{path}.{name}" if path else name)

    return walk(schema, path)


def _missing(schema, part, values, path) -> Iterator[str]:
    if "$ref" in part:
        part = schema["definitions"][part["$ref"].rpartition("/")[2]]
    if "settings" in path.rpartition(".")[2].lower() or not isinstance(values, dict):
        return
    for name, child in part.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        if name not in values:
            yield where
        else:
            yield from _missing(schema, child, values[name], where)


def _differences(wanted, found, path) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [line for name, part in wanted.items() for line in _differences(part, found.get(name), f"{path}.{name}")]
    return [] if wanted == found else [f"{path}: {found} and not {wanted}"]
