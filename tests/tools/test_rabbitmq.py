import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from pamqp.common import FieldTable

from contracts.broker.declare import declare
from contracts.errors import BrokerRefusedError
from contracts.topology import TOPOLOGY
from tests.support.nodes import state_dir
from tests.support.processes import await_none_of, processes_of
from tools.nodes import Broker, NodeFailed, NodeUnavailable, PrivateRabbit, binaries, broker_for, choose, rabbitmq
from tools.nodes.given import GivenBroker
from tools.nodes.management import ManagementApi

ROOT = Path(__file__).parents[2]
QUORUM: FieldTable = {"x-queue-type": "quorum"}


@pytest.fixture
def second_dir() -> Iterator[Path]:
    directory = state_dir("second")
    yield directory
    await_none_of(directory, timeout_s=5)
    shutil.rmtree(directory, ignore_errors=True)


async def publish(url: str, queue: str, body: bytes) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue)


async def get(url: str, queue: str) -> bytes:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True, passive=True)
        message = await declared.get(timeout=10)
        await message.ack()
        return message.body


@pytest.mark.system
async def test_a_broker_without_the_plugin_for_commands_is_told_apart_and_says_what_to_enable(
    second_dir: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rabbitmq, "_PLUGINS", "[rabbitmq_management,rabbitmq_prometheus].")
    node = PrivateRabbit(second_dir)
    request.addfinalizer(node.discard)
    node.start()
    with pytest.raises(BrokerRefusedError, match="rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"):
        await declare(node.amqp_url, TOPOLOGY)


@pytest.mark.system
async def test_a_node_runs_beside_another_survives_a_crash_with_its_data_and_leaves_no_process(
    rabbit: Broker, second_dir: Path, request: pytest.FixtureRequest
):
    # one node for several promises: each start takes seconds
    home_cookie = Path.home() / ".erlang.cookie"
    cookie_before = home_cookie.stat().st_mtime_ns if home_cookie.exists() else None
    node = PrivateRabbit(second_dir)
    request.addfinalizer(node.discard)
    node.start()
    url = node.amqp_url
    await publish(url, "kept", b"confirmed")
    with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
        await get(rabbit.amqp_url, "kept")
    with pytest.raises(NodeFailed, match="another process runs a broker node"):
        PrivateRabbit(second_dir).start()

    node.kill()
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await aio_pika.connect(url)
    node.restart()
    assert node.amqp_url == url
    assert await get(url, "kept") == b"confirmed"

    assert {"beam.smp", "epmd"} <= {process.name() for process in processes_of(second_dir)}
    node.stop()
    await_none_of(second_dir, timeout_s=5)
    assert ManagementApi(rabbit.management_url or "").answers()
    assert (second_dir / ".erlang.cookie").stat().st_mode & 0o777 == 0o400
    assert (home_cookie.stat().st_mtime_ns if home_cookie.exists() else None) == cookie_before
    node.discard()
    assert not os.access(second_dir, os.F_OK)


@pytest.mark.system
def test_a_node_dies_with_an_owner_that_was_killed(second_dir: Path):
    script = (
        "import pathlib, sys, time\n"
        "from tools.nodes import PrivateRabbit\n"
        "PrivateRabbit(pathlib.Path(sys.argv[1]))._launch()\n"
        "print('launched', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(second_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "launched\n"
        assert processes_of(second_dir)
        owner.send_signal(signal.SIGKILL)
    await_none_of(second_dir, timeout_s=10)


async def test_a_vhost_is_empty_separate_and_can_be_deleted(rabbit: Broker):
    one, other = rabbit.create_vhost("one.*#"), rabbit.create_vhost("other")
    await publish(one, "q", b"x")
    with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
        await get(other, "q")
    rabbit.delete_vhost("one.*#")
    rabbit.delete_vhost("other")
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await aio_pika.connect(one)


def test_the_management_api_says_what_it_refused(rabbit: Broker):
    with pytest.raises(NodeFailed, match="DELETE /api/vhosts/absent: 404"):
        rabbit.delete_vhost("absent")


def test_a_node_that_was_not_started_has_no_url(tmp_path: Path):
    with pytest.raises(NodeFailed, match="not been started"):
        _ = PrivateRabbit(tmp_path).amqp_url


def test_a_given_url_is_used_as_it_is(amqp_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AMQP_URL", amqp_url)
    monkeypatch.delenv("AMQP_MANAGEMENT_URL", raising=False)
    broker = broker_for(tmp_path)
    broker.start()
    assert isinstance(broker, GivenBroker)
    assert broker.create_vhost("any") == broker.amqp_url == amqp_url
    broker.delete_vhost("any")
    broker.discard()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("amqp://user:secret@127.0.0.1:1/x", "the broker of AMQP_URL, amqp://127.0.0.1:1/x, cannot be used: "),
        ("http://user:secret@broker", "AMQP_URL: an AMQP URL starts with amqp"),
    ],
)
def test_a_given_url_of_no_use_is_told_in_one_sentence_without_its_password(url: str, complaint: str):
    with pytest.raises(NodeFailed) as failed:
        GivenBroker(url).start()
    assert str(failed.value).startswith(complaint)
    assert "\n" not in str(failed.value)
    assert "secret" not in str(failed.value)


def test_a_given_broker_that_refuses_the_login_says_so(rabbit: Broker):
    with pytest.raises(NodeFailed, match="ACCESS_REFUSED"):
        GivenBroker(rabbit.amqp_url.replace("guest:guest", "guest:guess")).start()


def test_a_given_broker_with_a_management_url_gives_a_vhost_per_test(rabbit: Broker, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("AMQP_URL", rabbit.amqp_url)
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", rabbit.management_url or "")
    given = broker_for(tmp_path)
    assert urlsplit(given.create_vhost("given")).path == "/given"
    given.delete_vhost("given")


def test_without_rabbitmq_and_docker_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AMQP_URL", raising=False)
    monkeypatch.setattr(binaries, "_RABBITMQ_DIRECTORIES", ())
    monkeypatch.setattr(binaries, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(choose, "docker_answers", lambda: False)
    with pytest.raises(NodeUnavailable, match=r"Set AMQP_URL .*tools/bootstrap\.sh run.* Docker") as raised:
        broker_for(tmp_path)
    assert "Traceback" not in str(raised.value)


def test_a_node_that_cannot_boot_fails_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch, second_dir: Path):
    broken = second_dir / "bin" / "rabbitmq-server"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(binaries, "_RABBITMQ_DIRECTORIES", (str(broken.parent),))
    with pytest.raises(NodeFailed, match="the disk is on fire"):
        PrivateRabbit(second_dir).start()
