"""A certificate of a version that does not exist is unreadable to whoever reads it, and breaks nobody."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from contracts.envelope import MessagePolicy
from contracts.x509_reading import UNREADABLE
from gateway.signed_messages import Signatures
from tests.support.certificates import Authority
from workers.store.key_material import thumbprint_of

VERSION_3 = b"\xa0\x03\x02\x01\x02"


def of_version_8() -> str:
    der = x509.load_pem_x509_certificate(Authority().pem).public_bytes(Encoding.DER)
    assert der.count(VERSION_3) == 1
    text = base64.encodebytes(der.replace(VERSION_3, VERSION_3[:-1] + b"\x07")).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def test_what_the_library_raises_for_it_is_among_the_errors_that_readers_catch():
    with pytest.raises(UNREADABLE) as raised:
        x509.load_pem_x509_certificate(of_version_8().encode())
    assert not isinstance(raised.value, ValueError)


def test_it_is_no_message_key_neither_to_those_who_store_it_nor_at_the_gateway():
    assert thumbprint_of(of_version_8()) is None
    assert Signatures(MessagePolicy.VERIFY, [of_version_8()]).unusable == 1
