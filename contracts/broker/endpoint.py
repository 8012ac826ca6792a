"""Where the broker is: an AMQP URL taken apart, with the password kept out of every repr."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """Host, port, virtual host and credentials of a broker."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "BrokerEndpoint":
        """Read `amqp[s]://user:password@host:port/vhost`; raises ValueError saying what is wrong, without the URL."""
        try:
            parts = urlsplit(url)
        except ValueError:
            # its words quote what stands before the host: the password
            raise ValueError("an AMQP URL is not readable; percent-encode the password") from None
        if parts.scheme not in {"amqp", "amqps"}:
            raise ValueError("an AMQP URL starts with amqp:// or amqps://")
        if parts.query:
            raise ValueError("an AMQP URL has no query here; trust roots for amqps come from SSL_CERT_FILE")
        if not parts.hostname:
            raise ValueError("an AMQP URL names a host")
        try:
            parts.hostname.encode("idna")  # what resolving it does, and with an error that nobody expects there
        except UnicodeError:
            raise ValueError("the host of an AMQP URL is not a host name") from None
        tls = parts.scheme == "amqps"
        try:
            port = parts.port or (5671 if tls else 5672)
        except ValueError:
            raise ValueError("the port of an AMQP URL is a number from 1 to 65535") from None
        return cls(
            host=parts.hostname,
            port=port,
            vhost=unquote(parts.path[1:]) or "/",
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            tls=tls,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """A verifying client context for amqps, else None."""
        return ssl.create_default_context() if self.tls else None

    def __str__(self) -> str:
        """The URL without credentials, which `parse` reads back to the same place."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = "" if self.vhost == "/" else quote(self.vhost, safe="")
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}/{vhost}"
