"""The README and the decision pages name only what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = ("contracts/", "gateway/", "workers/", "loadtest/", "ocppctl/", "tools/", "tests/", "docs/")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = {path for path in re.findall(r"[a-z][\w./-]*", text) if path.startswith(ROOMS)}
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    missing = [path for path in named if not (ROOT / path.rstrip("./")).exists()]
    missing += [link for link in linked if not (page.parent / link).exists()]
    assert missing == []


def test_decision_pages_are_numbered_without_gaps_and_say_choice_reason_and_drawback() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        for part in ("**Choice.**", "**Reason.**", "**Drawback.**"):
            assert part in page.read_text(), page.name
