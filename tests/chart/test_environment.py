"""What containers get as environment is read by the settings in code as it stands: known names, values they take."""

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.actions import Service
from contracts.broker.endpoint import BrokerEndpoint
from contracts.process.settings import ProcessSettings, check, variables
from gateway.settings import GatewaySettings
from tests.support.certificates import Authority, rsa_key
from tests.support.charts import (
    EVERYTHING,
    EXAMPLES,
    SERVICES,
    Document,
    containers_of,
    example,
    example_text,
    only,
    pods_of,
    render,
    variables_of,
)
from tools.chart.values_schema import SET_BY_CHART, SET_BY_TRACING, settings_schema
from workers.settings import WorkerSettings

OF_SECRETS = {"BROKER_USER", "BROKER_PASSWORD", "DATABASE_USER", "DATABASE_PASSWORD", "PROVISION_REVISION"}
SECRET = {
    "AMQP_URL": "amqp://user:pass@broker/",
    "AMQP_MANAGEMENT_URL": "http://user:pass@broker:15672",
    "DATABASE_URL": "postgresql+asyncpg://user:pass@db/ocpp",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every file that the chart mounts, as the processes find it."""
    root = tmp_path_factory.mktemp("etc")
    authority = Authority()
    for folder, issued in (
        ("tls/0", authority.server()),
        ("tls/1", authority.server(key=rsa_key())),
        ("broker-client", authority.client()),
    ):
        (root / folder).mkdir(parents=True)
        certificate, _ = issued.write(root / folder, "tls")
        certificate.rename(root / folder / "tls.crt")
    for folder, name in (("client-ca", "ca.crt"), ("broker-ca", "ca.crt"), ("authority", "tls.crt")):
        (root / folder).mkdir()
        authority.write(root / folder, name)
    (root / "client-crl").mkdir()
    (root / "client-crl/crl.pem").write_bytes(authority.revocations())
    key_pem = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (root / "authority/tls.key").write_bytes(key_pem)
    rules = only(example(EVERYTHING), "ConfigMap", "gateway-gateway")["data"]
    (root / "files").mkdir()
    for name, text in rules.items():
        (root / "files" / name).write_text(text)
    return root


def environment_of(container, files) -> dict[str, str]:
    """As the kubelet gives it: secrets filled in, $(NAME) expanded by what stands before, files where they are here."""
    found: dict[str, str] = {}
    for name, value in variables_of(container).items():
        text = SECRET.get(name, "Secret0123456789") if value is None else value
        text = re.sub(r"\$\((\w+)\)", lambda match: found[match.group(1)], text)
        found[name] = text.replace("/etc/ocpp/", f"{files}/")
    return found


def processes(documents) -> Iterator[tuple[str, Document, type[ProcessSettings]]]:
    """Every container that reads settings of ours, with the class that it reads them by."""
    for owner, pod in pods_of(documents).items():
        for container in containers_of(pod):
            command = container["command"][0]
            if command != "ocpp-loadtest":
                yield f"{owner}/{container['name']}", container, _CLASSES[command]


_CLASSES: dict[str, type[ProcessSettings]] = {"ocpp-gateway": GatewaySettings, "ocpp-worker": WorkerSettings}

EXTERNAL = {
    "broker": {"mode": "external", "external": {"existingSecret": "broker", "managementUrlKey": "management"}},
    "database": {"mode": "external", "external": {"existingSecret": "database"}},
}


def test_settings_in_code_take_the_environment_of_every_container(files, monkeypatch) -> None:
    different = {}
    for documents in (render(values=EXTERNAL), *(example(name) for name in ("", *EXAMPLES))):
        found = list(processes(documents))
        assert len(found) >= 1 + 2 * len(SERVICES) + 2
        for where, container, settings_class in found:
            environment = environment_of(container, files)
            different[settings_class, frozenset(environment.items())] = where
    for (settings_class, items), where in different.items():
        environment = dict(items)
        monkeypatch.setattr(os, "environ", environment)
        settings, problems = check(settings_class)
        monkeypatch.undo()
        assert problems == [], (where, problems)
        assert settings is not None
        known = {variable for variable, _, _ in variables(settings_class)} | OF_SECRETS | {"TZ"}
        assert environment.keys() <= known, where


def test_what_values_say_is_what_the_processes_go_by(files, monkeypatch) -> None:
    gateway = _settings(GatewaySettings, "Deployment/ocpp-gateway-gateway", files, monkeypatch)
    assert gateway.listen_port == 9310
    assert gateway.tls_listen_port == 9443
    assert gateway.max_connections == 30000
    assert gateway.max_frame_bytes == 2097152
    assert (gateway.compression, gateway.frame_log.value, gateway.log_level.value) == (False, "off", "debug")
    assert (gateway.registration.value, gateway.min_security_profile) == ("closed", 2)
    assert (gateway.proxy_protocol.value, gateway.proxies) == ("v2", "10.0.0.0/8,fd00::/8")
    assert gateway.drain_closes_per_second == 150.5
    assert not gateway.amqp_declares
    assert gateway.amqp_url.get_secret_value().startswith(
        "amqps://ocpp-gateway:Secret0123456789@ocpp-gateway-rabbitmq."
    )
    worker = _settings(WorkerSettings, "Deployment/ocpp-gateway-authorization", files, monkeypatch)
    assert worker.certificate_organization == "Example Charging"
    assert worker.ca_key_file is not None
    assert (worker.lanes, worker.grace_seconds, worker.interval_jitter) == (2, 30.0, 0.2)
    commands = _settings(WorkerSettings, "Deployment/ocpp-gateway-commands", files, monkeypatch)
    assert commands.events_format.value == "msgpack"
    assert commands.ca_key_file is None


def test_the_ports_of_pods_are_those_that_processes_listen_on(files, monkeypatch) -> None:
    settings = _settings(GatewaySettings, "Deployment/ocpp-gateway-gateway", files, monkeypatch)
    (container,) = pods_of(example(EVERYTHING))["Deployment/ocpp-gateway-gateway"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listening = {"ocpp": settings.listen_port, "ocpps": settings.tls_listen_port, "monitor": settings.monitor_port}
    assert ports == listening
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "monitor"


def test_every_mounted_path_that_a_setting_names_is_mounted() -> None:
    for owner, pod in pods_of(example(EVERYTHING)).items():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        for container in containers_of(pod):
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert {mount["name"] for mount in mounts.values()} <= volumes, owner
            words = [*(variables_of(container).values()), *container["command"]]
            for path in re.findall(r"/etc/ocpp/[\w./-]+", " ".join(word for word in words if word)):
                assert path.rpartition("/")[0] in mounts, (owner, path)
                assert mounts[path.rpartition("/")[0]]["readOnly"], (owner, path)


def test_with_least_rights_each_process_logs_in_as_its_own_user_and_role(files) -> None:
    documents = example(EVERYTHING)
    for component in ("gateway", *SERVICES):
        for container in containers_of(pods_of(documents)[f"Deployment/ocpp-gateway-{component}"]):
            environment = variables_of(container)
            assert (environment["AMQP_URL"] or "").startswith(f"amqps://ocpp-{component}:$(BROKER_PASSWORD)@")
            entries = {entry["name"]: entry for entry in container["env"]}
            assert entries["BROKER_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
                "name": "ocpp-broker-users",
                "key": component,
            }
            if component != "gateway":
                secret = entries["DATABASE_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"]
                assert secret == f"ocpp-database-{component}"


@pytest.mark.parametrize(("vhost", "read"), [("/", "/"), ("ocpp", "ocpp"), ("/ocpp", "/ocpp"), ("a/b", "a/b")])
def test_users_of_least_rights_log_in_to_the_virtual_host_of_values(vhost, read) -> None:
    external = {"existingSecret": "b", "managementUrlKey": "m", "host": "broker", "vhost": vhost}
    rights = {"enabled": True, "existingSecret": "users"}
    documents = render(values={"broker": {"mode": "external", "external": external, "leastRights": rights}})
    (container,) = pods_of(documents)["Deployment/ocpp-gateway-gateway"]["spec"]["containers"]
    url = variables_of(container)["AMQP_URL"]
    assert BrokerEndpoint.parse((url or "").replace("$(BROKER_PASSWORD)", "x")).vhost == read


def test_the_chart_knows_the_services_that_there_are() -> None:
    assert tuple(Service) == SERVICES
    deployed = {name for name in pods_of(example("")) if name.startswith("Deployment/")}
    assert deployed == {f"Deployment/ocpp-gateway-{component}" for component in ("gateway", *SERVICES)}


def test_no_setting_is_forgotten_or_settable_twice() -> None:
    for settings in (GatewaySettings, WorkerSettings):
        names = {variable for variable, _, _ in variables(settings)}
        tracing = {name for name in names if name.startswith(SET_BY_TRACING)}
        assert tracing
        assert settings_schema(settings).keys() == names - SET_BY_CHART - tracing
    everything = {variable for settings in _CLASSES.values() for variable, _, _ in variables(settings)}
    assert everything >= SET_BY_CHART


def test_rendered_objects_hold_references_to_secrets_and_never_one() -> None:
    for name in ("", *EXAMPLES):
        assert "\nkind: Secret\n" not in example_text(name)
        for pod in pods_of(example(name)).values():
            for container in containers_of(pod):
                for variable, value in variables_of(container).items():
                    if value is None:
                        continue
                    assert not re.search("PASSWORD|SECRET|HEADERS|_USER$", variable), variable
                    if "URL" in variable:
                        assert re.search(r"://[^:/@]+:\$\((BROKER|DATABASE)_PASSWORD\)@", value), (variable, value)


def test_tracing_is_off_and_says_so_until_it_is_wanted() -> None:
    for _, container, _ in processes(example("")):
        environment = {key: value for key, value in variables_of(container).items() if key.startswith("OTEL_")}
        assert environment in ({}, {"OTEL_TRACES_EXPORTER": "none"})


def test_tracing_goes_by_the_standard_variables_with_a_service_name_of_each_component() -> None:
    pods = pods_of(example(EVERYTHING))
    names = set()
    for component in ("gateway", *SERVICES):
        environment = variables_of(pods[f"Deployment/ocpp-gateway-{component}"]["spec"]["containers"][0])
        names.add(environment["OTEL_SERVICE_NAME"])
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://collector.observability:4318"
        assert environment["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
        assert environment["OTEL_TRACES_SAMPLER_ARG"] == "0.01"
        assert environment["OTEL_EXPORTER_OTLP_HEADERS"] is None
        assert environment["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment.name=staging,service.namespace=ocpp"
    assert names == {"ocpp-gateway", *(f"ocpp-worker-{service}" for service in SERVICES)}


def _settings(settings_class, pod, files, monkeypatch) -> Any:
    container = pods_of(example(EVERYTHING))[pod]["spec"]["containers"][0]
    monkeypatch.setattr(os, "environ", environment_of(container, files))
    settings, problems = check(settings_class)
    monkeypatch.undo()
    assert problems == []
    return settings
