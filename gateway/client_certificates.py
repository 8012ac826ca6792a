"""What a charge point's certificate is worth: path to an authority of ours, validity, revocation, strength.

One judgement for certificates shown in a TLS handshake and for those that a proxy forwards in a header. Pure; time is
passed in. Sources: RFC 5280 section 6 (without name constraints and policies), OCPP 2.0.1 part 2 A00.FR.4xx.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.oid import ExtensionOID as Known

from contracts.x509_reading import UNREADABLE, is_issued_by
from gateway.errors import CertificateFileError
from gateway.peer import ClientCertificate

RSA_BITS, EC_BITS = 2048, 224
"""The least that A00.FR.317 and the following allow."""

MOST_SHOWN, MOST_CHECKS, LONGEST_PATH = 8, 32, 6
"""Bounds on what a peer's own intermediates may cost: how many count, signatures checked, length of a path."""

_UNDERSTOOD = {
    Known.BASIC_CONSTRAINTS,
    Known.KEY_USAGE,
    Known.EXTENDED_KEY_USAGE,
    Known.SUBJECT_ALTERNATIVE_NAME,
    Known.CERTIFICATE_POLICIES,
}
_BROKEN_HASHES = {"md5", "sha1"}
_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


class Problem(StrEnum):
    """Why a certificate counts for nothing."""

    UNREADABLE = "unreadable"
    WEAK_KEY = "weak_key"
    UNTRUSTED = "untrusted"
    REVOKED = "revoked"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"


class Trust:
    """Authorities whose certificates are believed, and what they have revoked."""

    def __init__(
        self, authorities: Sequence[x509.Certificate], lists: Iterable[x509.CertificateRevocationList] = ()
    ) -> None:
        """Every list must be signed by one of the authorities; raises CertificateFileError otherwise."""
        self.authorities = tuple(authorities)
        self.next_update: datetime | None = None
        """When the first revocation list will be, or was, out of date."""
        self._anchors: dict[bytes, list[x509.Certificate]] = defaultdict(list)
        for authority in authorities:
            self._anchors[authority.subject.public_bytes()].append(authority)
        self._revoked: dict[bytes, set[int]] = defaultdict(set)
        for one in lists:
            self._add_list(one)

    def examine(self, shown: Sequence[bytes], now: datetime) -> ClientCertificate | Problem:
        """Judge a certificate in DER form, followed by intermediates that came with it; `now` is aware of its zone."""
        try:
            leaf, *intermediates = [x509.load_der_x509_certificate(one) for one in shown[: MOST_SHOWN + 1]]
            return self._judge(leaf, intermediates, now)
        except UNREADABLE:
            return Problem.UNREADABLE

    def _judge(
        self, leaf: x509.Certificate, intermediates: list[x509.Certificate], now: datetime
    ) -> ClientCertificate | Problem:
        if is_weak(leaf.public_key()) or _hash_of(leaf) in _BROKEN_HASHES:
            return Problem.WEAK_KEY
        if not _may_be_client(leaf):
            return Problem.UNTRUSTED
        path = next(self._paths((leaf,), intermediates, now, iter(range(MOST_CHECKS))), None)
        if path is None:
            return Problem.UNTRUSTED
        if any(one.serial_number in self._revoked.get(one.issuer.public_bytes(), ()) for one in path):
            return Problem.REVOKED
        if now < leaf.not_valid_before_utc:
            return Problem.NOT_YET_VALID
        if now > leaf.not_valid_after_utc:
            return Problem.EXPIRED
        return facts_of(leaf)

    def _paths(
        self,
        path: tuple[x509.Certificate, ...],
        intermediates: list[x509.Certificate],
        now: datetime,
        checks: Iterator[int],
    ) -> Iterator[tuple[x509.Certificate, ...]]:
        """Chains of valid signatures from a certificate to one of our authorities, as many as the checks allow."""
        last = path[-1]
        name = last.issuer.public_bytes()
        for anchor in self._anchors.get(name, ()):
            if _issues(anchor, last, len(path) - 1, now, checks):
                yield (*path, anchor)
        if len(path) >= LONGEST_PATH:
            return
        for one in intermediates:
            known = one in path or one.subject.public_bytes() != name
            if not known and not is_weak(one.public_key()) and _issues(one, last, len(path) - 1, now, checks):
                yield from self._paths((*path, one), intermediates, now, checks)

    def _add_list(self, revocations: x509.CertificateRevocationList) -> None:
        issuer = revocations.issuer.public_bytes()
        if not any(_signed(revocations, authority) for authority in self._anchors.get(issuer, ())):
            name = revocations.issuer.rfc4514_string()
            raise CertificateFileError(f"the revocation list of {name!r} is signed by none of the client authorities")
        self._revoked[issuer].update(one.serial_number for one in revocations)
        ends = revocations.next_update_utc
        if ends is not None and (self.next_update is None or ends < self.next_update):
            self.next_update = ends


