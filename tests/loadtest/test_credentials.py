"""What a simulated charge point shows to be let in, and how it changes it when told."""

import ssl
from base64 import b64encode
from pathlib import Path

import ocpp.v16.call as call16
import ocpp.v201.call as call201
import pytest
from ocpp.v201.datatypes import ComponentType, SetVariableDataType, VariableType

from loadtest.cli import main
from loadtest.credentials import Credentials
from loadtest.settings import LinkSettings
from tests.loadtest.csms import Csms, running_csms
from tools.attacks.certificates import RunAuthority

IDENTITY = "CP 1/ä"
PLAIN, SECURE = "ws://127.0.0.1:1/ocpp", "wss://127.0.0.1:1/ocpp"


def basic(password: bytes, identity: str = IDENTITY) -> str:
    return f"Basic {b64encode(identity.encode() + b':' + password).decode()}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> RunAuthority:
    return RunAuthority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def secure_csms(authority: RunAuthority):
    files = authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_file))
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_OPTIONAL
    async with running_csms(context) as server:
        yield server


def certificate_of(csms: Csms) -> str:
    """Common name of the client certificate that the peer of now has shown; empty without one."""
    transport = csms.peers[IDENTITY]._connection.transport
    shown = transport.get_extra_info("ssl_object").getpeercert()
    return dict(pair for part in shown["subject"] for pair in part)["commonName"] if shown else ""


@pytest.mark.parametrize(
    ("settings", "profile"),
    [
        ({"url": PLAIN}, 0),
        ({"url": PLAIN, "password": b"p"}, 1),
        ({"url": PLAIN, "password": b"p", "secure_url": SECURE}, 1),
        ({"url": SECURE}, 0),
        ({"url": SECURE, "password": b"p"}, 2),
        ({"url": SECURE, "password": b"p", "cert_file": "c"}, 3),
        ({"url": SECURE, "password": b"p", "cert_file": "c", "profile": 2}, 2),
    ],
)
def test_the_first_profile_is_the_highest_that_address_and_credentials_allow(settings, profile):
    assert Credentials("CP", LinkSettings(**settings)).profile == profile


@pytest.mark.parametrize(
    ("settings", "demanded", "taken"),
    [
        ({"url": PLAIN, "password": b"p"}, 0, False),
        ({"url": PLAIN, "password": b"p"}, 2, False),
        ({"url": PLAIN, "password": b"p", "secure_url": SECURE}, 2, True),
        ({"url": PLAIN, "password": b"p", "secure_url": SECURE}, 3, False),
        ({"url": PLAIN, "password": b"p", "secure_url": SECURE, "cert_file": "c"}, 3, True),
    ],
)
def test_a_profile_is_raised_only_and_only_with_something_to_show(settings, demanded, taken):
    shown = Credentials("CP", LinkSettings(**settings))
    assert shown.raise_profile(demanded) is taken
    assert shown.stale is taken
    assert shown.url == (SECURE if taken else PLAIN)


def test_each_of_a_fleet_has_its_own_password_and_certificate_files():
    settings = LinkSettings(url=SECURE, password_template="key-{identity}-0123456789", cert_file="d/{identity}.pem")
    assert settings.password_of("CP-7") == b"key-CP-7-0123456789"
    assert settings.certificate_of("CP-7") == ("d/CP-7.pem", "d/CP-7.pem")
    assert "0123" not in repr(Credentials("CP-7", settings)) + repr(settings)


async def test_a_certificate_is_shown_with_profile_3_and_a_password_is_not(secure_csms, authority, plug_in):
    files = authority.client("CP-1")
    options = {"cert_file": str(files.certificate), "key_file": str(files.key), "ca_file": str(authority.ca_file)}
    await plug_in("1.6", url=secure_csms.url, password=b"a-secret-0123456789", **options)
    assert certificate_of(secure_csms) == "CP-1"
    assert "Authorization" not in secure_csms.headers[0]


async def test_a_server_whose_certificate_is_not_trusted_gets_no_password(secure_csms, plug_in):
    point = await plug_in("1.6", url=secure_csms.url, password=b"a-secret-0123456789", online=False)
    await point.observer.until(lambda: point.ledger.connect_failures["untrusted server"])
    assert secure_csms.headers == []


async def test_a_16_charge_point_comes_back_with_the_new_key_and_with_the_raised_profile(
    csms, secure_csms, authority, plug_in
):
    point = await plug_in(
        "1.6", password=b"old-key-0123456789", secure_url=secure_csms.url, ca_file=str(authority.ca_file)
    )
    assert csms.headers[-1]["Authorization"] == basic(b"old-key-0123456789")
    answer = await csms.peers[IDENTITY].call(call16.ChangeConfiguration("AuthorizationKey", "00ff" * 10))
    assert answer.status == "Accepted"
    await csms.until(lambda: csms.connections == 2)
    assert csms.headers[-1]["Authorization"] == basic(bytes.fromhex("00ff" * 10))
    await point.wait_online()
    lower = await csms.peers[IDENTITY].call(call16.ChangeConfiguration("SecurityProfile", "0"))
    assert lower.status == "Rejected"
    higher = await csms.peers[IDENTITY].call(call16.ChangeConfiguration("SecurityProfile", "2"))
    assert higher.status == "Accepted"
    await secure_csms.until(lambda: secure_csms.connections == 1)
    assert secure_csms.headers[-1]["Authorization"] == basic(bytes.fromhex("00ff" * 10))
    assert certificate_of(secure_csms) == ""


async def test_a_201_station_comes_back_with_the_new_password(csms, plug_in):
    await plug_in("2.0.1", password=b"old-key-0123456789")
    entry = SetVariableDataType("new-key-0123456789", ComponentType("SecurityCtrlr"), VariableType("BasicAuthPassword"))
    answer = await csms.peers[IDENTITY].call(call201.SetVariables([entry]))
    assert answer.set_variable_result[0]["attribute_status"] == "Accepted"
    await csms.until(lambda: csms.connections == 2)
    assert csms.headers[-1]["Authorization"] == basic(b"new-key-0123456789")


@pytest.mark.parametrize(
    "words",
    [
        ["--password-template", "the-same-for-all"],
        ["--profile", "4"],
        ["--ca-file", "/nowhere/ca.pem"],
        ["--password-file", "/nowhere/password"],
        ["--secure-url", "https://example.com"],
    ],
)
def test_credentials_that_cannot_be_used_are_refused_at_start(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fleet", "--url", "ws://127.0.0.1:1/ocpp", "--seconds", "0.01", *words])
    assert end.value.code == 2
    assert "0123" not in capsys.readouterr().err


async def test_a_password_file_is_taken_as_bytes_without_its_last_newline(tmp_path: Path):
    from loadtest.cli import _link, _parser

    file = tmp_path / "password"
    file.write_bytes(b"\xff\x00key\n")
    words = ["one", "--url", PLAIN, "--password-file", str(file)]
    assert _link(_parser().parse_args(words)).password == b"\xff\x00key"
