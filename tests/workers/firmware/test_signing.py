"""Signatures of firmware images, made by the command and checked as charge points do."""

import base64
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from loadtest.firmware import is_signed
from tests.support.certificates import Authority, ec_key, rsa_key
from workers import cli

IMAGE = b"firmware" * 100_000


def run(capsys, folder, issued, image: bytes = IMAGE) -> tuple[int, Any, str]:
    file = folder / "image.bin"
    file.write_bytes(image)
    certificate, key = issued.write(folder, "signer")
    with pytest.raises(SystemExit) as ended:
        cli.main(["sign-firmware", "--image", str(file), "--key", str(key), "--certificate", str(certificate)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), json.loads(out) if out else None, err


@pytest.mark.parametrize("key", [ec_key(), ec_key(ec.SECP384R1()), rsa_key()], ids=["P-256", "P-384", "RSA"])
def test_the_whole_image_is_signed(capsys, tmp_path, key):
    issued = Authority("Manufacturer").intermediate().client("Signer", key=key)
    code, signed, _ = run(capsys, tmp_path, issued)
    assert code == 0
    assert set(signed) == {"signingCertificate", "signature"}
    assert signed["signingCertificate"] == issued.pem.decode()
    assert len(signed["signature"]) <= 800
    certificate = x509.load_pem_x509_certificate(signed["signingCertificate"].encode())
    assert is_signed(IMAGE, signed["signature"], certificate)
    assert not is_signed(IMAGE + b"x", signed["signature"], certificate)
    assert not is_signed(IMAGE, base64.b64encode(b"x").decode(), certificate)


def test_a_key_that_does_not_fit_and_files_that_are_not_there_are_told(capsys, tmp_path):
    issued = Authority().client()
    stranger = type(issued)(issued.certificate, ec_key())
    code, signed, words = run(capsys, tmp_path, stranger)
    assert (code, signed) == (2, None)
    assert "the key does not fit the certificate" in words
    with pytest.raises(SystemExit) as ended:
        cli.main(["sign-firmware", "--image", "/none", "--key", "/none", "--certificate", "/none"])
    assert ended.value.code == 2
    assert "/none: No such file" in capsys.readouterr().err
