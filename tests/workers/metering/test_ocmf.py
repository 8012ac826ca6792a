"""Signed meter values: what verifies, what does not, and that nothing else ever comes of them."""

import json
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.meters import Meter
from workers.metering.ocmf import LONGEST_RECORD, Signature, judge, read_record
from workers.store.meter_keys import MeterKey
from workers.store.public_keys import fingerprint, read_public_key

METER = Meter()
OTHER = Meter()
KEYS = [MeterKey(METER.public_key)]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def judged(value: Any, keys=KEYS) -> Signature:
    return judge(value, None, keys)


def test_a_record_of_a_known_meter_is_verified():
    assert judged(METER.record()) is Signature.VERIFIED


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: b64encode(text.encode()).decode(),
        json.dumps,
        lambda text: json.dumps(text)[1:-1],
        lambda text: f"  {text}\n",
        lambda text: json.dumps({"signedMeterData": b64encode(text.encode()).decode(), "encodingMethod": "OCMF"}),
        lambda text: json.dumps({"signedMeterData": text}),
    ],
)
def test_it_may_be_wrapped_as_charge_points_of_16_do(wrap):
    assert judged(wrap(METER.record())) is Signature.VERIFIED


@pytest.mark.parametrize("data", [METER.record(), b64encode(METER.record().encode()).decode()])
def test_2x_wraps_it_in_a_signed_meter_value(data):
    signed = {"signedMeterData": data, "signingMethod": "ECDSA-secp256r1-SHA256", "publicKey": "", "encodingMethod": ""}
    assert judge("12", signed, KEYS) is Signature.VERIFIED


@pytest.mark.parametrize(
    ("curve", "name"),
    [
        (ec.SECP192R1(), "secp192r1"),
        (ec.SECP256R1(), "secp256r1"),
        (ec.SECP256K1(), "secp256k1"),
        (ec.SECP384R1(), "secp384r1"),
        (ec.BrainpoolP256R1(), "brainpool256r1"),
        (ec.BrainpoolP384R1(), "brainpool384r1"),
    ],
)
def test_every_curve_of_the_specification_but_one_is_verified(curve, name):
    meter = Meter(curve)
    keys = [MeterKey(meter.public_key)]
    assert judged(meter.record(SA=f"ECDSA-{name}-SHA256"), keys) is Signature.VERIFIED
    assert judged(meter.record(), keys) is Signature.VERIFIED  # some makers leave the algorithm out
    for form in (meter.public_key, meter.point, meter.point[2:].upper(), meter.pem, f"0x{meter.public_key}"):
        der = read_public_key(form)
        assert isinstance(der, bytes)
        assert der.hex() == meter.public_key


@pytest.mark.parametrize(
    "section",
    [
        {"SA": "ECDSA-secp192k1-SHA256"},
        {"SA": "RSA-2048-SHA256"},
        {"SA": "ECDSA-secp256r1-SHA512"},
        {"SA": 7},
        {"SE": "octal"},
        {"SE": 1},
        {"SM": "text/plain"},
    ],
)
def test_other_ways_to_sign_are_unsupported(section):
    assert judged(METER.record(**section)) is Signature.UNSUPPORTED


@pytest.mark.parametrize("value", ["AP;0;3;ALFEN", "<signedMeterValue/>", "1B1B1B1B", "", "12.5"])
def test_other_formats_are_unsupported(value):
    assert judged(value) is Signature.UNSUPPORTED


@pytest.mark.parametrize(
    "value",
    [
        "OCMF",
        "OCMF|{}",
        "OCMF|{}|{}",
        "OCMF|[]|{}",
        "OCMF|{}|{}|{}",
        'OCMF|{}|{"SD": 5}',
        'OCMF|{}|{"SD": "xyz"}',
        'OCMF|{}|{"SD": ""}',
        "OCMF|{|}|{}",
        "OCMFX|{}|{}",
        "4f434d46ff",
        "4f434d46f",
        "T0NNR/8",
        '"OCMF',
        "{",
        "{}",
        '{"signedMeterData": 5}',
    ],
)
def test_what_calls_itself_ocmf_and_is_not_is_unreadable(value):
    assert judged(value) is Signature.UNREADABLE


