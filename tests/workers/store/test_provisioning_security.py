"""What a provisioning file may say of passwords and profiles; its problems repeat no secret."""

import pytest

from workers.errors import ProvisioningError
from workers.store.provisioning import read_plan

PASSWORD = "Correct-Horse-Battery"


def problems_of(text: str) -> str:
    with pytest.raises(ProvisioningError) as caught:
        read_plan(text)
    return "\n".join(caught.value.problems)


def point(line: str) -> str:
    return f'[[charge_points]]\nidentity = "CP-1"\n{line}\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('password = "SECRET"', "16 to 40 characters"),
        ('password = "SECRET with spaces in it"', "letters, digits and"),
        ("password = 4711471147114711", "password must be a text"),
        ("security_profile = 4", "from 0 to 3"),
        ("security_profile = true", "from 0 to 3"),
        ('message_policy = "some"', "off, verify, require"),
        ('message_keys = "SECRET"', "list of at most 16"),
        ('message_keys = ["SECRET"]', "certificate or a public key"),
        ("password_hash = 'x'", "unknown key 'password_hash'"),
    ],
)
def test_what_cannot_be_taken_is_named_without_its_value(line, problem):
    told = problems_of(point(line))
    assert problem in told
    assert "SECRET" not in told
    assert "4711" not in told


@pytest.mark.parametrize(
    ("family", "key"),
    [
        ("1.6", "AuthorizationKey"),
        ("1.6", "securityprofile"),
        ("2.x", "SecurityCtrlr.BasicAuthPassword"),
        ("2.x", "SecurityCtrlr.SECURITYPROFILE"),
    ],
)
def test_initial_configuration_sets_no_password_and_no_profile(family, key):
    told = problems_of(f'[[initial_configuration]]\nocpp = "{family}"\nkey = "{key}"\nvalue = "SECRET"')
    assert "rotate-key" in told
    assert "SECRET" not in told


def test_a_plan_does_not_show_its_passwords():
    plan = read_plan(point(f'password = "{PASSWORD}"'))
    assert plan.security[0].password == PASSWORD
    assert PASSWORD not in repr(plan)
    assert read_plan(point("")).security == []


def test_a_charge_point_has_one_entry_with_its_password():
    assert "CP-1 is there 2 times" in problems_of(point(f'password = "{PASSWORD}"') + point("security_profile = 1"))
