"""Who counts replicas, and that a change of who counts takes no pod away."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.support.charts import HELMS, NAMESPACE, RELEASE, SERVICES, RefusedError, of_kind, render

_GATEWAYS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}-gateway"
_AUTOSCALER = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/{RELEASE}-gateway"
_ANSWERS: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]},
            {"name": "autoscaling", "versions": [{"groupVersion": "autoscaling/v2", "version": "v2"}]},
        ],
    },
    "/apis/apps/v1": {
        "kind": "APIResourceList",
        "groupVersion": "apps/v1",
        "resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]}],
    },
    "/apis/autoscaling/v2": {
        "kind": "APIResourceList",
        "groupVersion": "autoscaling/v2",
        "resources": [
            {
                "name": "horizontalpodautoscalers",
                "kind": "HorizontalPodAutoscaler",
                "namespaced": True,
                "verbs": ["get"],
            }
        ],
    },
    _GATEWAYS: {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 7}},
}


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = _ANSWERS.get(self.path.partition("?")[0])
        body = json.dumps(found or {"kind": "Status", "code": 404, "reason": "NotFound"}).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def kubernetes() -> Iterator[str]:
    """The address of an API at which the release's gateways run, seven of them, and no autoscaler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def replicas_of(*arguments: str, helm: str = HELMS[0]) -> dict[str, int | None]:
    deployments = of_kind(render(*arguments, helm=helm), "Deployment")
    return {it["metadata"]["name"].removeprefix(f"{RELEASE}-"): it["spec"].get("replicas") for it in deployments}


def test_gateways_that_run_stay_when_an_autoscaler_is_switched_on(kubernetes, monkeypatch) -> None:
    helm = HELMS[-1]  # Helm 4 asks the API for every kind
    switched_on = (
        *("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", kubernetes),
        *("--set", "gateway.autoscaling.enabled=true"),
    )
    with pytest.raises(RefusedError, match="7 gateways run without an autoscaler"):
        replicas_of(*switched_on, helm=helm)
    assert replicas_of(*switched_on, "--set", "gateway.autoscaling.keepReplicas=true", helm=helm)["gateway"] == 7
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}}
    monkeypatch.setitem(_ANSWERS, _AUTOSCALER, scaler)
    assert replicas_of(*switched_on, helm=helm)["gateway"] is None


def test_without_an_autoscaler_the_values_count() -> None:
    assert replicas_of() == {"gateway": 3, **dict.fromkeys(SERVICES, 2)}
