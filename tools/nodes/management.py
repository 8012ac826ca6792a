"""The few calls of RabbitMQ's management API that the nodes need."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tools.nodes.faces import NodeFailed
from tools.nodes.loopback import open_url


class ManagementApi:
    """A client for `http://user:password@host:port`; calls are blocking and raise NodeFailed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = unquote(parts.username or "guest")
        password = unquote(parts.password or "guest")
        self._authorization = "Basic " + base64.b64encode(f"{self._user}:{password}".encode()).decode()
        self._origin = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))

    def answers(self) -> bool:
        """Whether the API is up and these credentials are good."""
        try:
            self.request("GET", "/api/whoami")
        except NodeFailed:
            return False
        return True

    def create_vhost(self, name: str) -> None:
        """Make an empty vhost, open to this user."""
        path = quote(name, safe="")
        self.request("PUT", f"/api/vhosts/{path}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.request("PUT", f"/api/permissions/{path}/{quote(self._user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost and all it holds; its connections are closed by the broker."""
        self.request("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def request(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = 30) -> Any:
        """Send one request; return the decoded answer, or None if it is empty."""
        request = urllib.request.Request(self._origin + path, method=method)  # noqa: S310 - http to loopback
        request.add_header("Authorization", self._authorization)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with open_url(request, timeout=timeout_s) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise NodeFailed(f"the management API refused {method} {path}: {error.code} {error.reason}") from None
        except OSError as error:
            raise NodeFailed(f"the management API did not answer {method} {path}: {error}") from None
        return json.loads(answer) if answer else None


def with_vhost(amqp_url: str, name: str) -> str:
    """Return the AMQP URL with its vhost replaced."""
    return urlunsplit(urlsplit(amqp_url)._replace(path="/" + quote(name, safe="")))
