"""Our own processes from outside: who may ask them, and what they inherit."""

import contextlib
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from loadtest import scraping
from tools.stack import OwnProcess, Stack

ANSWERS = {"/readyz": b'{"checks": {"broker": "ok"}}', "/metrics": b"calls_total 3\n"}


class Monitor(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWERS[self.path])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def monitor_on(port: int) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), Monitor) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_probes_and_metrics_are_read_past_the_proxy_that_the_environment_names(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(urllib.request, "_opener", None)  # made once, with the proxies of that moment
    process = OwnProcess("any", ["any"], {}, tmp_path / "any.log")
    with monitor_on(process.monitor_port):
        assert process.readiness() == (200, {"broker": "ok"})
        assert scraping.read(f"{process.monitor_url}/metrics").total("calls_total") == 3


def test_a_worker_command_inherits_no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OCPP_LOG_LEVEL", "no level")
    stack = Stack(amqp_url="amqp://broker", database_url="sqlite+aiosqlite:///x", logs=tmp_path)
    assert "no level" not in stack.run_worker_command("check-config")
