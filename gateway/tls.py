"""TLS of the gateway: certificates and keys from files, the context made of them, and their renewal in place.

Sources: OCPP 2.0.1 part 2 A00.FR.308 to 321 and 412 to 425 (versions, cipher suites, key lengths).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from contracts.x509_reading import UNREADABLE
from gateway import metrics
from gateway.client_certificates import EC_BITS, RSA_BITS, Trust, is_weak, load_trust
from gateway.errors import CertificateFileError

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384"
)
"""Of TLS 1.2. The last two keep no secret of the past, but charge points may have no other (A00.FR.318)."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: whether a client's certificate is out of date is said in HTTP, where it has a name."""


class TlsVersion(StrEnum):
    """The least version that is spoken."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class KeyType(StrEnum):
    """Kinds of server keys; one certificate of each can be served side by side."""

    RSA = "rsa"
    ECDSA = "ecdsa"


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate of this gateway."""

    key_type: KeyType
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where everything is. Without pairs there is no context, without authorities no trust."""

    pairs: tuple[tuple[Path, Path], ...] = ()
    """Certificate (then its intermediates) and key, both PEM."""
    client_authorities: Path | None = None
    revocations: Path | None = None
    minimum: TlsVersion = TlsVersion.TLS12

    def __bool__(self) -> bool:
        return bool(self.pairs) or self.client_authorities is not None

    def stamp(self) -> tuple[object, ...]:
        """What differs once a file was changed or replaced."""
        paths = [path for pair in self.pairs for path in pair]
        paths.extend(path for path in (self.client_authorities, self.revocations) if path is not None)
        return tuple(_stamp(path) for path in paths)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files held when they were read."""

    context: ssl.SSLContext | None
    certificates: tuple[ServerCertificate, ...]
    trust: Trust | None


def read(path: Path) -> bytes:
    """A file's content; raises CertificateFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateFileError(f"{path}: {error.strerror}") from error


def load_certificate(path: Path) -> tuple[ServerCertificate, bytes]:
    """The first certificate of a PEM file, and its public key; raises CertificateFileError."""
    try:
        certificate, *_ = x509.load_pem_x509_certificates(read(path))
        key = certificate.public_key()
    except CertificateFileError:
        raise
    except UNREADABLE as error:
        raise CertificateFileError(f"{path}: no readable PEM certificate") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise CertificateFileError(f"{path}: the certificate's key is neither RSA nor ECDSA")
    if is_weak(key):
        raise CertificateFileError(f"{path}: the key is too short; OCPP asks for RSA {RSA_BITS} or EC {EC_BITS} bits")
    kind = KeyType.RSA if isinstance(key, rsa.RSAPublicKey) else KeyType.ECDSA
    facts = ServerCertificate(kind, certificate.fingerprint(SHA256()).hex(), certificate.not_valid_after_utc)
    return facts, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_pair(certificate_file: Path, key_file: Path) -> ServerCertificate:
    """Check that a certificate and a key can be used, and belong together; raises CertificateFileError."""
    facts, public = load_certificate(certificate_file)
    try:
        key = load_pem_private_key(read(key_file), password=None)
    except CertificateFileError:
        raise
    except TypeError as error:
        raise CertificateFileError(f"{key_file}: the key is encrypted; give it without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateFileError(f"{key_file}: no readable PEM private key") from error
    if key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public:
        raise CertificateFileError(f"{key_file}: not the key of the certificate in {certificate_file}")
    return facts


def load_pairs(pairs: tuple[tuple[Path, Path], ...]) -> tuple[ServerCertificate, ...]:
    """Check all pairs, of which each kind of key may have one; raises CertificateFileError."""
    certificates = tuple(load_pair(*pair) for pair in pairs)
    if len({one.key_type for one in certificates}) < len(certificates):
        raise CertificateFileError("two certificates with the same kind of key: one RSA and one ECDSA can be served")
    return certificates


def load_trust_files(authorities: Path, revocations: Path | None) -> Trust:
    """What is believed of clients' certificates; raises CertificateFileError."""
    return load_trust(read(authorities), b"" if revocations is None else read(revocations))


def load(files: TlsFiles) -> Loaded:
    """Read all files anew; raises CertificateFileError."""
    trust = None
    if files.client_authorities is not None:
        trust = load_trust_files(files.client_authorities, files.revocations)
    certificates = load_pairs(files.pairs)
    return Loaded(_context(files, trust) if files.pairs else None, certificates, trust)


class Tls:
    """The TLS state in force; `watch` keeps it up to date. Connections that are open already are left alone."""

    def __init__(self, files: TlsFiles, *, look_seconds: float, now: Callable[[], datetime] | None = None) -> None:
        """Raises CertificateFileError."""
        self._files = files
        self._look_seconds = look_seconds
        self._now = now or (lambda: datetime.now(UTC))
        self._wanted = asyncio.Event()
        self._stamp = files.stamp()
        self._warned = False
        self._log = structlog.get_logger()
        self.loaded = load(files)
        self._tell()

    @property
    def context(self) -> ssl.SSLContext | None:
        return self.loaded.context

    @property
    def trust(self) -> Trust | None:
        return self.loaded.trust

    def reload_soon(self) -> None:
        """Read the files at once, changed or not."""
        self._wanted.set()

    async def watch(self) -> None:
        """Look for changed files now and then, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._wanted.wait()
            forced = self._wanted.is_set()
            self._wanted.clear()
            try:
                await self._look(forced=forced)
            except Exception:  # noqa: BLE001 - outermost shell: whatever a file holds, the next look must come
                metrics.TLS_RELOAD.labels("failed").inc()
                self._log.exception("tls.look_failed")

    async def _look(self, *, forced: bool) -> None:
        stamp = await asyncio.to_thread(self._files.stamp)
        if forced or stamp != self._stamp:
            self._stamp = stamp  # a bad file is complained of once, not at each look
            try:
                self.loaded = await asyncio.to_thread(load, self._files)
            except CertificateFileError as error:
                metrics.TLS_RELOAD.labels("failed").inc()
                self._log.error("tls.reload_failed", problem=str(error))
            else:
                metrics.TLS_RELOAD.labels("ok").inc()
                self._warned = False
                self._log.info(
                    "tls.reloaded",
                    fingerprints=[one.fingerprint for one in self.loaded.certificates],
                    not_after=[one.not_after.isoformat() for one in self.loaded.certificates],
                )
        self._tell()

    def _tell(self) -> None:
        metrics.TLS_NOT_AFTER.clear()  # a kind of key that is no longer in use must not seem to expire one day
        for one in self.loaded.certificates:
            metrics.TLS_NOT_AFTER.labels(one.key_type.value).set(one.not_after.timestamp())
        ends = None if self.loaded.trust is None else self.loaded.trust.next_update
        metrics.TLS_REVOCATIONS_NEXT_UPDATE.set(0 if ends is None else ends.timestamp())
        if ends is None:
            return
        if ends < self._now() and not self._warned:
            self._warned = True
            self._log.warning("tls.revocations_outdated", next_update=ends.isoformat())


def _context(files: TlsFiles, trust: Trust | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if files.minimum is TlsVersion.TLS13 else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Tickets are worth nothing after a restart or at another gateway, which is when herds come back; each connection
    # that has issued some holds 10 to 25 KB more for as long as it lives; and they hold the client's certificate
    # without its intermediates, of which one may have been revoked.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        for certificate, key in files.pairs:
            context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise CertificateFileError(f"{certificate}: OpenSSL does not take it ({_reason(error)})") from error
    if trust is not None:
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in trust.authorities)
        context.load_verify_locations(cadata=pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
