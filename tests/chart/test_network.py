"""Network policies let through what each component needs, and nothing else."""

import pytest

from tests.support.charts import COMPONENTS, EVERYTHING, SERVICES, Document, example, of_kind, only, pods_of, render

DNS = {53}
BROKER, BROKER_TLS, MANAGEMENT, DATABASE, COLLECTOR = 5672, 5671, 15672, 5432, 4318


def egress_of(policy) -> set[int]:
    return {port["port"] for rule in policy["spec"].get("egress", ()) for port in rule["ports"]}


def ingress_of(policy) -> set[str]:
    return {port["port"] for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]}


def policies(documents) -> dict[str, Document]:
    return {
        policy["metadata"]["name"].removeprefix("ocpp-gateway-"): policy
        for policy in of_kind(documents, "NetworkPolicy")
    }


def test_each_component_reaches_what_it_needs_and_no_more() -> None:
    worker = DNS | {BROKER, DATABASE}
    assert {name: egress_of(policy) for name, policy in policies(example("")).items()} == {
        "gateway": DNS | {BROKER},
        **dict.fromkeys(SERVICES, worker),
        "migrate": DNS | {DATABASE},
        "topology": DNS | {BROKER, MANAGEMENT},
    }


def test_with_everything_on_tls_tracing_and_provisioning_have_their_ports() -> None:
    worker = DNS | {BROKER_TLS, DATABASE, COLLECTOR}
    assert {name: egress_of(policy) for name, policy in policies(example(EVERYTHING)).items()} == {
        "gateway": DNS | {BROKER_TLS, COLLECTOR},
        **dict.fromkeys(SERVICES, worker),
        "migrate": DNS | {DATABASE, BROKER_TLS},
        "topology": DNS | {BROKER_TLS, MANAGEMENT},
    }


def test_sockets_are_open_where_gateways_listen_and_monitors_to_monitoring_alone() -> None:
    for name, sockets in (("", {"ocpp"}), (EVERYTHING, {"ocpp", "ocpps"}), ("1000", {"ocpps"})):
        found = policies(example(name))
        assert ingress_of(found["gateway"]) == sockets | {"monitor"}
        assert all(ingress_of(found[service]) == {"monitor"} for service in SERVICES)
        assert all(not ingress_of(found[job]) for job in ("migrate", "topology"))
    monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    for component in COMPONENTS:
        rules = policies(example(EVERYTHING))[component]["spec"]["ingress"]
        assert [rule["from"] for rule in rules if rule["ports"][0]["port"] == "monitor"] == [monitoring]


def test_both_directions_are_closed_but_for_what_is_said() -> None:
    for policy in policies(example(EVERYTHING)).values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["egress"]


def test_every_pod_but_that_of_the_test_has_exactly_one_policy() -> None:
    for name in ("", EVERYTHING):
        for owner, pod in pods_of(example(name)).items():
            labels = pod["metadata"]["labels"]
            chosen = [
                it
                for it in policies(example(name)).values()
                if it["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
            ]
            assert len(chosen) == (0 if owner.startswith("Pod/") else 1), owner


def test_the_test_pod_may_connect_where_others_are_kept_out() -> None:
    documents = example(EVERYTHING)
    (sockets, _) = policies(documents)["gateway"]["spec"]["ingress"]
    selector = next(peer["podSelector"]["matchLabels"] for peer in sockets["from"] if "podSelector" in peer)
    assert selector.items() <= only(documents, "Pod")["metadata"]["labels"].items()


def test_stores_of_the_release_are_reached_by_their_operators_labels() -> None:
    rules = policies(example(""))["metering"]["spec"]["egress"]
    peers = [peer["podSelector"]["matchLabels"] for rule in rules for peer in rule.get("to", ())]
    assert peers == [
        {"app.kubernetes.io/name": only(example(""), "RabbitmqCluster")["metadata"]["name"]},
        {"cnpg.io/cluster": only(example(""), "Cluster")["metadata"]["name"]},
    ]


def test_external_stores_are_reached_at_their_ports_and_peers() -> None:
    values = {
        "broker": {"mode": "external", "external": {"existingSecret": "b", "port": 5673, "managementPort": 443}},
        "database": {"mode": "external", "external": {"existingSecret": "d", "port": 6432}},
        "networkPolicy": {"databaseTo": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
    }
    found = policies(render(values=values))
    assert egress_of(found["metering"]) == DNS | {5673, 6432}
    assert egress_of(found["topology"]) == DNS | {5673, 443}
    (to_database,) = [rule for rule in found["metering"]["spec"]["egress"] if rule["ports"][0]["port"] == 6432]
    assert to_database["to"] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]


def test_dns_is_reached_where_it_serves() -> None:
    values = {"networkPolicy": {"dnsPorts": [5353]}}
    assert egress_of(policies(render(values=values))["gateway"]) == {5353, BROKER}


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://collector:4318", 4318), ("https://collector/v1", 443), ("http://collector", 80)]
)
def test_the_collectors_port_is_that_of_its_endpoint(endpoint, port) -> None:
    values = {"tracing": {"exporter": "otlp", "endpoint": endpoint}}
    assert egress_of(policies(render(values=values))["gateway"]) == DNS | {BROKER, port}


def test_sockets_come_through_a_service_apart_from_metrics() -> None:
    documents = example(EVERYTHING)
    sockets = only(documents, "Service", "-gateway")["spec"]
    assert sockets["externalTrafficPolicy"] == "Local"
    assert [(port["port"], port["targetPort"]) for port in sockets["ports"]] == [(80, "ocpp"), (443, "ocpps")]
    metrics = [it["spec"] for it in of_kind(documents, "Service") if it["metadata"]["name"].endswith("-metrics")]
    assert len(metrics) == len(COMPONENTS)
    assert {(it["type"], port["targetPort"]) for it in metrics for port in it["ports"]} == {("ClusterIP", "monitor")}


def test_routes_lead_to_the_listener_of_their_kind() -> None:
    documents = example(EVERYTHING)
    service = only(documents, "Service", "-gateway")
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    (path,) = only(documents, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == "/ocpp"
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "ocpp"}}
    (rule,) = only(documents, "HTTPRoute")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": ports["ocpp"]}]
    assert rule["timeouts"] == {"request": "0s"}
    (rule,) = only(documents, "TLSRoute")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": ports["ocpps"]}]
