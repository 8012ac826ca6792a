"""Certificates made on the fly: authorities, servers, clients, revocation lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = timedelta(days=1)
ORGANIZATION = "Example CPO"
_SIGNING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_ISSUING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key for a whole test session: making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, and the intermediates up to its root."""

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """The certificate, then its intermediates."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.intermediates))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write certificate and key files; returns their paths."""
        certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        return certificate, key


class Authority:
    """A certificate authority: a root, or an intermediate of another one."""

    def __init__(self, name: str = "Test Root", *, issuer: "Authority | None" = None) -> None:
        self.key = ec_key()
        self._issuer = issuer
        subject = _name(name, ORGANIZATION)
        builder = _builder(subject, self.key.public_key(), -DAY, 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_ISSUING, critical=True)
        if issuer is None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.issuer_name(subject).add_extension(identifier, critical=False)
            self.certificate = builder.sign(self.key, SHA256())
        else:
            self.certificate = issuer.sign(builder)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """This one and those above it, without the root."""
        return () if self._issuer is None else (self.certificate, *self._issuer.intermediates)

    def write(self, folder: Path, name: str = "ca.pem") -> Path:
        """Write this authority's own certificate; returns the path."""
        path = folder / name
        path.write_bytes(self.pem)
        return path

    def intermediate(self, name: str = "Test Intermediate") -> "Authority":
        return Authority(name, issuer=self)

    def server(
        self, host: str = "localhost", *, key: PrivateKey | None = None, starts: timedelta = -DAY, ends: timedelta = DAY
    ) -> Issued:
        """A server certificate (ECDSA P-256 unless `key` says otherwise); times are relative to now."""
        return self.issue(
            host,
            key=key,
            starts=starts,
            ends=ends,
            names=(host,),
            organization="",
            usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
        )

    def client(
        self,
        common_name: str = "CP-1",
        *,
        names: Iterable[str] = (),
        organization: str = ORGANIZATION,
        key: PrivateKey | None = None,
        starts: timedelta = -DAY,
        ends: timedelta = DAY,
        usages: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    ) -> Issued:
        """A client certificate; `names` are DNS names of the subject alternative name, no usages: no such extension."""
        return self.issue(
            common_name, key=key, starts=starts, ends=ends, names=names, organization=organization, usages=usages
        )

    def issue(
        self,
        common_name: str,
        *,
        key: PrivateKey | None,
        starts: timedelta,
        ends: timedelta,
        names: Iterable[str],
        organization: str,
        usages: Iterable[x509.ObjectIdentifier],
    ) -> Issued:
        own = ec_key() if key is None else key
        builder = _builder(_name(common_name, organization), own.public_key(), starts, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_SIGNING, critical=True)
        alternatives = [x509.DNSName(name) for name in names]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        extended = list(usages)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        return Issued(self.sign(builder), own, self.intermediates)

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign what a builder holds; the issuer's name is set here."""
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            builder.issuer_name(self.certificate.subject)
            .add_extension(identifier, critical=False)
            .sign(self.key, SHA256())
        )

    def revocations(self, *revoked: Issued, starts: timedelta = -DAY, ends: timedelta = DAY) -> bytes:
        """A revocation list in PEM form."""
        now = _now()
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, now + starts, now + ends)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(one.serial, now - timedelta(hours=1)).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _name(common_name: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, starts: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