def load_trust(authorities: bytes, revocations: bytes = b"") -> Trust:
    """Read a PEM file of authorities and a file of revocation lists (PEM, several; or one in DER form).

    Raises CertificateFileError, whose text is for an operator.
    """
    try:
        certificates = x509.load_pem_x509_certificates(authorities)
        strangers = [one.subject.rfc4514_string() for one in certificates if not _may_issue(one)]
    except UNREADABLE as error:
        raise CertificateFileError("no readable PEM certificates of client authorities") from error
    if strangers:
        raise CertificateFileError(f"{strangers[0]!r} is no certificate of an authority")
    try:
        lists = [x509.load_pem_x509_crl(one) for one in _PEM_CRL.findall(revocations)]
        if revocations and not lists:
            lists = [x509.load_der_x509_crl(revocations)]
    except UNREADABLE as error:
        raise CertificateFileError("no readable revocation lists") from error
    return Trust(certificates, lists)


def facts_of(certificate: x509.Certificate) -> ClientCertificate:
    """What others judge by."""
    names: tuple[str, ...] = ()
    with suppress(x509.ExtensionNotFound):
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(alternatives.get_values_for_type(x509.DNSName))
    return ClientCertificate(
        common_name=_first(certificate.subject, NameOID.COMMON_NAME),
        names=names,
        organization=_first(certificate.subject, NameOID.ORGANIZATION_NAME),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def is_weak(key: object) -> bool:
    """Whether a public key is shorter than OCPP allows, or of a kind that is not used any more."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size < RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.key_size < EC_BITS
    return isinstance(key, dsa.DSAPublicKey)


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    attribute = next(iter(name.get_attributes_for_oid(oid)), None)
    return "" if attribute is None else str(attribute.value)


def _hash_of(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_hash_algorithm  # None: part of the signature scheme, as with Ed25519
    return "" if algorithm is None else algorithm.name


def _may_be_client(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    if any(one.critical and one.oid not in _UNDERSTOOD for one in extensions):
        return False
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _may_issue(certificate: x509.Certificate, below: int = 0) -> bool:
    """Whether it is an authority's, and may have so many intermediates between itself and a client."""
    extensions = certificate.extensions
    if any(one.critical and one.oid not in _UNDERSTOOD for one in extensions):
        return False
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    with suppress(x509.ExtensionNotFound):
        if not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
            return False
    return constraints.ca and (constraints.path_length is None or below <= constraints.path_length)


def _issues(
    issuer: x509.Certificate, issued: x509.Certificate, below: int, now: datetime, checks: Iterator[int]
) -> bool:
    valid = issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc
    if not valid or not _may_issue(issuer, below) or _hash_of(issued) in _BROKEN_HASHES:
        return False
    if next(checks, None) is None:
        return False
    return is_issued_by(issued, issuer)


def _signed(revocations: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    try:
        return isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and revocations.is_signature_valid(key)
    except UNREADABLE:
        return False
