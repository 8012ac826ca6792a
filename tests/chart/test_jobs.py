"""Jobs and pods run commands that there are, in the order in which each needs the other."""

import argparse

import pytest

from contracts.permissions import BrokerUser
from loadtest.cli import _parser as loadtest_parser
from tests.support.charts import EVERYTHING, EXAMPLES, SERVICES, containers_of, example, of_kind, only, pods_of, render
from workers.cli import _parser as worker_parser


def commands_of(documents, job) -> list[str]:
    (owner,) = [name for name in pods_of(documents) if name.startswith(f"Job/ocpp-gateway-{job}-")]
    return [" ".join(container["command"]) for container in containers_of(pods_of(documents)[owner])]


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_every_command_of_a_container_is_one_that_our_programs_know(name, monkeypatch) -> None:
    for pod in pods_of(example(name)).values():
        for container in containers_of(pod):
            program, *arguments = container["command"]
            if program == "ocpp-worker":
                worker_parser().parse_args(arguments)
            elif program == "ocpp-loadtest":
                chosen = loadtest_parser().parse_args(arguments)
                assert chosen.boot_only
            else:
                assert program == "ocpp-gateway"
                _gateway_parse(arguments, monkeypatch)


def _gateway_parse(arguments, monkeypatch) -> None:
    """Let the gateway's own command line read them, and stop there."""
    from gateway import cli

    class ReadError(Exception):
        pass

    def parse(self, given):
        original(self, given)
        raise ReadError

    original = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(ReadError):
        cli.main(arguments)
    monkeypatch.undo()


def test_tables_come_before_roles_and_roles_before_what_is_put_on_record() -> None:
    assert commands_of(example(""), "migrate") == ["ocpp-worker migrate"]
    assert commands_of(example(EVERYTHING), "migrate") == [
        "ocpp-worker migrate",
        "ocpp-worker grant-roles --prefix ocpp_",
        "ocpp-worker provision /etc/ocpp/plan/plan.toml",
    ]


def test_users_come_before_exchanges_and_queues_which_one_of_them_declares() -> None:
    assert commands_of(example(""), "topology") == ["ocpp-gateway declare"]
    assert commands_of(example(EVERYTHING), "topology") == [
        "ocpp-gateway grant --passwords /etc/ocpp/users/passwords.toml --prefix ocpp-",
        "ocpp-gateway declare",
    ]
    (owner,) = [name for name in pods_of(example(EVERYTHING)) if name.startswith("Job/ocpp-gateway-topology-")]
    grant, declare = containers_of(pods_of(example(EVERYTHING))[owner])
    values = [{entry["name"]: entry.get("value", "") for entry in it["env"]} for it in (grant, declare)]
    assert "$(BROKER_USER):" in values[0]["AMQP_MANAGEMENT_URL"]
    assert "//ocpp-declare:" in values[1]["AMQP_MANAGEMENT_URL"]
    assert "//ocpp-declare:" in values[1]["AMQP_URL"]


def test_users_of_processes_are_users_that_are_granted() -> None:
    assert {"gateway", "declare", *SERVICES} <= set(BrokerUser)


def test_workers_wait_for_their_tables_instead_of_dying_for_want_of_them() -> None:
    for service in SERVICES:
        spec = pods_of(example(""))[f"Deployment/ocpp-gateway-{service}"]["spec"]
        assert [it["command"] for it in spec["initContainers"]] == [["ocpp-worker", "await-schema"]]
        assert [it["command"] for it in spec["containers"]] == [["ocpp-worker", service]]


def test_workers_get_the_time_that_they_take_to_end() -> None:
    for service in SERVICES:
        spec = pods_of(example(EVERYTHING))[f"Deployment/ocpp-gateway-{service}"]["spec"]
        assert spec["terminationGracePeriodSeconds"] >= 30 + 10


def test_jobs_try_again_but_not_with_settings_that_are_wrong() -> None:
    for job in of_kind(example(""), "Job"):
        assert job["spec"]["backoffLimit"] >= 10
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it
        assert job["spec"]["podFailurePolicy"]["rules"] == [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}
        ]
        assert not job["metadata"].get("annotations", {})  # a hook would wait for what waits for it