def test_the_signature_covers_every_byte_between_the_bars():
    record = METER.record()
    assert judged(record.replace("1000", "1001")) is Signature.INVALID
    assert judged(record.replace('"FV": ', '"FV":')) is Signature.INVALID
    assert judged(record.replace("OCMF|", "OCMF| ")) is Signature.INVALID
    assert judged(METER.record(f" {METER.payload()}\r\n")) is Signature.VERIFIED
    assert judged(METER.record('{"U": "äöü"}')) is Signature.VERIFIED


def test_a_bar_inside_a_section_is_refused_as_the_specification_has_it():
    assert judged(METER.record('{"ID": "a|b"}')) is Signature.UNREADABLE


def test_a_signature_in_base64_is_read_when_it_says_so():
    assert judged(METER.record(base64=True, SE="base64")) is Signature.VERIFIED


def test_a_signature_that_is_no_der_is_invalid():
    assert judged(f'OCMF|{METER.payload()}|{{"SD": "00"}}') is Signature.INVALID


def test_without_a_key_on_record_it_is_an_unknown_key():
    assert judged(METER.record(), []) is Signature.UNKNOWN_KEY


def test_a_key_in_the_message_counts_for_nothing():
    signed = {"signedMeterData": OTHER.record(), "publicKey": OTHER.public_key, "signingMethod": ""}
    assert judge("1", signed, KEYS) is Signature.INVALID
    assert judge("1", signed, []) is Signature.UNKNOWN_KEY


def test_a_key_on_another_curve_than_the_record_names_does_not_count():
    assert judged(METER.record(SA="ECDSA-secp384r1-SHA256")) is Signature.INVALID


def test_a_key_for_one_meter_verifies_no_other():
    assert judged(METER.record(), [MeterKey(METER.public_key, " m-1 ")]) is Signature.VERIFIED
    assert judged(METER.record(), [MeterKey(METER.public_key, "M-2")]) is Signature.UNKNOWN_KEY
    assert judged(METER.record(), [MeterKey(OTHER.public_key), MeterKey(METER.public_key)]) is Signature.VERIFIED


def test_a_key_that_this_machine_cannot_read_is_unsupported():
    assert judged(METER.record(), [MeterKey("00")]) is Signature.UNSUPPORTED


def test_a_record_over_the_bound_is_unreadable():
    assert judged(METER.record(f'{{"U": "{"x" * LONGEST_RECORD}"}}')) is Signature.UNREADABLE


@given(json_values, json_values | st.fixed_dictionaries({"signedMeterData": st.text() | json_values}))
def test_anything_gets_one_of_the_results(value, signed):
    assert isinstance(judge(value, signed, KEYS), Signature)
    assert isinstance(judge(value, None, KEYS), Signature)


@given(st.lists(st.text(max_size=30) | json_values.map(json.dumps), max_size=4), st.binary(max_size=40))
@example(["{}", '{"SD": "\\ud800"}'], b"")
def test_anything_between_bars_gets_one_of_the_results(parts, data):
    text = "|".join(["OCMF", *parts])
    for value in (
        text,
        json.dumps(text),
        text.encode("utf-8", "replace").hex(),
        f"OCMF|{{}}|{json.dumps({'SD': data.hex()})}",
    ):
        assert isinstance(judged(value), Signature)
        assert not isinstance(read_record(value), str) or isinstance(read_record(value), Signature)


@given(st.text(max_size=200) | st.binary(max_size=100).map(bytes.hex))
@example("04" + "00" * 64)
@example("-----BEGIN PUBLIC KEY-----\n")
@example("30")
def test_anything_is_a_key_or_is_told_why_not(text):
    read = read_public_key(text)
    assert isinstance(read, (bytes, str))
    assert isinstance(read, bytes) or len(text.strip()) < 12 or text not in read


def test_keys_that_ocmf_does_not_know_are_refused():
    p521 = ec.generate_private_key(ec.SECP521R1()).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    assert "curves" in str(read_public_key(p521.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()))
    assert "at most" in str(read_public_key("0" * 5000))
    assert len(fingerprint(b"")) == 64
