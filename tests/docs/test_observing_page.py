"""The page of metrics and log events says what the code says, and the names keep to the house's form."""

import re

from tools.observing_page import PAGE, page


def test_the_page_is_what_the_code_gives() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


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
