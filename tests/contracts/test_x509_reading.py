"""A certificate of a version that does not exist is unreadable to whoever reads it, and breaks nobody."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from contracts.envelope import MessagePolicy
from contracts.x509_reading import UNREADABLE
from gateway.errors import CertificateFileError
from gateway.signed_messages import Signatures
from gateway.tls import load_certificate
from loadtest.certificates import trusted
from tests.support.certificates import Authority
from workers.authority_files import read_certificates
from workers.errors import AuthorityError, SigningError
from workers.firmware.signing import sign_image
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


def test_a_file_with_it_is_refused_in_words_by_whoever_is_configured_with_it(tmp_path):
    file = tmp_path / "version-8.pem"
    file.write_text(of_version_8())
    with pytest.raises(CertificateFileError, match="no readable PEM certificate"):
        load_certificate(file)
    with pytest.raises(AuthorityError, match="no PEM certificate that can be read"):
        read_certificates(file, datetime.now(UTC))
    with pytest.raises(SigningError, match="no PEM certificate that can be read"):
        sign_image(file, file, file)


def test_a_simulated_charge_point_trusts_no_chain_with_it():
    assert trusted(of_version_8(), [], datetime.now(UTC)) is None
