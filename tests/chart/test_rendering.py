"""The chart is clean, renders alike by both generations of Helm, and Kubernetes would take every object."""

import copy
import shutil

import pytest

from tests.support.chart_schemas import problems_of
from tests.support.charts import (
    CHART,
    EVERYTHING,
    EXAMPLES,
    HELMS,
    RefusedError,
    example,
    example_text,
    of_kind,
    only,
    render,
    render_text,
    run_helm,
)

# What excludes something in the example `everything`.
OTHERWISE = {
    "external stores": {
        "broker": {
            "mode": "external",
            "external": {"existingSecret": "broker", "managementUrlKey": "management", "host": "rabbit.example.com"},
            "leastRights": {"enabled": True, "existingSecret": "users"},
        },
        "database": {
            "mode": "external",
            "external": {"existingSecret": "database", "host": "db.example.com"},
            "leastRights": {"enabled": True},
        },
        "workers": {"autoscaling": {"mode": "keda"}},
        "networkPolicy": {"brokerTo": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
    },
    "hpa, podmonitor, own certificates": {
        "gateway": {
            "tls": {"enabled": True, "existingSecrets": ["rsa", "ec"]},
            "clientCa": {"existingSecret": "authorities"},
            "proxy": {"trustedNetworks": ["10.0.0.0/8"], "clientCertificateHeader": "X-Client-Cert"},
            "service": {"type": "NodePort"},
            "sysctls": {"somaxconn": 16384},
            "extraEnv": [{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "x", "key": "value"}}}],
        },
        "workers": {"autoscaling": {"mode": "hpa"}},
        "authority": {"existingSecret": "authority"},
        "monitoring": {"podMonitor": {"enabled": True}},
        "tracing": {"exporter": "console", "sampler": "always_on"},
    },
}


@pytest.mark.parametrize("helm", HELMS)
def test_lint_finds_nothing_however_strict(helm) -> None:
    done = run_helm(helm, "lint", "--strict", str(CHART), "--values", str(CHART / "examples" / f"{EVERYTHING}.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_both_helms_make_the_same_of_each_example(name) -> None:
    assert example_text(name, "helm 3") == example_text(name, "helm 4")


def test_kubernetes_would_take_every_object() -> None:
    examples = [document for name in ("", *EXAMPLES) for document in example(name)]
    others = [document for values in OTHERWISE.values() for document in render(values=values)]
    assert {document["kind"] for document in examples} >= {"Deployment", "ScaledObject", "RabbitmqCluster", "TLSRoute"}
    assert problems_of([*examples, *others]) == []


def test_the_schemas_see_wrong_and_unknown_fields_and_unknown_kinds() -> None:
    documents = copy.deepcopy(example(EVERYTHING))
    only(documents, "Deployment", "-gateway")["spec"]["template"]["spec"]["containers"][0]["comand"] = ["x"]
    only(documents, "Cluster")["spec"]["instancez"] = 3
    only(documents, "RabbitmqCluster")["spec"]["replicas"] = "three"
    scaled = of_kind(documents, "ScaledObject")[0]["spec"]
    scaled["triggers"][0]["meta"], scaled["pollingInterval"] = {}, "often"
    documents.append({"apiVersion": "example.com/v1", "kind": "Strange", "metadata": {"name": "x"}})
    problems = "\n".join(line for line in problems_of(documents) if "in 1.30.0" not in line)
    for part in (
        "comand",
        "spec.instancez",
        "three",
        "spec.triggers.0.meta",
        "pollingInterval",
        "no schema of example",
    ):
        assert part in problems
    assert len(problems.splitlines()) == 6


def test_no_two_objects_have_the_same_name() -> None:
    documents = example(EVERYTHING)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
    assert all(document["metadata"]["namespace"] == "ocpp" for document in documents)


def test_names_stay_within_their_bounds_for_a_long_release() -> None:
    documents = render("--set", "fullnameOverride=a-name-for-all-of-it-that-is-as-long-as-kubernetes-allows-it-123")
    assert all(len(document["metadata"]["name"]) <= 63 for document in documents)
    assert len(only(documents, "RabbitmqCluster")["metadata"]["name"] + "-server") <= 52  # a StatefulSet's
    assert len(only(documents, "Cluster")["metadata"]["name"]) <= 50  # CloudNativePG refuses more
    assert len({(document["kind"], document["metadata"]["name"]) for document in documents}) == len(documents)


def test_notes_say_what_to_do_next_and_warn_of_what_is_risky(tmp_path) -> None:
    notes = _notes(tmp_path)
    assert "helm test ocpp-gateway -n ocpp" in notes
    for risk in ("OCPP_REGISTRATION is open", "share one user", "share one role", "Nobody scrapes"):
        assert risk in notes
    assert "clear from outside" not in notes


def test_notes_of_a_careful_installation_have_no_warning(tmp_path) -> None:
    assert "WARNINGS" not in _notes(tmp_path, "--values", str(CHART / "examples/300000.yaml"))


def test_notes_name_the_time_that_all_gateways_take_however_many_the_autoscaler_makes(tmp_path) -> None:
    notes = _notes(tmp_path, "--set", "gateway.autoscaling.enabled=true,gateway.autoscaling.maxReplicas=20")
    assert "one gateway each 155 s, 3100 s for 20:" in notes


def test_notes_warn_of_gateways_that_let_everybody_in_from_outside(tmp_path) -> None:
    values = {
        "settings": {"OCPP_REGISTRATION": "open"},
        "gateway": {
            "replicas": 1,
            "settings": {"OCPP_GATEWAY_AUTHENTICATION": False},
            "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"},
            "podDisruptionBudget": {"enabled": False},
            "sysctls": {"somaxconn": 4096},
        },
        "networkPolicy": {"enabled": False},
        "ingress": {"enabled": True, "hosts": ["a"]},
        "broker": {"operator": {"replicas": 1}},
    }
    notes = _notes(tmp_path, values=values)
    for risk in (
        "everyone is let in unasked",
        "clear from outside",
        "is Cluster",
        "its headers are not believed",
        "gateway.replicas is 1",
        "podDisruptionBudget is off",
        "unsafe sysctl",
        "networkPolicy is off",
        "fewer than three nodes",
    ):
        assert risk in notes


def test_a_refusal_comes_with_words() -> None:
    with pytest.raises(RefusedError, match="nobody could connect"):
        render_text("--set", "gateway.plain.enabled=false", "--set", "test.enabled=false")


def _notes(tmp_path, *arguments: str, values=None) -> str:
    """As `helm install` shows them; `helm template` leaves them out, so they are made a template like another."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    notes = chart / "templates/NOTES.txt"
    shown = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | quote }}\n'
    (chart / "templates/notes.yaml").write_text(
        f'{{{{- define "notes" -}}}}{notes.read_text()}{{{{- end -}}}}\n{shown}'
    )
    notes.unlink()
    documents = render("--show-only", "templates/notes.yaml", *arguments, values=values, chart=chart)
    return str(only(documents, "Notes")["text"])
