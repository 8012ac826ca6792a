"""Settings of the certificate authority that is built in, and of what it signs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from workers.errors import AuthorityError

_CERTIFICATE_FILE = "ca_certificate_file"


class CertificateSettings(BaseSettings):
    """What WorkerSettings says of certificates. Without both files every SignCertificate is answered Rejected."""

    ca_certificate_file: Path | None = Field(
        None,
        alias="OCPP_WORKER_CA_CERTIFICATE_FILE",
        description="PEM: the certificate of the authority that signs for charge points, those above it behind it.",
    )
    ca_key_file: Path | None = Field(
        None,
        alias="OCPP_WORKER_CA_KEY_FILE",
        description="PEM: its private key, not encrypted; only the authorization service needs to read it.",
    )
    certificate_days: int = Field(
        365, alias="OCPP_WORKER_CERTIFICATE_DAYS", ge=2, le=3650, description="How long a signed certificate is valid."
    )
    certificate_renew_days: int = Field(
        30,
        alias="OCPP_WORKER_CERTIFICATE_RENEW_DAYS",
        ge=1,
        le=365,
        description="So long before a certificate expires its charge point is asked to renew it.",
    )
    certificate_organization: str | None = Field(
        None,
        alias="OCPP_WORKER_CERTIFICATE_ORGANIZATION",
        max_length=64,
        description="The organization (O) that a signing request must name; empty: any.",
    )

    @field_validator(_CERTIFICATE_FILE, "ca_key_file", "certificate_organization", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator(_CERTIFICATE_FILE)
    @classmethod
    def _certificate_of_an_authority(cls, value: Path | None) -> Path | None:
        if value is not None:
            _read(value)
        return value

    @field_validator("ca_key_file")
    @classmethod
    def _key_that_fits(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if _CERTIFICATE_FILE not in info.data:
            return value  # which has a line of its own already
        certificate_file = info.data[_CERTIFICATE_FILE]
        if (value is None) != (certificate_file is None):
            raise ValueError("OCPP_WORKER_CA_CERTIFICATE_FILE and OCPP_WORKER_CA_KEY_FILE are set together")
        if value is not None:
            _read(certificate_file, value)
        return value

    @field_validator("certificate_renew_days")
    @classmethod
    def _renewed_before_it_is_due_again(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("certificate_days", value + 1):
            raise ValueError("must be less than OCPP_WORKER_CERTIFICATE_DAYS, or each would be renewed without end")
        return value


def _read(certificate_file: Path, key_file: Path | None = None) -> None:
    from workers.authority_files import read_certificates, read_key  # only where there is an authority

    try:
        certificates = read_certificates(certificate_file, datetime.now(UTC))
        if key_file is not None:
            read_key(key_file, certificates[0])
    except AuthorityError as error:
        raise ValueError(str(error)) from None
