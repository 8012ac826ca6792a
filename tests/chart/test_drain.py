"""Everything that times the leaving of a gateway follows from the same values, and contradictions are refused."""

import pytest

from gateway import drain
from gateway.drain import closes_due
from tests.support.charts import CHART, EXAMPLES, RefusedError, example, only, render, variables_of


def times_of(documents) -> dict[str, float]:
    deployment = only(documents, "Deployment", "-gateway")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    environment = variables_of(container)
    return {
        "pre_stop": container["lifecycle"]["preStop"]["sleep"]["seconds"],
        "termination": pod["terminationGracePeriodSeconds"],
        "min_ready": deployment["minReadySeconds"],
        "deadline": deployment["progressDeadlineSeconds"],
        "grace": float(environment["OCPP_GATEWAY_DRAIN_GRACE_SECONDS"] or 0),
        "pace": float(environment["OCPP_GATEWAY_DRAIN_CLOSES_PER_SECOND"] or 0),
        "sockets": float(environment["OCPP_GATEWAY_MAX_CONNECTIONS"] or 0),
        "call": float(environment.get("OCPP_GATEWAY_CALL_TIMEOUT_SECONDS") or 30),
    }


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_a_full_gateway_keeps_the_pace_and_is_gone_before_it_would_be_killed(name) -> None:
    times = times_of(example(name))
    finish = times["grace"] * drain.FINISH_SHARE
    # the pace would do until the end: what gateway/drain.py closes in a step is never more than that
    assert closes_due(int(times["sockets"]), finish, times["pace"], drain.STEP_S) == pytest.approx(
        times["pace"] * drain.STEP_S
    )
    assert finish >= times["call"]
    assert times["termination"] >= times["pre_stop"] + times["grace"] + 10


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_the_next_gateway_is_replaced_when_the_last_ones_charge_points_are_back(name) -> None:
    times = times_of(example(name))
    assert times["min_ready"] > times["pre_stop"] + times["sockets"] / times["pace"]
    assert times["deadline"] > times["min_ready"] + 120  # a start takes as long at most: startupProbe


def test_the_share_of_the_grace_time_is_that_of_the_gateway() -> None:
    template = (CHART / "templates/_drain.tpl").read_text()
    assert f"$share := {drain.FINISH_SHARE} " in template


def test_times_follow_the_values() -> None:
    values = {
        "gateway": {
            "maxConnections": 12_000,
            "drain": {"preStopSeconds": 20, "closesPerSecond": 100, "settleSeconds": 40},
            "settings": {"OCPP_GATEWAY_COMMAND_TIMEOUT_SECONDS": 90},
        }
    }
    times = times_of(render(values=values))
    assert times == {
        "pre_stop": 20,
        "grace": 142,  # 120 s in its first 85 %
        "termination": 20 + 142 + 15,
        "min_ready": 20 + 120 + 40,
        "deadline": 180 + 600,
        "pace": 100,
        "sockets": 12_000,
        "call": 30,
    }


def test_few_sockets_still_leave_calls_their_time() -> None:
    assert times_of(render("--set", "gateway.maxConnections=100"))["grace"] >= 30 / drain.FINISH_SHARE


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["gateway.drain.graceSeconds=60"], "20000 sockets .* 200 per second take 100 s .* needed are 118"),
        (["gateway.maxConnections=1000", "gateway.drain.graceSeconds=20"], "a Call or command may take 30 s"),
        (["gateway.drain.closesPerSecond=900"], "900 sockets .* another gateway lets 500 in"),
        (
            ["gateway.autoscaling.enabled=true", "gateway.maxConnections=50000", "gateway.drain.closesPerSecond=25"],
            "takes 2040 s to leave",
        ),
    ],
)
def test_times_that_contradict_each_other_are_refused(settings, words) -> None:
    with pytest.raises(RefusedError, match=words):
        render(*(word for setting in settings for word in ("--set", setting)))


def test_an_unlimited_rate_of_handshakes_limits_no_pace() -> None:
    values = {
        "gateway": {"drain": {"closesPerSecond": 900}, "settings": {"OCPP_GATEWAY_HANDSHAKES_PER_SECOND": 0}},
    }
    assert times_of(render(values=values))["pace"] == 900


def test_the_autoscaler_takes_one_gateway_at_a_time_at_the_drains_pace() -> None:
    documents = example("everything")
    scaler = only(documents, "HorizontalPodAutoscaler", "-gateway")["spec"]
    down = scaler["behavior"]["scaleDown"]
    times = times_of(documents)
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": times["min_ready"]}]
    assert down["stabilizationWindowSeconds"] >= times["min_ready"]
    connections, cpu = scaler["metrics"]
    assert connections["pods"]["metric"]["name"] == "ocpp_ws_active_connections"
    assert connections["pods"]["target"] == {"type": "AverageValue", "averageValue": "21000"}
    assert cpu["resource"]["name"] == "cpu"
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (4, 10)
