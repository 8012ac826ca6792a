"""The security profile decision, as a table: what is on record against what is shown."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.credentials import StoredKey
from contracts.envelope import AdmissionVerdict
from contracts.versions import Version
from gateway import security
from gateway.credentials_shown import Shown
from gateway.handshake import Refused
from gateway.peer import ClientCertificate, Peer
from gateway.security import LetIn, Policy, judge, still_good

SECRET, OLD = b"0123456789abcdefghij", b"another password of it"
KEY, PENDING = StoredKey.of(SECRET, key_id="k1"), StoredKey.of(b"next in line", pending=True, key_id="k2")

BASIC = {
    "no Basic": None,
    "right": Shown(b"CP-1", SECRET),
    "wrong": Shown(b"CP-1", OLD),
    "other name": Shown(b"CP-2", SECRET),
    "unreadable": Shown(b"", b"", readable=False),
}


def certificate(name: str = "CP-1", names: tuple[str, ...] = (), organization: str = "") -> ClientCertificate:
    return ClientCertificate(name, names, organization, "CA", 1, datetime(2030, 1, 1, tzinfo=UTC), "ff")


PEERS = {
    "plain": Peer("192.0.2.1"),
    "TLS": Peer("192.0.2.1", tls=True),
    "its certificate": Peer("192.0.2.1", tls=True, certificate=certificate()),
    "a foreign certificate": Peer("192.0.2.1", tls=True, certificate=certificate("CP-2")),
    "an expired certificate": Peer("192.0.2.1", tls=True, certificate_problem="expired"),
}
IN0, IN1, IN2, IN3 = "profile 0", "profile 1", "profile 2", "profile 3"
MISSING, WRONG = "401 credentials_missing", "401 credentials_wrong"
TOO_LOW, NONE = "403 profile_too_low", "403 certificate_missing"
FOREIGN, EXPIRED = "403 certificate_other_identity", "403 certificate_expired"

WITHOUT_KEYS = {
    "plain": dict.fromkeys(BASIC, IN0),
    "TLS": dict.fromkeys(BASIC, IN0),
    "its certificate": dict.fromkeys(BASIC, IN3),
    "a foreign certificate": dict.fromkeys(BASIC, IN0),
    "an expired certificate": dict.fromkeys(BASIC, IN0),
}


def _row(missing: str, right: str, wrong: str = WRONG) -> dict[str, str]:
    return {"no Basic": missing, "right": right, "wrong": wrong, "other name": wrong, "unreadable": wrong}


TABLE = {
    0: {
        "plain": _row(IN0, IN1),
        "TLS": _row(IN0, IN2),
        "its certificate": dict.fromkeys(BASIC, IN3),
        "a foreign certificate": _row(IN0, IN2),
        "an expired certificate": _row(IN0, IN2),
    },
    1: {
        "plain": _row(MISSING, IN1),
        "TLS": _row(MISSING, IN2),
        "its certificate": dict.fromkeys(BASIC, IN3),
        "a foreign certificate": _row(MISSING, IN2),
        "an expired certificate": _row(MISSING, IN2),
    },
    2: {
        "plain": dict.fromkeys(BASIC, TOO_LOW),
        "TLS": _row(MISSING, IN2),
        "its certificate": dict.fromkeys(BASIC, IN3),
        "a foreign certificate": _row(MISSING, IN2),
        "an expired certificate": _row(MISSING, IN2),
    },
    3: {
        "plain": dict.fromkeys(BASIC, TOO_LOW),
        "TLS": dict.fromkeys(BASIC, NONE),
        "its certificate": dict.fromkeys(BASIC, IN3),
        "a foreign certificate": dict.fromkeys(BASIC, FOREIGN),
        "an expired certificate": dict.fromkeys(BASIC, EXPIRED),
    },
}
CASES = [
    (profile, peer, basic, expected)
    for profile, peers in TABLE.items()
    for peer, row in peers.items()
    for basic, expected in row.items()
]


def record(profile: int = 0, *keys: StoredKey, **more: object) -> AdmissionVerdict:
    values: dict[str, object] = {"identity": "CP-1", "known": True, **more}
    return AdmissionVerdict(profile=profile, keys=tuple(key.encode() for key in keys), **values)  # type: ignore[arg-type]


def said(verdict: LetIn | Refused) -> str:
    return f"profile {verdict.profile}" if isinstance(verdict, LetIn) else f"{verdict.status} {verdict.reason}"


def let_in(verdict: LetIn | Refused) -> LetIn:
    assert isinstance(verdict, LetIn), verdict
    return verdict


@pytest.mark.parametrize(("profile", "peer", "basic", "expected"), CASES)
@pytest.mark.parametrize("version", [Version.V16, Version.V201])
def test_what_a_charge_point_with_a_password_meets(
    profile: int, peer: str, basic: str, expected: str, version: Version
) -> None:
    verdict = judge(record(profile, KEY), version, PEERS[peer], BASIC[basic], Policy())
    assert said(verdict) == expected
    if isinstance(verdict, Refused):
        assert (("WWW-Authenticate", 'Basic realm="ocpp"') in verdict.headers) == (verdict.status == 401)


@pytest.mark.parametrize(("profile", "peer", "basic", "expected"), CASES)
def test_the_gateways_own_least_profile_counts_like_the_one_on_record(
    profile: int, peer: str, basic: str, expected: str
) -> None:
    policy = Policy(min_profile=profile)
    assert said(judge(record(0, KEY), Version.V16, PEERS[peer], BASIC[basic], policy)) == expected
    high = judge(record(3, KEY), Version.V16, PEERS[peer], BASIC[basic], policy)
    assert said(high) == TABLE[3][peer][basic]


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("basic", BASIC)
def test_without_a_password_on_record_and_none_needed_what_is_shown_is_ignored(peer: str, basic: str) -> None:
    assert said(judge(record(), Version.V16, PEERS[peer], BASIC[basic], Policy())) == WITHOUT_KEYS[peer][basic]


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("basic", BASIC)
@pytest.mark.parametrize("least", range(4))
def test_a_stranger_comes_in_only_where_nothing_is_asked_for(peer: str, basic: str, least: int) -> None:
    stranger = AdmissionVerdict("CP-1", known=False)
    for registration_open in (True, False):
        policy = Policy(least, registration_open)
        verdict = judge(stranger, Version.V16, PEERS[peer], BASIC[basic], policy)
        assert said(verdict) == (IN0 if registration_open and least == 0 else "404 unknown_identity")


def test_user_names_are_exact_in_16_and_without_case_in_2x() -> None:
    shown = Shown(b"cp-1", SECRET)
    assert said(judge(record(1, KEY), Version.V16, PEERS["plain"], shown, Policy())) == WRONG
    assert said(judge(record(1, KEY), Version.V201, PEERS["plain"], shown, Policy())) == IN1
    assert said(judge(record(1, KEY), Version.V201, PEERS["plain"], Shown(b"\xff", SECRET), Policy())) == WRONG


def test_a_16_key_may_come_as_its_bytes_or_as_hexadecimal_text() -> None:
    key = StoredKey.of(bytes.fromhex("00ff" * 10))
    plain, tolerant, strict = PEERS["plain"], Policy(), Policy(hex_password_literal=False)
    literal = Shown(b"CP-1", b"00FF" * 10)
    assert said(judge(record(1, key), Version.V16, plain, Shown(b"CP-1", b"\x00\xff" * 10), strict)) == IN1
    assert said(judge(record(1, key), Version.V16, plain, literal, tolerant)) == IN1
    assert said(judge(record(1, key), Version.V16, plain, literal, strict)) == WRONG
    assert said(judge(record(1, key), Version.V201, plain, literal, tolerant)) == WRONG


def test_a_pending_password_opens_beside_the_one_in_force_and_the_workers_hear_of_it() -> None:
    both = record(1, KEY, PENDING)
    old = let_in(judge(both, Version.V16, PEERS["plain"], BASIC["right"], Policy()))
    new = let_in(judge(both, Version.V16, PEERS["plain"], Shown(b"CP-1", b"next in line"), Policy()))
    assert (old.key_id, old.needs_notice) == ("k1", False)
    assert (new.key_id, new.needs_notice) == ("k2", True)


def test_one_password_that_is_in_force_and_pending_is_reported_as_pending() -> None:
    again = StoredKey.of(SECRET, pending=True, key_id="k9")
    for keys in ((KEY, again), (again, KEY)):
        verdict = let_in(judge(record(1, *keys), Version.V16, PEERS["plain"], BASIC["right"], Policy()))
        assert (verdict.key_id, verdict.needs_notice) == ("k9", True)


@pytest.mark.parametrize(("peer", "target", "needed"), [("plain", 2, False), ("TLS", 2, True), ("TLS", 3, False)])
def test_the_workers_hear_when_the_profile_to_be_taken_is_taken(peer: str, target: int, needed: bool) -> None:
    verdict = judge(record(1, KEY, target_profile=target), Version.V16, PEERS[peer], BASIC["right"], Policy())
    assert let_in(verdict).needs_notice is needed


@pytest.mark.parametrize(
    ("shown", "on_record", "organization", "expected"),
    [
        (certificate("cp-1"), {}, "", IN3),
        (certificate("x", ("cp-1",)), {}, "", IN3),
        (certificate("SN-7"), {"certificate_name": "sn-7"}, "", IN3),
        (certificate("CP-1"), {"certificate_name": "SN-7"}, "", FOREIGN),
        (certificate("CP-11"), {}, "", FOREIGN),
        (certificate(""), {}, "", FOREIGN),
        (certificate(organization="ACME"), {}, "ACME", IN3),
        (certificate(organization="Other"), {}, "ACME", "403 certificate_other_organization"),
    ],
)
def test_a_certificate_is_bound_to_one_charge_point(
    shown: ClientCertificate, on_record: dict[str, str], organization: str, expected: str
) -> None:
    peer = Peer("192.0.2.1", tls=True, certificate=shown)
    policy = Policy(certificate_organization=organization)
    verdict = judge(record(3, **on_record), Version.V201, peer, None, policy)
    assert said(verdict) == expected
    if isinstance(verdict, LetIn):
        assert verdict.certificate_name == shown.common_name


def test_a_certificate_that_came_without_tls_counts_for_nothing() -> None:
    peer = Peer("192.0.2.1", certificate=certificate())
    assert said(judge(record(0), Version.V16, peer, None, Policy())) == IN0
    assert said(judge(record(3), Version.V16, peer, None, Policy())) == TOO_LOW


def test_reasons_of_certificates_are_bounded() -> None:
    odd = Peer("192.0.2.1", tls=True, certificate_problem="anything at all")
    assert said(judge(record(3), Version.V16, odd, None, Policy())) == "403 certificate_invalid"
    for problem in security.PROBLEMS:
        peer = Peer("192.0.2.1", tls=True, certificate_problem=problem)
        assert said(judge(record(3), Version.V16, peer, None, Policy())) == f"403 certificate_{problem}"


@given(
    st.integers(0, 3), st.integers(0, 3), st.sampled_from(list(PEERS)), st.binary(max_size=60), st.binary(max_size=60)
)
def test_nobody_comes_in_below_the_floor_whatever_they_show(
    profile: int, least: int, peer: str, username: bytes, password: bytes
) -> None:
    shown = Shown(username, password)
    verdict = judge(record(profile, KEY), Version.V16, PEERS[peer], shown, Policy(least))
    if isinstance(verdict, LetIn):
        assert verdict.profile >= max(profile, least)
        assert verdict.profile == 3 or (username, password) == (b"CP-1", SECRET)


def test_keys_that_cannot_be_read_open_nothing() -> None:
    broken = AdmissionVerdict(
        "CP-1", known=True, profile=1, keys=("", "a$b", "x$current$md5$AA$AA", "k$current$sha256$$")
    )
    assert said(judge(broken, Version.V16, PEERS["plain"], BASIC["right"], Policy())) == WRONG


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("basic", BASIC)
@pytest.mark.parametrize("profile", range(4))
def test_whoever_was_let_in_is_still_good_by_the_same_record_and_by_any_that_would_let_it_in(profile, basic, peer):
    for before in range(4):
        old = AdmissionVerdict("CP-1", known=True, profile=before, keys=(KEY.encode(), PENDING.encode()))
        verdict = judge(old, Version.V16, PEERS[peer], BASIC[basic], Policy())
        if isinstance(verdict, Refused):
            continue
        assert still_good(old, verdict, PEERS[peer], Policy())
        new = AdmissionVerdict("CP-1", known=True, profile=profile, keys=(KEY.encode(),))
        again = judge(new, Version.V16, PEERS[peer], BASIC[basic], Policy())
        assert still_good(new, verdict, PEERS[peer], Policy()) is isinstance(again, LetIn)


def test_one_whose_key_is_gone_or_whose_certificate_is_anothers_now_is_good_no_longer():
    key = AdmissionVerdict("CP-1", known=True, profile=1, keys=("nonsense", PENDING.encode()))
    assert not still_good(key, LetIn(1, "k1"), PEERS["plain"], Policy())
    assert still_good(key, LetIn(1, "k2"), PEERS["plain"], Policy())
    other = AdmissionVerdict("CP-1", known=True, profile=0, certificate_name="CP-9")
    assert not still_good(other, LetIn(3, None, "CP-1"), PEERS["its certificate"], Policy())
    gone = AdmissionVerdict("CP-1", known=False)
    assert still_good(gone, LetIn(1, "k1"), PEERS["plain"], Policy())
    assert not still_good(gone, LetIn(1, "k1"), PEERS["plain"], Policy(registration_open=False))
