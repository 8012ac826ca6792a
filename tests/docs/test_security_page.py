"""SECURITY.md names only tests that exist, and every line of its tables names some."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def names_of_tests(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_the_page_names_exists() -> None:
    named = _TEST.findall(PAGE)
    missing = [file for file, _ in named if not (ROOT / file).exists()]
    missing += [
        f"{file}::{name}"
        for file, name in named
        if name and file not in missing and name not in names_of_tests(ROOT / file)
    ]
    assert sorted(set(missing)) == []
    assert len(named) > 20


def test_every_defence_in_a_table_is_shown_by_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| can try")]
    assert [row[:80] for row in rows if not _TEST.search(row)] == []
