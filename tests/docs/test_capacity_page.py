"""The capacity page says what the calculator says."""

from loadtest.sizing.constants import shipped
from tools.capacity_page import PAGE, page


def test_the_page_is_what_the_calculator_gives() -> None:
    text = PAGE.read_text()
    assert page(text, shipped()) == text, "run `make docs`"


def test_every_constant_is_on_the_page_with_its_source() -> None:
    text = PAGE.read_text()
    for name, constant in shipped().sources.items():
        assert f"| `{name}` |" in text
        assert constant.source in text
