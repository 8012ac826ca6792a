"""The token decision, shared by authorization and metering."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.store.tokens import Token, decide, token_key

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

tokens = st.builds(
    Token,
    id_token=st.text(max_size=20),
    status=st.sampled_from(["Accepted", "Blocked", "Invalid"]),
    expires_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    group_token=st.none() | st.just("GROUP"),
    concurrent=st.booleans(),
)


@settings(deadline=None)  # another process may take the processor meanwhile
@given(tokens, st.booleans(), st.booleans())
def test_only_a_token_that_is_neither_blocked_nor_expired_nor_busy_is_accepted(token, busy, accept_unknown):
    verdict = decide(token, NOW, busy_elsewhere=busy, accept_unknown=accept_unknown)
    expired = token.expires_at is not None and token.expires_at <= NOW
    fine = token.status == "Accepted" and not expired and (not busy or token.concurrent)
    assert verdict.accepted is fine
    assert verdict.group_token == token.group_token


def test_blocked_goes_before_expired_and_expired_before_busy():
    old = NOW - timedelta(seconds=1)

    def status(token) -> Any:
        return decide(token, NOW, busy_elsewhere=True, accept_unknown=False).status

    assert status(Token("a", "Blocked", old)) == "Blocked"
    assert status(Token("a", "Accepted", old)) == "Expired"
    assert status(Token("a", "Accepted")) == "ConcurrentTx"
    assert status(Token("a", "Accepted", concurrent=True)) == "Accepted"


def test_a_token_expires_at_its_moment():
    assert not decide(Token("a", "Accepted", NOW), NOW, busy_elsewhere=False, accept_unknown=False).accepted


def test_an_unknown_token_gets_what_the_operator_chose():
    assert decide(None, NOW, busy_elsewhere=False, accept_unknown=False).status == "Invalid"
    assert decide(None, NOW, busy_elsewhere=False, accept_unknown=True).status == "Accepted"


@settings(deadline=None)  # another process may take the processor meanwhile
@given(st.text(alphabet=st.characters(codec="ascii")))
def test_letter_case_never_matters(text):
    assert token_key(text.upper()) == token_key(text.lower())
