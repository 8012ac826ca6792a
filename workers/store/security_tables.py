"""Credentials, keys and certificates of charge points. No password is in here, only salted hashes of them."""

from sqlalchemy import Column, Index, Integer, Table, text

from workers.store.tables import metadata
from workers.store.types import Json, PlainText, UtcTime

charge_point_security = Table(
    "charge_point_security",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("profile", Integer, nullable=False, server_default=text("0")),  # never lowered by the protocol
    Column("target_profile", Integer),  # asked for; NULL once the charge point has come with it
    Column("target_delivery", PlainText, nullable=False, server_default=text("''")),  # how the last command ended
    Column("certificate_name", PlainText),  # NULL: the identity
    Column("message_policy", PlainText, nullable=False, server_default=text("'off'")),  # off | verify | require
    Column("updated_at", UtcTime, nullable=False),
    Index(
        "ix_charge_point_security_certificate_name",
        "certificate_name",
        postgresql_where=text("certificate_name IS NOT NULL"),
        sqlite_where=text("certificate_name IS NOT NULL"),
    ),
)

charge_point_keys = Table(
    "charge_point_keys",
    metadata,
    Column("key_id", PlainText, primary_key=True),
    Column("identity", PlainText, nullable=False, index=True),
    Column("digest", PlainText, nullable=False),  # contracts.credentials.StoredKey
    Column("state", PlainText, nullable=False),  # current | pending | retired
    Column("delivery", PlainText, nullable=False),  # provisioned | requested, then how the command ended
    Column("detail", PlainText, nullable=False, server_default=text("''")),
    Column("created_at", UtcTime, nullable=False),
    Column("confirmed_at", UtcTime),  # when the charge point first came in with it
)

message_keys = Table(
    "message_keys",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("thumbprint", PlainText, primary_key=True),
    Column("pem", PlainText, nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

certificate_requests = Table(
    "certificate_requests",
    metadata,
    Column("request_key", PlainText, primary_key=True),  # digest of identity and CSR: a repeated one is the same
    Column("identity", PlainText, nullable=False, index=True),
    Column("ocpp_version", PlainText, nullable=False),
    Column("certificate_type", PlainText, nullable=False),
    Column("ocpp_request_id", Integer),  # OCPP 2.1
    Column("csr", PlainText, nullable=False),
    Column("state", PlainText, nullable=False),  # requested | signed | accepted | rejected | failed | superseded
    Column("detail", PlainText, nullable=False, server_default=text("''")),
    Column("chain", PlainText),
    Column("serial", PlainText),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", UtcTime, nullable=False),
    Column("next_attempt_at", UtcTime, index=True),  # NULL: nothing is left to do
    Column("ended_at", UtcTime),
)

issued_certificates = Table(
    "issued_certificates",
    metadata,
    Column("serial", PlainText, primary_key=True),
    Column("identity", PlainText, nullable=False, index=True),
    Column("subject", PlainText, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("pem", PlainText, nullable=False),
    Column("state", PlainText, nullable=False),  # issued | installed | replaced | refused | revoked
    Column("issued_at", UtcTime, nullable=False),
    Column("renewal_asked_at", UtcTime),
    Index("ix_issued_certificates_renewal", "state", "not_after"),
)

installed_certificates = Table(
    "installed_certificates",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("certificate_type", PlainText, primary_key=True),
    Column("serial_number", PlainText, primary_key=True),
    Column("issuer_key_hash", PlainText, primary_key=True),
    Column("hash_data", Json, nullable=False),  # as the charge point reported it: what deleting needs
    Column("reported_at", UtcTime, nullable=False),
)

certificate_orders = Table(
    "certificate_orders",
    metadata,
    Column("order_key", PlainText, primary_key=True),  # digest of the three below: asked for again it is the same
    Column("identity", PlainText, nullable=False, index=True),
    Column("kind", PlainText, nullable=False),  # renew | install | refresh | delete
    Column("subject", PlainText, nullable=False, server_default=text("''")),  # what people know it by
    Column("details", Json, nullable=False),
    Column("status", PlainText, nullable=False),  # requested, then the charge point's word, or how the command ended
    Column("detail", PlainText, nullable=False, server_default=text("''")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("asked_at", UtcTime, nullable=False),
    Column("next_attempt_at", UtcTime, index=True),  # NULL: nothing is left to do
    Column("ended_at", UtcTime),
)

meter_keys = Table(
    "meter_keys",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("fingerprint", PlainText, primary_key=True),
    Column("public_key", PlainText, nullable=False),  # DER, hexadecimal
    Column("meter_serial", PlainText, nullable=False, server_default=text("''")),  # '': any meter of it
    Column("added_at", UtcTime, nullable=False),
)
