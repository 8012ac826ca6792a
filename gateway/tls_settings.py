"""TLS, client certificates, and proxies in front: settings of the gateway."""

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from contracts.process.settings import ProcessSettings
from gateway import tls
from gateway.forwarded import Network, Proxies
from gateway.tls import TlsFiles, TlsVersion

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")


class PlainListen(StrEnum):
    """Whether charge points may connect without TLS."""

    ON = "on"
    OFF = "off"


class ProxyProtocol(StrEnum):
    """Whether the proxies in front speak the PROXY protocol, version 2; otherwise they may set HTTP headers."""

    OFF = "off"
    V2 = "v2"


class TlsSettings(ProcessSettings):
    """A part of GatewaySettings. Files are read when the settings are checked: what is wrong is said at start."""

    tls_cert_files: str = Field(
        "",
        alias="OCPP_GATEWAY_TLS_CERT_FILES",
        description="PEM certificates with their intermediates, by comma: one RSA, one ECDSA, or both.",
    )
    tls_key_files: str = Field(
        "",
        alias="OCPP_GATEWAY_TLS_KEY_FILES",
        validate_default=True,
        description="Their PEM keys without passphrase, in the same order.",
    )
    tls_listen_host: str = Field(
        "0.0.0.0", alias="OCPP_GATEWAY_TLS_LISTEN_HOST", description="Address on which charge points connect with TLS."
    )
    tls_listen_port: int | None = Field(
        None,
        alias="OCPP_GATEWAY_TLS_LISTEN_PORT",
        ge=0,
        le=65535,
        validate_default=True,
        description="Port of the same; empty: no TLS; 0 takes a free one.",
    )
    plain_listen: PlainListen = Field(
        PlainListen.ON,
        alias="OCPP_GATEWAY_PLAIN_LISTEN",
        description="off: no listener without TLS.",
    )
    tls_min_version: TlsVersion = Field(
        TlsVersion.TLS12, alias="OCPP_GATEWAY_TLS_MIN_VERSION", description="Least TLS version: 1.2 or 1.3."
    )
    tls_handshake_timeout_seconds: float = Field(
        10.0,
        alias="OCPP_GATEWAY_TLS_HANDSHAKE_TIMEOUT_SECONDS",
        gt=0,
        description="Time for the TLS handshake, before that of the opening handshake.",
    )
    tls_reload_seconds: float = Field(
        60.0,
        alias="OCPP_GATEWAY_TLS_RELOAD_SECONDS",
        gt=0,
        description="How often to look for changed certificate files; SIGHUP reads them at once.",
    )
    tls_client_ca_file: Path | None = Field(
        None,
        alias="OCPP_GATEWAY_TLS_CLIENT_CA_FILE",
        description="PEM certificates of the authorities of charge points; empty: no client certificate is asked for.",
    )
    tls_crl_file: Path | None = Field(
        None,
        alias="OCPP_GATEWAY_TLS_CRL_FILE",
        description="Revocation lists of these authorities (PEM, several; or one in DER form).",
    )
    client_cert_organization: str = Field(
        "",
        alias="OCPP_GATEWAY_CLIENT_CERT_ORGANIZATION",
        description="Organization that client certificates must name; empty: any.",
    )
    proxies: str = Field(
        "",
        alias="OCPP_GATEWAY_PROXIES",
        description="Addresses and networks (CIDR) of proxies that are believed, by comma.",
    )
    proxy_protocol: ProxyProtocol = Field(
        ProxyProtocol.OFF,
        alias="OCPP_GATEWAY_PROXY_PROTOCOL",
        description=(
            "v2: these proxies begin with a PROXY header; off: with X-Forwarded-For and -Proto, or Forwarded; where"
            " both are there, what both say counts."
        ),
    )
    client_cert_header: str = Field(
        "",
        alias="OCPP_GATEWAY_CLIENT_CERT_HEADER",
        description="Header with the client's certificate, set by these proxies: RFC 9440, URL-encoded PEM, or XFCC.",
    )

    @property
    def tls_files(self) -> TlsFiles:
        """The files of the TLS listener, and of trust in clients."""
        pairs = tuple(zip(_paths(self.tls_cert_files), _paths(self.tls_key_files), strict=True))
        return TlsFiles(pairs, self.tls_client_ca_file, self.tls_crl_file, self.tls_min_version)

    @property
    def known_proxies(self) -> Proxies:
        """Whom to believe, and in which form."""
        return Proxies(
            _networks(self.proxies), self.proxy_protocol is ProxyProtocol.V2, self.client_cert_header.lower()
        )

    @field_validator("tls_listen_port", "tls_client_ca_file", "tls_crl_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("tls_cert_files")
    @classmethod
    def _usable_certificates(cls, value: str) -> str:
        for path in _paths(value):
            tls.load_certificate(path)
        return value

    @field_validator("tls_key_files")
    @classmethod
    def _usable_keys(cls, value: str, info: ValidationInfo) -> str:
        if "tls_cert_files" not in info.data:
            return value  # its own problem is told
        certificates, keys = _paths(info.data["tls_cert_files"]), _paths(value)
        if len(certificates) != len(keys):
            raise ValueError(f"{len(keys)} keys for the {len(certificates)} of OCPP_GATEWAY_TLS_CERT_FILES")
        tls.load_pairs(tuple(zip(certificates, keys, strict=True)))
        return value

    @field_validator("tls_listen_port")
    @classmethod
    def _with_certificates(cls, value: int | None, info: ValidationInfo) -> int | None:
        given = info.data.get("tls_cert_files")
        if value is not None and given == "":
            raise ValueError("needs OCPP_GATEWAY_TLS_CERT_FILES and OCPP_GATEWAY_TLS_KEY_FILES")
        if value is None and given:
            raise ValueError("is not set, though OCPP_GATEWAY_TLS_CERT_FILES is: nobody would be served with TLS")
        return value

    @field_validator("plain_listen")
    @classmethod
    def _one_listener(cls, value: PlainListen, info: ValidationInfo) -> PlainListen:
        if value is PlainListen.OFF and info.data.get("tls_listen_port", 0) is None:
            raise ValueError("off, without OCPP_GATEWAY_TLS_LISTEN_PORT: nobody could connect")
        return value

    @field_validator("tls_client_ca_file")
    @classmethod
    def _usable_authorities(cls, value: Path | None) -> Path | None:
        if value is not None:
            tls.load_trust_files(value, None)
        return value

    @field_validator("tls_crl_file")
    @classmethod
    def _usable_revocations(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and "tls_client_ca_file" in info.data:
            authorities = info.data["tls_client_ca_file"]
            if authorities is None:
                raise ValueError("needs OCPP_GATEWAY_TLS_CLIENT_CA_FILE")
            tls.load_trust_files(authorities, value)
        return value

    @field_validator("proxies")
    @classmethod
    def _usable_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("proxy_protocol")
    @classmethod
    def _of_known_proxies(cls, value: ProxyProtocol, info: ValidationInfo) -> ProxyProtocol:
        if value is ProxyProtocol.V2 and info.data.get("proxies") == "":
            raise ValueError("v2 needs OCPP_GATEWAY_PROXIES: from anybody else the header is not believed")
        return value

    @field_validator("client_cert_header")
    @classmethod
    def _from_known_proxies(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        if not _HEADER_NAME.fullmatch(value):
            raise ValueError("is no name of a header")
        if info.data.get("proxies") == "":
            raise ValueError("needs OCPP_GATEWAY_PROXIES: from anybody else the header is not believed")
        if info.data.get("proxy_protocol") is ProxyProtocol.V2:
            raise ValueError("a proxy that speaks the PROXY protocol passes on HTTP headers as the client sends them")
        if info.data.get("tls_client_ca_file", "") is None:
            raise ValueError("needs OCPP_GATEWAY_TLS_CLIENT_CA_FILE: the certificate is verified here too")
        return value


def _items(value: str) -> Iterable[str]:
    return (item.strip() for item in value.split(",") if item.strip())


def _paths(value: str) -> tuple[Path, ...]:
    return tuple(Path(item) for item in _items(value))


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(item) for item in _items(value))
