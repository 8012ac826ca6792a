"""A certificate signing request, checked before any authority sees it. Pure.

Security whitepaper A00.FR.404/405, A02; OCPP 2.x part 2, A00, A02 and A03.
"""

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from contracts.x509_reading import UNREADABLE
from workers.authority_files import key_is_strong

LONGEST_CSR = 5500
"""Characters of the `csr` field in every OCPP version."""

_HASHES = frozenset({"sha224", "sha256", "sha384", "sha512"})
_BEGINNINGS = ("-----BEGIN CERTIFICATE REQUEST-----", "-----BEGIN NEW CERTIFICATE REQUEST-----")
_ALLOWED = frozenset(
    {
        *(NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COUNTRY_NAME),
        *(NameOID.STATE_OR_PROVINCE_NAME, NameOID.LOCALITY_NAME, NameOID.SERIAL_NUMBER, NameOID.DOMAIN_COMPONENT),
        NameOID.EMAIL_ADDRESS,
    }
)
_MOST_ATTRIBUTES, _LONGEST_VALUE = 16, 64

PublicKey = RSAPublicKey | EllipticCurvePublicKey


class Flaw(StrEnum):
    """Why a request is not signed."""

    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"
    """It is no PEM of one PKCS #10 request."""
    WEAK_SIGNATURE = "weak_signature"
    """It is signed with MD5, SHA-1, or something that is not known here."""
    BAD_SIGNATURE = "bad_signature"
    """Whoever made it does not hold the key."""
    KEY_KIND = "key_kind"
    """The key is neither RSA nor one on an elliptic curve."""
    WEAK_KEY = "weak_key"
    SUBJECT = "subject"
    """The subject has no common name, or two, or something in it that no charge point needs."""
    OTHER_NAME = "other_name"
    """The common name is not the one on record, so the certificate would let in somebody else."""
    OTHER_ORGANIZATION = "other_organization"


@dataclass(frozen=True, slots=True)
class SubjectRules:
    """Whom a certificate may name: the common name, letter case ignored, and the organization where one is set."""

    common_name: str
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What of a request enters the certificate. Its wishes for extensions do not: they could name somebody else."""

    subject: x509.Name
    public_key: PublicKey


def read_request(csr: str, rules: SubjectRules) -> SigningRequest | Flaw:
    """The request in this PEM text, or what is wrong with it. Never raises, whatever the text."""
    if len(csr) > LONGEST_CSR:
        return Flaw.TOO_LONG
    text = csr.strip()
    if not text.startswith(_BEGINNINGS) or text.count("-----BEGIN ") != 1 or not text.isascii():
        return Flaw.UNREADABLE
    try:
        request = x509.load_pem_x509_csr(text.encode("ascii"))
        key = request.public_key()
        return _key_flaw(key) or _signature_flaw(request) or _judged(request, key, rules)  # type: ignore[arg-type]
    except (UnsupportedAlgorithm, x509.UnsupportedGeneralNameType):
        return Flaw.KEY_KIND
    except UNREADABLE:
        return Flaw.UNREADABLE


def _key_flaw(key: object) -> Flaw | None:
    strong = key_is_strong(key)
    if strong is None:
        return Flaw.KEY_KIND
    return None if strong else Flaw.WEAK_KEY


def _signature_flaw(request: x509.CertificateSigningRequest) -> Flaw | None:
    try:
        algorithm = request.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return Flaw.WEAK_SIGNATURE
    if algorithm is None or algorithm.name not in _HASHES:
        return Flaw.WEAK_SIGNATURE
    return None if request.is_signature_valid else Flaw.BAD_SIGNATURE


def _judged(request: x509.CertificateSigningRequest, key: PublicKey, rules: SubjectRules) -> SigningRequest | Flaw:
    attributes = list(request.subject)
    if len(attributes) > _MOST_ATTRIBUTES or not all(map(_is_plain, attributes)):
        return Flaw.SUBJECT
    names = _values(attributes, NameOID.COMMON_NAME)
    organizations = _values(attributes, NameOID.ORGANIZATION_NAME)
    if len(names) != 1 or len(organizations) > 1:
        return Flaw.SUBJECT
    if names[0].casefold() != rules.common_name.casefold():
        return Flaw.OTHER_NAME
    if rules.organization is not None and organizations != [rules.organization]:
        return Flaw.OTHER_ORGANIZATION
    # The libraries' own checks, such as two letters for a country, are made while it is built anew.
    return SigningRequest(x509.Name([x509.NameAttribute(a.oid, a.value) for a in attributes]), key)


def _is_plain(attribute: x509.NameAttribute[str | bytes]) -> bool:
    value = attribute.value
    return attribute.oid in _ALLOWED and isinstance(value, str) and 0 < len(value) <= _LONGEST_VALUE


def _values(attributes: list[x509.NameAttribute[str | bytes]], oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in attributes if attribute.oid == oid]
