"""How one simulated charge point reaches its server, and how it behaves."""

from dataclasses import dataclass
from typing import Literal

IDENTITY = "{identity}"
"""Stands for the charge point's identity in templates."""


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """The way to the server. Passwords are never shown."""

    url: str
    secure_url: str | None = None
    """The endpoint for security profiles 2 and 3 where `url` is in the clear."""
    profile: int | None = None
    """The security profile to begin with; None: the highest that the address and the credentials make possible."""
    password: bytes | None = None
    password_template: str | None = None
    """Each charge point's own password, with `{identity}` in it; goes before `password`."""
    ca_file: str | None = None
    """Trust roots (PEM) for the server's certificate; None: the system's."""
    cert_file: str | None = None
    key_file: str | None = None
    """The client certificate's chain and key (PEM); both may have `{identity}` in their names."""
    source_address: str | None = None
    call_timeout_s: float = 30.0
    open_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    ping_interval_s: float | None = 60.0
    message_ids: Literal["uuid", "counter"] = "uuid"  # "counter" begins at 1 on each connection, as many chargers do
    validate: bool = True
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 60.0

    def __repr__(self) -> str:
        return f"LinkSettings(url={self.url!r})"

    def password_of(self, identity: str) -> bytes | None:
        """The Basic password that this charge point begins with."""
        if self.password_template is not None:
            return self.password_template.replace(IDENTITY, identity).encode()
        return self.password

    def certificate_of(self, identity: str) -> tuple[str, str] | None:
        """Files of the client certificate and key that this charge point begins with."""
        if self.cert_file is None:
            return None
        key_file = self.key_file or self.cert_file
        return self.cert_file.replace(IDENTITY, identity), key_file.replace(IDENTITY, identity)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The charge point's habits; seconds are its own (a fast clock shortens those of a session)."""

    connectors: int = 1
    vendor: str = "Simulated"
    model: str = "SIM-22"
    firmware_version: str = "1.0.0"
    max_power_w: float = 11_000.0
    phases: int = 3
    battery_wh: float = 60_000.0
    sample_interval_s: int = 60
    handling_s: float = 5.0  # between plug-in, tag and contactor, and until the plug is pulled
    heartbeat_default_s: int = 300
    boot_retry_s: float = 30.0
    transaction_attempts: int = 3
    transaction_retry_s: int = 10
    timeouts_count: bool = False  # does a timeout use up an attempt? The specification counts refusals only
    queue_limit: int = 1_000
    allow_offline: bool = True
    transaction_data: bool = True
    fault_probability: float = 0.0
    firmware_outcome: Literal["Installed", "DownloadFailed", "InstallationFailed", "InvalidSignature"] = "Installed"
    upload_succeeds: bool = True
