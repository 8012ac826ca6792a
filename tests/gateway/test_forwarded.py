"""What believed proxies say in HTTP headers."""

import base64
import ipaddress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from gateway.forwarded import Forwarded, Proxies, certificate_in, present, read
from tests.support.certificates import Authority

PROXIES = Proxies((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")), False, "x-client-cert")
CLIENT = Authority().client()
RFC_9440 = f":{base64.b64encode(CLIENT.der).decode()}:"
NGINX = quote(CLIENT.pem.decode(), safe="")
XFCC = f'By=spiffe://x;Hash=ab;Cert="{NGINX}";Subject="CN=a,O=\\"b;Cert=c\\"";URI='


def told(*headers: tuple[str, str]) -> Forwarded | None:
    return read(Headers(headers).get_all, PROXIES)


@pytest.mark.parametrize(
    ("address", "listed"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::ffff:10.0.0.1", True), ("fd00::1", True), ("", False), ("x", False)],
)
def test_proxies_are_known_by_their_networks(address: str, listed: bool) -> None:
    assert PROXIES.listed(address) is listed


@pytest.mark.parametrize(
    ("headers", "address", "tls"),
    [
        ([("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")], "203.0.113.7", True),
        ([("X-Forwarded-For", "1.1.1.1, 203.0.113.7, 10.0.0.2"), ("X-Forwarded-Proto", "wss")], "203.0.113.7", True),
        ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.7")], "203.0.113.7", False),
        ([("X-Forwarded-For", "1.1.1.1, unknown, 10.0.0.2")], "", False),
        ([("X-Forwarded-For", "203.0.113.7:4711"), ("X-Forwarded-Proto", "http")], "203.0.113.7", False),
        ([("X-Forwarded-For", "[2001:db8::1]:4711"), ("X-Forwarded-Proto", "https,http")], "2001:db8::1", False),
        ([("Forwarded", 'for=1.1.1.1, for="[2001:db8::7]:1";proto=https')], "2001:db8::7", False),
        ([("Forwarded", "For=203.0.113.7;Proto=HTTPS;by=10.0.0.1")], "203.0.113.7", True),
        ([("Forwarded", "for=9.9.9.9;proto=https"), ("X-Forwarded-For", "203.0.113.7")], "", False),
        ([("Forwarded", "proto=https"), ("X-Forwarded-For", "203.0.113.7")], "203.0.113.7", False),
        ([("Forwarded", "for=203.0.113.7;proto=http"), ("X-Forwarded-Proto", "https")], "203.0.113.7", False),
        (
            [
                ("Forwarded", "for=203.0.113.7;proto=https"),
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-Proto", "https"),
            ],
            "203.0.113.7",
            True,
        ),
        ([], "", False),
    ],
)
def test_address_and_tls_are_those_of_the_last_hop_that_is_no_proxy(
    headers: list[tuple[str, str]], address: str, tls: bool
) -> None:
    assert told(*headers) == Forwarded(address, tls)


@pytest.mark.parametrize("value", [RFC_9440, NGINX, XFCC, f"Cert={NGINX}"])
def test_a_certificate_is_read_in_three_forms(value: str) -> None:
    assert certificate_in(value) == CLIENT.der
    assert told(("X-Client-Cert", value)) == Forwarded(certificate=CLIENT.der)


@pytest.mark.parametrize(
    "value",
    ["x", "::", ":é:", ":AA=A:", f'Cert="{NGINX}",Cert="{NGINX}"', 'Subject=";Cert=x"', "-----BEGIN CERTIFICATE-----"],
)
def test_a_certificate_that_cannot_be_read_is_there_nevertheless(value: str) -> None:
    assert certificate_in(value) is None
    assert told(("X-Client-Cert", value)) == Forwarded(certificate=b"")


def test_an_empty_header_is_no_certificate_and_two_are_refused() -> None:
    assert told(("X-Client-Cert", "")) == Forwarded()
    assert told(("X-Client-Cert", NGINX), ("X-Client-Cert", NGINX)) is None


def test_what_only_proxies_should_set_is_named_by_a_bounded_word() -> None:
    headers = Headers([("X-Client-Cert", "a"), ("Forwarded", "for=x"), ("Host", "x")])
    assert present(headers.get_all, PROXIES) == ["forwarded", "client_certificate"]
    assert present(headers.get_all, Proxies()) == ["forwarded"]


@given(st.text(max_size=200))
def test_any_value_is_read_somehow(value: str) -> None:
    headers = {name: [value] for name in ("x-forwarded-for", "x-forwarded-proto", "forwarded", "x-client-cert")}
    assert isinstance(read(lambda name: headers.get(name, []), PROXIES), Forwarded)
