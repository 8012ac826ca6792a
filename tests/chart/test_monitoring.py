"""What is scraped, watched and scaled by: names of ports, queues, files and metrics are those that there are."""

import shutil

import orjson
import pytest
import yaml

from contracts import topology
from contracts.actions import Service
from tests.support.chart_schemas import problems_of
from tests.support.charts import (
    CHART,
    COMPONENTS,
    EVERYTHING,
    SERVICES,
    Document,
    example,
    of_kind,
    only,
    pods_of,
    render,
)

RULES = """# kept as it is
groups:
  - name: ocpp
    rules:
      - alert: OcppTest
        expr: sum(rate(ocpp_ws_active_connections[5m])) > 1
        annotations:
          summary: "{{ $labels.pod }} has {{ $value | humanize }}"
          runbook_url: docs/runbooks/OcppTest.md
"""
DASHBOARD = '{\n  "title": "A",\n  "legend": "{{pod}} {{ $labels }}"\n}\n'


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    """The chart with rules and a dashboard of ours in it, whatever is there besides."""
    copied = tmp_path_factory.mktemp("chart") / "ocpp-gateway"
    shutil.copytree(CHART, copied)
    for folder, name, text in (("rules", "own.yaml", RULES), ("dashboards", "own.json", DASHBOARD)):
        (copied / folder).mkdir(exist_ok=True)
        (copied / folder / name).write_text(text)
    return copied


def on(chart, **monitoring) -> list[Document]:
    watched = {"rules": {"enabled": True}, "dashboards": {"enabled": True}, **monitoring}
    return render(values={"monitoring": watched}, chart=chart)


def test_every_rules_file_becomes_a_rule_object_unchanged(chart) -> None:
    documents = on(chart)
    rules = of_kind(documents, "PrometheusRule")
    assert len(rules) == len(list((chart / "rules").glob("*.yaml")))
    assert problems_of(rules) == []
    for file in (chart / "rules").glob("*.yaml"):
        assert only(documents, "PrometheusRule", f"-{file.stem}")["spec"] == yaml.safe_load(file.read_text())


def test_runbooks_get_the_address_where_they_are_published(chart) -> None:
    documents = on(chart, runbookBaseUrl="https://example.com/tree/")
    (rule,) = only(documents, "PrometheusRule", "-own")["spec"]["groups"][0]["rules"]
    assert rule["annotations"]["runbook_url"] == "https://example.com/tree/docs/runbooks/OcppTest.md"
    assert "{{ $labels.pod }}" in rule["annotations"]["summary"]


def test_every_dashboard_becomes_a_config_map_byte_by_byte(chart) -> None:
    documents = on(chart)
    found = {
        name: text
        for it in of_kind(documents, "ConfigMap")
        if it["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in it["data"].items()
    }
    assert found == {file.name: file.read_text() for file in (chart / "dashboards").glob("*.json")}
    assert all(orjson.loads(text) for text in found.values())


def test_nothing_of_it_is_there_until_it_is_wanted(chart) -> None:
    documents = render(chart=chart)
    assert not of_kind(documents, "PrometheusRule", "ServiceMonitor", "PodMonitor")
    assert not [it for it in of_kind(documents, "ConfigMap") if "dashboard" in it["metadata"]["name"]]


def test_each_monitor_finds_the_monitor_port_of_every_component() -> None:
    monitor = only(example(EVERYTHING), "ServiceMonitor", "ocpp-gateway")["spec"]
    services = [
        it
        for it in of_kind(example(EVERYTHING), "Service")
        if _matches(monitor["selector"], it["metadata"]["labels"])
        and monitor["endpoints"][0]["port"] in {port["name"] for port in it["spec"]["ports"]}
    ]
    assert {it["spec"]["selector"]["app.kubernetes.io/component"] for it in services} == set(COMPONENTS)
    assert len(services) == len(COMPONENTS)
    assert (
        monitor["endpoints"][0]["honorLabels"] is True
    )  # or `service` of workers' metrics would be the Service's name
    documents = render("--set", "monitoring.podMonitor.enabled=true")
    monitor = only(documents, "PodMonitor")["spec"]
    pods = {
        owner: pod
        for owner, pod in pods_of(documents).items()
        if _matches(monitor["selector"], pod["metadata"]["labels"])
    }
    assert pods.keys() == {f"Deployment/ocpp-gateway-{component}" for component in COMPONENTS}
    for pod in pods.values():
        assert monitor["podMetricsEndpoints"][0]["port"] in {it["name"] for it in pod["spec"]["containers"][0]["ports"]}


def test_the_broker_is_scraped_as_a_whole_and_by_queue() -> None:
    whole, queues = only(example(EVERYTHING), "ServiceMonitor", "-rabbitmq")["spec"]["endpoints"]
    assert (whole["path"], queues["path"]) == ("/metrics", "/metrics/detailed")
    assert queues["params"] == {"family": ["queue_coarse_metrics", "queue_consumer_count"]}
    plugins = only(example(EVERYTHING), "RabbitmqCluster")["spec"]["rabbitmq"]["additionalPlugins"]
    assert {"rabbitmq_consistent_hash_exchange", "rabbitmq_prometheus", "rabbitmq_shovel"} <= set(plugins)


def test_workers_scale_by_the_length_and_the_rate_of_their_own_queue() -> None:
    documents = example(EVERYTHING)
    login = only(documents, "TriggerAuthentication")["metadata"]["name"]
    for service in SERVICES[:-1]:
        spec = only(documents, "ScaledObject", f"-{service}")["spec"]
        assert spec["scaleTargetRef"]["name"] == f"ocpp-gateway-{service}"
        assert {it["metadata"]["mode"] for it in spec["triggers"]} == {"QueueLength", "MessageRate"}
        for trigger in spec["triggers"]:
            assert trigger["metadata"]["queueName"] == topology.calls_queue(Service(service))
            assert trigger["metadata"]["protocol"] == "http"  # a rate is not told by AMQP
            assert trigger["authenticationRef"]["name"] == login
            assert not {"username", "password"} & trigger["metadata"].keys()
        assert spec["minReplicaCount"] >= 2
        assert spec["fallback"]["replicas"] >= 2
        assert spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


def test_without_keda_workers_scale_by_cpu() -> None:
    scalers = of_kind(render("--set", "workers.autoscaling.mode=hpa"), "HorizontalPodAutoscaler")
    assert {it["spec"]["scaleTargetRef"]["name"] for it in scalers} == {f"ocpp-gateway-{it}" for it in SERVICES[:-1]}
    for scaler in scalers:
        assert [it["resource"]["name"] for it in scaler["spec"]["metrics"]] == ["cpu"]
        assert scaler["spec"]["minReplicas"] == 2


def test_an_external_brokers_queues_are_asked_for_by_the_url_of_its_secret() -> None:
    values = {
        "broker": {"mode": "external", "external": {"existingSecret": "broker", "managementUrlKey": "management"}},
        "workers": {"autoscaling": {"mode": "keda"}},
    }
    documents = render(values=values)
    assert only(documents, "TriggerAuthentication")["spec"]["secretTargetRef"] == [
        {"parameter": "host", "name": "broker", "key": "management"}
    ]
    triggers = only(documents, "ScaledObject", "-metering")["spec"]["triggers"]
    assert all("host" not in it["metadata"] for it in triggers)


def _matches(selector, labels) -> bool:
    return bool(
        selector["matchLabels"].items() <= labels.items()
        and all(labels.get(it["key"]) in it["values"] for it in selector["matchExpressions"])
    )
