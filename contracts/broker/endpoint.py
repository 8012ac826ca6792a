"""Where the broker is: an AMQP URL taken apart, with the password kept out of every repr, and whom to trust there."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE = "OCPP_AMQP_CA_FILE", "OCPP_AMQP_CERT_FILE", "OCPP_AMQP_KEY_FILE"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files (PEM) for amqps. The broker's certificate, and its host name, are verified whatever they are."""

    ca_file: str = ""
    """Trust roots, instead of the system's."""
    cert_file: str = ""
    """Our own certificate with its chain, if the broker asks for one."""
    key_file: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "TlsFiles":
        """Those that OCPP_AMQP_CA_FILE, OCPP_AMQP_CERT_FILE and OCPP_AMQP_KEY_FILE name."""
        return cls(*(environment.get(name, "") for name in (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE)))

    def problem(self) -> str | None:
        """What is wrong with the files; None when they can be used."""
        if bool(self.cert_file) != bool(self.key_file):
            return "a client certificate and its key come together"
        if not (self.ca_file or self.cert_file):
            return None  # to read the system's roots takes a tenth of a second, and they are no setting of ours
        try:
            self.context()
        except ValueError as error:
            return str(error)
        return None

    def context(self) -> ssl.SSLContext:
        """A verifying client context, read afresh: files may be renewed. Raises ValueError saying which is unusable."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ValueError) as error:
            raise ValueError(f"no trust roots in {self.ca_file}: {_why(error)}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file:
            try:
                # an encrypted key would make OpenSSL ask the terminal
                context.load_cert_chain(self.cert_file, self.key_file or None, password=_no_password)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"no certificate and key in {self.cert_file}, {self.key_file}: {_why(error)}"
                ) from None
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


SYSTEM_ROOTS = TlsFiles()


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """Host, port, virtual host and credentials of a broker."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: bool = False
    files: TlsFiles = SYSTEM_ROOTS

    @classmethod
    def parse(cls, url: str, files: TlsFiles = SYSTEM_ROOTS) -> "BrokerEndpoint":
        """Read `amqp[s]://user:password@host:port/vhost`; raises ValueError saying what is wrong, without the URL."""
        try:
            parts = urlsplit(url)
        except ValueError:
            # its words quote what stands before the host: the password
            raise ValueError("an AMQP URL is not readable; percent-encode the password") from None
        if parts.scheme not in {"amqp", "amqps"}:
            raise ValueError("an AMQP URL starts with amqp:// or amqps://")
        if parts.query:
            raise ValueError("an AMQP URL has no query here; trust roots for amqps come from OCPP_AMQP_CA_FILE")
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
            files=files,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """A verifying client context for amqps, else None; raises ValueError when its files cannot be used."""
        return self.files.context() if self.tls else None

    def __str__(self) -> str:
        """The URL without credentials, which `parse` reads back to the same place."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = "" if self.vhost == "/" else quote(self.vhost, safe="")
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}/{vhost}"
