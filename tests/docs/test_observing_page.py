"""The page of metrics and log events says what the code says, and the names keep to the house's form."""

import re

from tools.observing_page import PAGE, events_of, page

BOUND = """
_log = get_logger().bind(room="attic")

def alone():
    _log.info("room.seen", size=1)

class One:
    def __init__(self):
        self._log = get_logger().bind(service=1)

    def work(self):
        self._log.exception("one.failed", action=2, exc_info=True)
        _log.info("one.seen")

class Other:
    def __init__(self):
        self._log = get_logger()

    def work(self):
        self._log.info("other.seen", size=3)
"""


def test_the_page_is_what_the_code_gives() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_the_fields_that_a_logger_is_bound_to_are_those_of_its_own_lines_only() -> None:
    assert list(events_of(BOUND)) == [
        ("`room.seen`", "info", "`room`, `size`"),
        ("`one.failed`", "error", "`service`, `action`"),
        ("`one.seen`", "info", "`room`"),
        ("`other.seen`", "info", "`size`"),
    ]


def test_every_meaning_is_whole_where_the_page_is_sorted() -> None:
    assert not re.search(r"\bthe same\b", page(), re.IGNORECASE)


def test_names_keep_to_one_form_and_no_label_can_name_a_charge_point() -> None:
    text = page()
    metrics = re.findall(r"^\| `(ocpp_[a-z_]+)` \| (\w+) \| (.*?) \|", text, re.MULTILINE)
    assert len(metrics) > 25
    for name, kind, labels in metrics:
        assert (kind == "counter") == name.endswith("_total"), name
        assert not {"`identity`", "`session`", "`id_token`"} & set(labels.split(", ")), name
    events = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (?:info|warning|error|critical|debug) \|", text, re.MULTILINE)
    assert {
        "session.opened",
        "session.closed",
        "broker.connected",
        "handshake.refused",
        "call.failed",
        "frame.malformed",
    } <= set(events)
