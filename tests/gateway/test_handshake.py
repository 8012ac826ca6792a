"""The handshake decision, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.versions import Version
from gateway.handshake import Accepted, Refused, decide

ENDPOINT = "/ocpp"


@pytest.mark.parametrize(
    ("path", "offered", "expected"),
    [
        ("/ocpp/CP-1", ["ocpp1.6"], Accepted("CP-1", Version.V16)),
        ("/ocpp/CP-1", ["ocpp2.0.1"], Accepted("CP-1", Version.V201)),
        ("/ocpp/CP-1", ["ocpp2.1"], Accepted("CP-1", Version.V21)),
        ("/ocpp/RDAM%20123", ["ocpp1.6"], Accepted("RDAM 123", Version.V16)),
        ("/ocpp/A%2FB?token=x", ["ocpp1.6"], Accepted("A/B", Version.V16)),
        ("/ocpp/A%2520B", ["ocpp1.6"], Accepted("A%20B", Version.V16)),
        # the client's first that we speak
        ("/ocpp/CP-1", ["ocpp0.1, ocpp2.0.1, ocpp1.6"], Accepted("CP-1", Version.V201)),
        ("/ocpp/CP-1", ["ocpp1.6,ocpp2.1"], Accepted("CP-1", Version.V16)),
        ("/ocpp/CP-1", ["ocpp0.1", "ocpp2.1"], Accepted("CP-1", Version.V21)),
    ],
)
def test_who_is_accepted(path: str, offered: list[str], expected: Accepted) -> None:
    assert decide(path, offered, ENDPOINT) == expected


@pytest.mark.parametrize(
    ("path", "offered", "status", "reason"),
    [
        ("/ocpp/CP-1", ["ocpp0.1"], 400, "foreign_subprotocol"),
        ("/ocpp/CP-1", ["OCPP1.6"], 400, "foreign_subprotocol"),
        ("/ocpp/CP-1", [], 400, "no_subprotocol"),
        ("/ocpp/CP-1", [""], 400, "no_subprotocol"),
        ("/", ["ocpp1.6"], 404, "bad_path"),
        ("/ocpp", ["ocpp1.6"], 404, "bad_path"),
        ("/ocppX/CP-1", ["ocpp1.6"], 404, "bad_path"),
        ("/ocpp/", ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/a/b", ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/%ff", ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/%zz", ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/%00", ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/" + "x" * 129, ["ocpp1.6"], 400, "bad_identity"),
        ("/ocpp/" + "x" * 49, ["ocpp2.0.1"], 400, "bad_identity"),
        ("/ocpp/a:b", ["ocpp2.1"], 400, "bad_identity"),
    ],
)
def test_who_is_refused_and_how(path: str, offered: list[str], status: int, reason: str) -> None:
    refused = decide(path, offered, ENDPOINT)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (status, reason)


@given(st.text(max_size=200), st.lists(st.text(max_size=40), max_size=4))
def test_any_request_gets_a_verdict(path: str, offered: list[str]) -> None:
    assert isinstance(decide(path, offered, ENDPOINT), Accepted | Refused)
