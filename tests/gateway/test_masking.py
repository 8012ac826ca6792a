"""No secret gets through the mask, everything else does, and nothing makes it fail."""

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import MASK, MOST_BYTES, Masking, masker

MASK_ALL, MASK_CREDENTIALS, MASK_NONE = masker(Masking.ALL), masker(Masking.CREDENTIALS), masker(Masking.NONE)
SECRET = "S3CRET-7f"
BASIC = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
IDS: list[Any] = [
    {"idTag": SECRET},
    {"idTag": 5551234},
    {"listVersion": 1, "localAuthorizationList": [{"idTag": SECRET, "idTagInfo": {"parentIdTag": SECRET}}]},
    {
        "idToken": {
            "idToken": SECRET,
            "type": "ISO14443",
            "additionalInfo": [{"additionalIdToken": SECRET, "type": "x"}],
        }
    },
    {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": SECRET, "type": "Central"}}},
    {"idToken": SECRET},
    {"vendorId": "v", "data": json.dumps({"idToken": {"idToken": SECRET, "type": "eMAID"}})},
    {"vendorId": "v", "data": json.dumps(json.dumps({"idTag": SECRET}))},
    {"vendorId": "v", "data": json.dumps({"idTag": SECRET})[:-1]},
    {"vendorId": "v", "data": str({"idTag": SECRET})},
    {"vendorId": "v", "data": f"idTag={SECRET};x=1 idToken: {SECRET}"},
    {"id_tag": SECRET, "Id-Token": SECRET},
    {"requestId": 1, "customerIdentifier": SECRET},
]
CREDENTIALS: list[Any] = [
    {"key": "AuthorizationKey", "value": SECRET},
    {"key": "authorizationkey", "value": SECRET},
    {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]},
    {"setVariableData": [{**BASIC, "attributeValue": SECRET}]},
    {"getVariableResult": [{**BASIC, "attributeStatus": "Accepted", "attributeValue": SECRET}]},
    {"reportData": [{**BASIC, "variableAttribute": [{"type": "Actual", "value": SECRET}]}]},
    {"eventData": [{**BASIC, "actualValue": SECRET}]},
    {"connectionData": {"basicAuthPassword": SECRET, "vpn": {"server": "s", "key": SECRET, "password": SECRET}}},
    {"connectionData": {"apn": {"apn": "internet", "apnPassword": SECRET, "simPin": SECRET}}},
    {"Key": "AuthorizationKey", "Value": SECRET},
    {"name": "WifiPassword", "value": SECRET},
    *({"key": key, "value": SECRET} for key in ("FtpPwd", "WifiPSK", "WLAN_Passphrase", "CloudApiKey", "SIM1-PIN")),
    {"setVariableData": [{"variable": {"name": "MasterPassGroupId"}, "attributeValue": SECRET}]},
    {"setVariableResult": [{**BASIC, "attributeStatus": "Accepted", "attributeValue": SECRET}]},
    {"protected": "eyJhbGciOiJFUzI1NiJ9", "payload": SECRET, "signature": "c2ln"},
    {"vendorId": "v", "data": json.dumps({"protected": "e30", "payload": SECRET, "signature": "c2ln"})},
    {"vendorId": "v", "data": {"accessToken": SECRET, "api_key": SECRET, "pwd": SECRET}},
    {"vendorId": "v", "data": f"user=x&password={SECRET}"},
    {"vendorId": "v", "data": f"<wifi-psk>{SECRET}</wifi-psk>"},
    {"vendorId": "v", "data": f"{{'password': '{SECRET} {SECRET}'"},
    {"vendorId": "v", "data": f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----"},
    {"location": f"ftp://user:{SECRET}@example.com/firmware.bin"},
    {"location": f"https://{SECRET}@example.com/"},
    {"location": f"ftp://user:pa/{SECRET}@example.com/x"},
    {"log": {"remoteLocation": f"see sftp://u:{SECRET}@h/p, please"}},
    {"location": f"ftp://a:{SECRET}@h/x,ftp://b:{SECRET}@{SECRET}@h/y ftp://c:p/{SECRET}@h/z"},
    {"location": f"https://b.example.com/k?X-Credential={SECRET}&X-Signature={SECRET}"},
    {"location": f"https://h/f?{SECRET}"},
]
INNOCENT: list[Any] = [
    {"key": "HeartbeatInterval", "value": "300"},
    {"key": ["AuthorizationKey"]},
    {"csr": "-----BEGIN CERTIFICATE REQUEST-----\nMIIBIjANBgkqhkiG9w0B\n-----END CERTIFICATE REQUEST-----"},
    {"certificateChain": "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0B\n-----END CERTIFICATE-----"},
    {"info": "protected by a fuse", "payload": "3 kW"},
    {"location": "https://example.com:8080/a@b"},
    {"info": "charger@example.com"},
    {"key": "MeterPublicKey", "value": "04ab"},
    {"info": "token not valid, at 12:30:00 [see key 4]"},
    {"info": "at https://h/p? no: a://b, c://d:80/e@f"},
    {"vendorId": "v", "data": '{ "a" : 1 }'},
    {"setVariableData": [{"component": {"name": "X"}, "variable": {"name": "Interval"}, "attributeValue": "5"}]},
]


def frame(payload: Any, **how: Any) -> bytes:
    return json.dumps([2, "u-1", "Action", payload], **how).encode()


@pytest.mark.parametrize("payload", IDS + CREDENTIALS)
def test_secrets_are_masked(payload: Any) -> None:
    masked = MASK_ALL(frame(payload))
    assert SECRET.encode() not in masked
    assert b"5551234" not in masked
    assert MASK.encode() in masked
    assert json.loads(masked)[:3] == [2, "u-1", "Action"]


def test_ids_stay_when_only_credentials_are_masked() -> None:
    for payload in IDS:
        assert json.loads(MASK_CREDENTIALS(frame(payload))) == [2, "u-1", "Action", payload]
    for payload in CREDENTIALS:
        assert SECRET.encode() not in MASK_CREDENTIALS(frame(payload))


@pytest.mark.parametrize("payload", INNOCENT)
def test_what_only_looks_like_a_secret_is_left_alone(payload: Any) -> None:
    assert json.loads(MASK_ALL(frame(payload))) == [2, "u-1", "Action", payload]


def test_what_is_beside_a_secret_stays_readable() -> None:
    masked = json.loads(MASK_ALL(frame({"connectorId": 1, "idTag": SECRET, "meterStart": 7, "reservationId": None})))
    assert masked[3] == {"connectorId": 1, "idTag": MASK, "meterStart": 7, "reservationId": None}
    masked = json.loads(MASK_ALL(frame({"idToken": {"idToken": SECRET, "type": "ISO14443"}})))
    assert masked[3] == {"idToken": {"idToken": MASK, "type": "ISO14443"}}
    masked = json.loads(MASK_ALL(frame({"location": f"ftp://u:{SECRET}@h:21/p"})))
    assert masked[3] == {"location": f"ftp://{MASK}@h:21/p"}
    masked = json.loads(MASK_ALL(frame({"location": f"see https://u@h/p?se=2030&sig={SECRET} now"})))
    assert masked[3] == {"location": f"see https://{MASK}@h/p?se={MASK}&sig={MASK} now"}


@pytest.mark.parametrize(
    "piece",
    [
        "pwd",
        "pwd=",
        "pwd ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "idtag'",
        "psk='",
        "://a:",
        "://a:1",
        "://a:b@",
        "://@",
        "://a/",
        "://a?",
        "://",
        "a:",
        "@",
        "?a=",
        " ://a:",
        "://a:1/",
    ],
)
@pytest.mark.parametrize("end", ["", "@", " @"])
def test_no_text_takes_more_than_linear_time(piece: str, end: str) -> None:
    """A text of some of these once took a quarter of an hour, in which a gateway does nothing else."""
    long = frame({"data": "@ ://a pwd= " + piece * (MOST_BYTES // 2 // len(piece)) + end})
    began = time.process_time()
    assert not MASK_ALL(long).startswith(b"{")
    assert time.process_time() - began < 2


def test_of_a_huge_frame_that_may_hold_a_secret_only_the_size_is_kept() -> None:
    plain, traced = frame({"data": "x" * MOST_BYTES}), frame({"data": "x" * MOST_BYTES, "idTag": SECRET})
    assert MASK_ALL(plain) == plain
    assert json.loads(MASK_ALL(traced)) == {"unreadable_bytes": len(traced)}


def test_a_frame_without_a_trace_is_returned_as_it_came() -> None:
    odd = b'[2, "u" , "Heartbeat",{ } ]\n'
    assert MASK_ALL(odd) is odd
    assert MASK_NONE(frame(IDS[0])) == frame(IDS[0])


@pytest.mark.parametrize(
    "hidden",
    [
        b'[2,"u","Authorize",{"\\u0069dTag":"S3CRET-7f"}]',
        b'[2,"u","Authorize",{"idTag":"S3CRET-7f","idTag":null}]',
        b'[2,"u","X",{"location":"ftp:\\/\\/u:S3CRET-7f@h"}]',
        b'[2,"u","X",{"location":"ftp:\\/\\/u:S3CRET-7f\\u0040h"}]',
        b'[2,"u","Authorize",{"idTag":"S3CRET-7f"',
        b'"idTag S3CRET-7f"',
        b'{"Tag":"S3CRET-7f"}',
        b'Tag":"S3CRET-7f"}]',
        b'[2,"u","X",{"idTag":' + b"[" * 300 + b'"S3CRET-7f"' + b"]" * 300 + b"}]",
        b'[2,"u","X",' + b'{"vpn":' * 1000 + b'{"key":"S3CRET-7f"}' + b"}" * 1000 + b"]",
        b'[2,"u","X",' + b'{"a":' * 200 + b'{"idTag":"S3CRET-7f"}' + b"}" * 200 + b"]",
    ],
)
def test_nothing_hides_a_secret(hidden: bytes) -> None:
    assert SECRET.encode() not in MASK_ALL(hidden)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_it_is_total(junk: bytes) -> None:
    for mask in (MASK_ALL, MASK_CREDENTIALS, MASK_NONE):
        for one in (junk, b'[2,"u","X",{"idTag":"' + junk + b'"}]', b'[2,"u",{"password":' + junk + b"}]"):
            assert isinstance(mask(one), bytes)


SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10)
NAMES = st.sampled_from(
    ["status", "connectorId", "idTagInfo", "type", "key", "value", "variable", "name", "data", "vpn"]
)
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
SECRETS = st.sampled_from(IDS + CREDENTIALS)
MIXED = st.recursive(
    SCALARS | SECRETS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


@given(MIXED, st.booleans(), st.sampled_from([None, 1]))
def test_a_secret_is_masked_wherever_it_is(payload: Any, ascii_only: bool, indent: int | None) -> None:
    masked = MASK_ALL(frame({"in": payload}, ensure_ascii=ascii_only, indent=indent))
    assert SECRET.encode() not in masked
    json.loads(masked)


@given(PLAIN)
def test_everything_else_is_unchanged(payload: Any) -> None:
    # one secret beside it makes sure that the frame is walked through
    masked = orjson.loads(MASK_ALL(frame({"idTag": SECRET, "beside": payload})))
    hidden = (
        "://",
        '"vpn"',
        "key",
        "token",
        "pin",
        "puk",
        "passw",
        "secret",
        "pwd",
        "psk",
        "credential",
        "masterpass",
        "id",
    )
    if not any(word in json.dumps(payload).replace('"key"', "").lower() for word in hidden):
        assert masked[3] == {"idTag": MASK, "beside": payload}
