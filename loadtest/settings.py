"""How one simulated charge point reaches its server, and how it behaves."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """The way to the server. The password is never shown."""

    url: str
    password: bytes | None = None
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