def test_a_job_is_a_new_one_when_it_would_do_something_else_and_only_then() -> None:
    def names(*arguments) -> list[str]:
        return sorted(it["metadata"]["name"] for it in of_kind(render(*arguments), "Job"))

    before = names()
    assert before == names("--set", "gateway.replicas=5")
    # a job with the name of before and another pod would be refused by Kubernetes
    for change in ("image.tag=2.0.0", "commonLabels.team=a", "serviceAccount.name=b", "image.pullSecrets={c}"):
        changed = names("--set", change)
        assert len(changed) == 2
        assert not set(changed) & set(before), change


def test_the_postgres_roles_exist_before_their_privileges_are_granted() -> None:
    spec = only(example(EVERYTHING), "Cluster")["spec"]
    roles = {role["name"]: role["passwordSecret"]["name"] for role in spec["managed"]["roles"]}
    assert roles == {f"ocpp_{service}": f"ocpp-database-{service}" for service in SERVICES}
    assert spec["bootstrap"]["initdb"]["postInitApplicationSQL"] == ["ALTER ROLE ocpp CREATEROLE"]
    assert "managed" not in only(example(""), "Cluster")["spec"]


def test_what_is_laid_over_a_store_leaves_the_rest_as_it_is() -> None:
    broker = only(example(EVERYTHING), "RabbitmqCluster")["spec"]
    assert (broker["terminationGracePeriodSeconds"], broker["replicas"]) == (3600, 3)
    assert "channel_max = 64" in broker["rabbitmq"]["additionalConfig"]
    assert only(example(EVERYTHING), "Cluster")["spec"]["enableSuperuserAccess"] is False


def test_stores_outlive_the_release_that_made_them() -> None:
    for store in of_kind(example(""), "RabbitmqCluster", "Cluster"):
        assert store["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_certificates_are_made_for_the_names_and_the_service_and_mounted_where_they_are_used() -> None:
    documents = example(EVERYTHING)
    certificates = {it["spec"]["secretName"]: it["spec"] for it in of_kind(documents, "Certificate")}
    gateway = pods_of(documents)["Deployment/ocpp-gateway-gateway"]["spec"]
    mounted = {volume["secret"]["secretName"] for volume in gateway["volumes"] if "secret" in volume}
    assert certificates.keys() == {"ocpp-gateway-tls-ecdsa", "ocpp-gateway-tls-rsa", "ocpp-gateway-authority"}
    assert certificates.keys() <= mounted
    assert certificates["ocpp-gateway-tls-rsa"]["dnsNames"] == [
        "ocpp.example.com",
        "ocpp-gateway-gateway",
        "ocpp-gateway-gateway.ocpp.svc",
    ]
    assert certificates["ocpp-gateway-authority"]["isCA"] is True


def test_the_authoritys_key_goes_to_authorization_alone() -> None:
    for owner, pod in pods_of(example(EVERYTHING)).items():
        for volume in pod["spec"].get("volumes", ()):
            secret = volume.get("secret", {})
            if secret.get("secretName") == "ocpp-gateway-authority":
                keys = {item["key"] for item in secret["items"]}
                assert ("tls.key" in keys) is (owner == "Deployment/ocpp-gateway-authorization"), owner


def test_the_charge_point_of_helm_test_connects_to_the_service_by_a_name_in_its_certificate() -> None:
    (container,) = only(example(""), "Pod")["spec"]["containers"]
    assert "--url=ws://ocpp-gateway-gateway.ocpp.svc:80/ocpp" in container["command"]
    manager = {"enabled": True, "issuerRef": {"name": "internal"}, "serviceNames": True}
    values = {"gateway": {"plain": {"enabled": False}, "tls": {"enabled": True, "certManager": manager}}}
    pod = only(render(values=values), "Pod")
    (container,) = pod["spec"]["containers"]
    assert "--url=wss://ocpp-gateway-gateway.ocpp.svc:443/ocpp" in container["command"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_the_charge_point_of_helm_test_shows_what_it_is_given() -> None:
    pod = only(example(EVERYTHING), "Pod")
    (container,) = pod["spec"]["containers"]
    shown = ("--url=wss://ocpp.example.com/ocpp", "--version=2.0.1", "--ca-file=/etc/ocpp/test-ca/ca.crt")
    assert set(shown) <= set(container["command"])
    assert [entry["name"] for entry in container["env"]] == ["OCPP_LOADTEST_PASSWORD"]
    assert {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume} == {
        "ocpp-gateway-tls-ecdsa",
        "ocpp-helm-test-client",
    }
