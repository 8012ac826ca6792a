from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from loadtest.report import html, markdown
from loadtest.report.model import Anchor, Figure, Moment, Report, Stage
from loadtest.report.pictures import GROUPS, Picture
from loadtest.report.wording import plain
from tests.support.reports import MACHINE, steady, storm

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=y>|[a](javascript:b)`c`*d*\n# e &lt; $f$"
PICTURE = Picture(group=GROUPS[0], light=b"light", dark=b"dark", width=1920, height=600)
read = MarkdownIt("commonmark").enable("table")


def hostile() -> Report:
    """A report whose every text is meant to break out of its place."""
    report = storm()
    report.scenario = report.command = report.began = report.generator_limited = HOSTILE
    report.machine = replace(MACHINE, cpu=HOSTILE, system=HOSTILE, python=HOSTILE)
    report.settings = {HOSTILE: HOSTILE, "more": [HOSTILE]}
    report.figures = [
        Figure(name=HOSTILE, value=1.0, unit=HOSTILE, title=HOSTILE, at_most=2.0, note=HOSTILE),
        Figure(name="other", value=None, unit=HOSTILE, at_least=2.0),
    ]
    report.moments = [Moment(at_s=1, text=HOSTILE)]
    report.stages = [Stage(name=HOSTILE, cpu_us_per_call=1.0, p50_ms=2.0, what=HOSTILE)]
    report.anchors = [Anchor(name=HOSTILE, unit=HOSTILE, value=1.0, ours=2.0, what=HOSTILE)]
    report.failures = report.notes = [HOSTILE, "1. one", "- two", "+ three"]
    return report


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in {"meta", "source", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("make", [steady, storm, hostile])
def test_the_page_is_closed_in_itself(make):
    page = html.render(make(), [PICTURE])
    tags = Tags(page)
    assert tags.open == []
    assert not tags.seen & {"script", "link", "iframe", "a", "form", "object"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "http://" not in page
    assert "https://" not in page


def test_hostile_text_is_text_on_the_page():
    tags = Tags(html.render(hostile(), [PICTURE]))
    assert tags.attributes == Tags(html.render(storm(), [PICTURE])).attributes
    assert sum(words.count("<script>") for words in tags.words) > 20


def test_the_page_says_what_counts():
    page = html.render(storm(), [PICTURE])
    assert '<p class="verdict failed">Failed</p>' in page
    assert "<li>12 Calls of charge points that had never lost their socket" in page
    assert "the busiest generator process used 91 % of a core" in page
    missed, kept = page.index('<article class="tile missed">'), page.index('<article class="tile holds">')
    assert missed < kept
    assert "<time>1:00</time> gateway-0 killed with 18,000 sockets" in page
    assert 'media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,ZGFyaw=="' in page
    assert '<img src="data:image/png;base64,bGlnaHQ=" alt="Throughput" width="960" height="300">' in page
    assert "make load ARGS=&#x27;storm --how gateway-killed" in page


def test_both_pages_say_why_there_are_no_plots():
    for page in (html.render(steady(), (), "no brush"), markdown.render(steady(), (), "no brush")):
        assert "No plots: no brush." in page


def test_markdown_says_what_counts():
    page = markdown.render(storm(), [PICTURE])
    assert page.startswith("# Load test: storm\n\n**Failed.** 1 thing went wrong, and 1 of 3 limits missed.\n")
    (row,) = [line for line in page.splitlines() if line.startswith("| Uplink p99 of the others, to the quiet one ")]
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["6.30 \u00d7", "at most 5 \u00d7", "**missed**"]
    assert "![Throughput](plots/throughput.png)" in page
    assert "| 1:00 | gateway-0 killed with 18,000 sockets |" in page
    assert "```sh\nmake load ARGS='storm --how" in page


def test_hostile_text_is_text_in_markdown():
    kinds, links = set(), set()
    for token in read.parse(markdown.render(hostile(), [PICTURE])):
        kinds.add(token.type)
        for child in token.children or ():
            kinds.add(child.type)
            links |= {child.attrs["src"]} if child.type == "image" else set()
    assert not {kind for kind in kinds if kind.startswith(("html", "link", "code_inline", "ordered"))}
    assert links == {"plots/throughput.png"}


@given(st.text(max_size=40))
def test_any_text_is_itself_in_markdown(text):
    expected = escape(plain(text), quote=False).replace('"', "&quot;")
    assert read.renderInline(markdown.escaped(text)) == expected
    cell = markdown.table(("A", ">B"), [(markdown.escaped(text), "1")])
    assert f"<td>{expected}</td>" in read.render("\n".join(cell))
    item = read.render(f"- {markdown.escaped(text)}")
    assert item == f"<ul>\n<li>{expected}</li>\n</ul>\n"


@given(st.text(max_size=40))
def test_any_command_stays_in_its_fence(text):
    tokens = read.parse("\n".join(markdown.fenced(text)))
    assert [(token.type, token.content) for token in tokens] == [("fence", f"{plain(text)}\n")]
