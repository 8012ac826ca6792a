"""SignCertificate: kept and refused, as long as no certificate authority is connected."""

from contracts.versions import ErrorKind
from workers.runtime.calls import Answer, IncomingCall, Reply, refused
from workers.runtime.reading import read_text
from workers.store.engine import StoreTransaction
from workers.store.parking import digest, park


async def sign_certificate(call: IncomingCall, store: StoreTransaction) -> Reply:
    """Answer Rejected, which sends the charge point on with the certificate it has."""
    csr, _ = read_text(call.payload.get("csr"))
    if csr is None:
        return refused(call, ErrorKind.OCCURRENCE, "csr is required")
    park(
        store,
        identity=call.identity,
        ocpp_version=call.version.value,
        action=call.action,
        reason="no_certificate_authority",
        payload=call.payload,
        received_at=call.received_at,
        park_key=f"no_certificate_authority {digest(csr)}",
    )
    return Answer({"status": "Rejected"})
