"""The security profile decision: what is on record and what is shown make a session, or an HTTP refusal. Pure.

Sources: security whitepaper 1.6 and OCPP 2.0.1 part 2, use cases A00 (profiles) and A05 (no way back to a lower one).
Profile 1 is Basic authentication, 2 the same over TLS, 3 TLS with a client certificate; 0 asks for nothing.
"""

from dataclasses import dataclass, field

from contracts.credentials import StoredKey
from contracts.envelope import AdmissionVerdict
from contracts.versions import Version
from gateway.client_certificates import Problem
from gateway.credentials_shown import Shown
from gateway.handshake import UNKNOWN, Refused
from gateway.peer import ClientCertificate, Peer
from gateway.tolerances import Tolerance

CHALLENGE = (("WWW-Authenticate", 'Basic realm="ocpp"'),)
MISSING = Refused(401, "credentials_missing", "credentials are needed", headers=CHALLENGE)
WRONG = Refused(401, "credentials_wrong", "these credentials do not open", headers=CHALLENGE)
TOO_LOW = Refused(403, "profile_too_low", "a TLS connection is needed")
NO_CERTIFICATE = Refused(403, "certificate_missing", "a client certificate is needed")
OTHER_IDENTITY = Refused(403, "certificate_other_identity", "the client certificate is not this charge point's")
FOREIGN_ORGANIZATION = Refused(
    403, "certificate_other_organization", "the client certificate is of another organization"
)
PROBLEMS = frozenset(problem.value for problem in Problem)
"""What a certificate may suffer from; another word counts as `invalid`, so that the metric's labels stay bounded."""

MOST_KEYS = 8


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator has set for all charge points."""

    min_profile: int = 0
    registration_open: bool = True
    certificate_organization: str = ""
    hex_password_literal: bool = True
    """Whether a 1.6 charge point may send its hexadecimal key as text, where the bytes are meant."""


UNRECORDED = AdmissionVerdict("", known=False)


@dataclass(frozen=True, slots=True)
class LetIn:
    """The charge point may have a session of this security profile."""

    profile: int = 0
    key_id: str | None = None
    """The password that it showed, if that was asked for."""
    certificate_name: str | None = None
    """The common name of the certificate that it came with, when that made profile 3."""
    tolerated: tuple[Tolerance, ...] = ()
    """The deviations that were borne."""
    needs_notice: bool = False
    """Whether the workers wait to hear of this: a pending password or a profile to be taken is in use now."""
    record: AdmissionVerdict = field(default=UNRECORDED, compare=False)
    """What is on record of it, where that was asked for."""

    @property
    def authenticated(self) -> bool:
        return self.profile > 0


def judge(
    record: AdmissionVerdict, version: Version, peer: Peer, shown: Shown | None, policy: Policy
) -> LetIn | Refused:
    """Judge by the highest profile whose requirements are met: it must not be below the one on record.

    A password is neither asked for nor looked at where TLS is missing and needed: 403, so that none is sent in the
    clear. Wrong ones are refused even where none is needed, if the charge point has any.
    """
    if not record.known:
        return LetIn(record=record) if policy.registration_open and policy.min_profile == 0 else UNKNOWN
    floor = max(record.profile, policy.min_profile)
    if floor >= 2 and not peer.tls:
        return TOO_LOW
    certificate = _certificate(record, peer, policy)
    if isinstance(certificate, ClientCertificate):
        return _let_in(record, 3, certificate_name=certificate.common_name)
    if floor >= 3:
        return certificate
    key, tolerated = (None, ()) if shown is None else _matching_key(record, version, shown, policy)
    if key is not None:
        return _let_in(record, 2 if peer.tls else 1, key, tolerated)
    if shown is not None and (floor or record.keys):
        return WRONG
    return MISSING if floor else _let_in(record, 0)


def still_good(record: AdmissionVerdict, let_in: LetIn, peer: Peer, policy: Policy) -> bool:
    """Whether one that was let in would be so by a newer record. Passwords are not kept: the key's name stands for it.

    Revocation lists are not looked at again: they change by themselves, not with a record.
    """
    if not record.known:
        return policy.registration_open and policy.min_profile == 0
    if let_in.profile < max(record.profile, policy.min_profile):
        return False
    if let_in.profile == 3:
        return isinstance(_certificate(record, peer, policy), ClientCertificate)
    return let_in.key_id is None or any(
        key is not None and key.key_id == let_in.key_id for key in map(StoredKey.decode, record.keys[:MOST_KEYS])
    )


def _let_in(
    record: AdmissionVerdict,
    profile: int,
    key: StoredKey | None = None,
    tolerated: tuple[Tolerance, ...] = (),
    *,
    certificate_name: str | None = None,
) -> LetIn:
    raised = record.target_profile is not None and profile >= record.target_profile
    pending = key is not None and key.pending
    key_id = None if key is None else key.key_id
    return LetIn(profile, key_id, certificate_name, tolerated, raised or pending, record)


def _certificate(record: AdmissionVerdict, peer: Peer, policy: Policy) -> ClientCertificate | Refused:
    """The certificate that speaks for this charge point, or why there is none."""
    certificate = peer.certificate
    if not peer.tls:
        return TOO_LOW
    if peer.certificate_problem is not None:
        problem = peer.certificate_problem if peer.certificate_problem in PROBLEMS else "invalid"
        return Refused(403, f"certificate_{problem}", "the client certificate cannot be accepted")
    if certificate is None:
        return NO_CERTIFICATE
    if policy.certificate_organization and certificate.organization != policy.certificate_organization:
        return FOREIGN_ORGANIZATION
    expected = (record.certificate_name or record.identity).casefold()
    if all(name.casefold() != expected for name in (certificate.common_name, *certificate.names)):
        return OTHER_IDENTITY
    return certificate


def _matching_key(
    record: AdmissionVerdict, version: Version, shown: Shown, policy: Policy
) -> tuple[StoredKey | None, tuple[Tolerance, ...]]:
    """The key on record that was shown. All are compared, whatever matches: the time taken tells nothing."""
    hex_literal = policy.hex_password_literal and version is Version.V16
    candidates = shown.candidates(hex_literal=hex_literal)
    found: StoredKey | None = None
    tolerated: tuple[Tolerance, ...] = ()
    for line in record.keys[:MOST_KEYS]:
        key = StoredKey.decode(line)
        if key is None:
            continue
        for number, candidate in enumerate(candidates):
            # one that is both in force and pending counts as pending: so the workers hear of it
            if key.matches(candidate) and (found is None or key.pending):
                found, tolerated = key, (Tolerance.HEX_PASSWORD_LITERAL,) if number else ()
    return (found, tolerated) if _names(shown, record.identity, version) else (None, ())


def _names(shown: Shown, identity: str, version: Version) -> bool:
    """Whether the user name is the identity; 2.x identities are case-insensitive, 1.6 ones are not."""
    if not shown.readable:
        return False
    try:
        username = shown.username.decode()
    except UnicodeDecodeError:
        return False
    return username == identity or (version is not Version.V16 and username.casefold() == identity.casefold())
