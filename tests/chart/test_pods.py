"""Pods satisfy the restricted standard, are found by what selects them, and outlive what a cluster does to them."""

import pytest

from tests.support.charts import (
    COMPONENTS,
    EVERYTHING,
    EXAMPLES,
    SERVICES,
    Document,
    containers_of,
    example,
    of_kind,
    only,
    pods_of,
    render,
)

# https://kubernetes.io/docs/concepts/security/pod-security-standards/, restricted
ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}


def breaches_of(pod: Document) -> list[str]:
    spec = pod["spec"]
    security = spec["securityContext"]
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    found += [
        f"sysctl {sysctl['name']}" for sysctl in security.get("sysctls", ()) if sysctl["name"] not in SAFE_SYSCTLS
    ]
    for volume in spec.get("volumes", ()):
        found += [f"volume {kind}" for kind in volume.keys() - {"name"} - ALLOWED_VOLUMES]
    for container in containers_of(pod):
        own = {**security, **container.get("securityContext", {})}
        wanted = {
            "non-root": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
            "no escalation": own.get("allowPrivilegeEscalation") is False,
            "not privileged": not own.get("privileged"),
            "no capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "seccomp": own.get("seccompProfile") == {"type": "RuntimeDefault"},
            "no host ports": not any("hostPort" in port for port in container.get("ports", ())),
        }
        found += [f"{container['name']}: {what}" for what, holds in wanted.items() if not holds]
    return found


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_every_pod_satisfies_the_restricted_standard_and_more(name) -> None:
    pods = pods_of(example(name))
    assert {kind.partition("/")[0] for kind in pods} == {"Deployment", "Job", "Pod"}
    for owner, pod in pods.items():
        assert breaches_of(pod) == [], owner
        assert pod["spec"]["automountServiceAccountToken"] is False, owner
        assert pod["spec"]["enableServiceLinks"] is False, owner
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001, owner
        for container in containers_of(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, owner
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, owner
            assert container["resources"]["limits"].keys() == {"memory"}, owner


def test_somaxconn_is_left_alone_until_asked_for_and_then_breaks_the_standard_alone() -> None:
    documents = render("--set", "gateway.sysctls.somaxconn=16384")
    gateway = pods_of(documents)["Deployment/ocpp-gateway-gateway"]
    assert breaches_of(gateway) == ["sysctl net.core.somaxconn"]
    assert gateway["spec"]["securityContext"]["sysctls"] == [{"name": "net.core.somaxconn", "value": "16384"}]


def test_the_service_account_has_no_token_either() -> None:
    account = only(example(EVERYTHING), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    used = {pod["spec"]["serviceAccountName"] for pod in pods_of(example(EVERYTHING)).values()}
    assert used == {account["metadata"]["name"]}


def test_liveness_depends_on_the_process_alone_and_readiness_on_what_it_needs() -> None:
    for component in COMPONENTS:
        (container,) = pods_of(example(""))[f"Deployment/ocpp-gateway-{component}"]["spec"]["containers"]
        paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
        assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


@pytest.mark.parametrize("name", ["", EVERYTHING])
def test_whatever_selects_pods_selects_those_of_one_component(name) -> None:
    documents = example(name)
    selecting = {
        **{f"Deployment/{it['metadata']['name']}": it["spec"]["selector"] for it in of_kind(documents, "Deployment")},
        **{f"PDB/{it['metadata']['name']}": it["spec"]["selector"] for it in _budgets(documents)},
        **{
            f"Service/{it['metadata']['name']}": {"matchLabels": it["spec"]["selector"]}
            for it in of_kind(documents, "Service")
        },
    }
    assert len(selecting) == 3 * len(COMPONENTS) + 1
    for name_, selector in selecting.items():
        found = [owner for owner, pod in pods_of(documents).items() if _selected(selector, pod)]
        component = selector["matchLabels"]["app.kubernetes.io/component"]
        assert found == [f"Deployment/ocpp-gateway-{component}"], name_


def test_pods_spread_over_zones_and_hosts_by_their_own_labels() -> None:
    for component in COMPONENTS:
        pod = pods_of(example(""))[f"Deployment/ocpp-gateway-{component}"]
        constraints = pod["spec"]["topologySpreadConstraints"]
        assert {it["topologyKey"] for it in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        for constraint in constraints:
            assert _selected(constraint["labelSelector"], pod)
    gateway = pods_of(example(EVERYTHING))["Deployment/ocpp-gateway-gateway"]["spec"]["topologySpreadConstraints"]
    assert [it["whenUnsatisfiable"] for it in gateway if "zone" in it["topologyKey"]] == ["DoNotSchedule"]
    worker = pods_of(example(EVERYTHING))["Deployment/ocpp-gateway-metering"]["spec"]["topologySpreadConstraints"]
    assert [it["topologyKey"] for it in worker] == ["kubernetes.io/hostname"]


def test_budgets_let_one_go_and_never_hold_up_a_node_for_one_that_is_broken() -> None:
    budgets = _budgets(example(""))
    assert len(budgets) == len(COMPONENTS)
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_an_upgrade_never_takes_away_before_something_new_is_there() -> None:
    for deployment in of_kind(example(EVERYTHING), "Deployment"):
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_where_something_else_counts_replicas_the_chart_does_not() -> None:
    for documents in (example(""), example(EVERYTHING), render("--set", "workers.autoscaling.mode=hpa")):
        scaled = {
            it["spec"]["scaleTargetRef"]["name"] for it in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject")
        }
        for deployment in of_kind(documents, "Deployment"):
            assert ("replicas" in deployment["spec"]) is (deployment["metadata"]["name"] not in scaled)
    scaled_names = {it["metadata"]["name"] for it in of_kind(example(EVERYTHING), "ScaledObject")}
    assert scaled_names == {f"ocpp-gateway-{service}" for service in SERVICES if service != "commands"}


def test_placement_labels_and_extras_of_values_reach_the_pods() -> None:
    pods = pods_of(example(EVERYTHING))
    gateway = pods["Deployment/ocpp-gateway-gateway"]
    assert gateway["metadata"]["labels"]["example.com/edge"] == "yes"
    assert gateway["metadata"]["labels"]["team"] == "charging"
    assert gateway["metadata"]["annotations"]["example.com/note"] == "gateway"
    spec = gateway["spec"]
    assert (spec["priorityClassName"], spec["nodeSelector"]) == ("ocpp-gateway", {"example.com/pool": "edge"})
    assert spec["tolerations"][0]["key"] == "edge"
    assert "nodeAffinity" in spec["affinity"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"name": "TZ", "value": "UTC"} in spec["containers"][0]["env"]
    assert "zones" in {volume["name"] for volume in spec["volumes"]}
    assert spec["containers"][0]["image"].startswith("registry.example.com/ocpp-gateway@sha256:")
    assert pods["Deployment/ocpp-gateway-metering"]["spec"]["nodeSelector"] == {"example.com/pool": "work"}


def test_a_changed_file_replaces_the_gateways_and_a_changed_chart_version_does_not() -> None:
    def template(*arguments) -> Document:
        return pods_of(render(*arguments))["Deployment/ocpp-gateway-gateway"]

    rules = '[[rule]]\nvendor = "A"\npolicy = "warn"\n'
    assert template("--set-string", f"gateway.validationRules={rules}") != template(
        "--set-string", f"gateway.validationRules={rules.replace('warn', 'pass')}"
    )
    assert not any("chart" in label or "version" in label for label in template()["metadata"]["labels"])


def test_the_brokers_majority_outlives_a_drain_of_nodes() -> None:
    budget = only(example(""), "PodDisruptionBudget", "-rabbitmq")["spec"]
    name = only(example(""), "RabbitmqCluster")["metadata"]["name"]
    assert (budget["maxUnavailable"], budget["selector"]["matchLabels"]) == (1, {"app.kubernetes.io/name": name})


def _budgets(documents) -> list[Document]:
    """Those of processes of ours."""
    found = of_kind(documents, "PodDisruptionBudget")
    return [it for it in found if not it["metadata"]["name"].endswith("-rabbitmq")]


def _selected(selector: Document, pod: Document) -> bool:
    return bool(selector["matchLabels"].items() <= pod["metadata"]["labels"].items())
