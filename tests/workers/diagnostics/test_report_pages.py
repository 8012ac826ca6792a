from hypothesis import given
from hypothesis import strategies as st

from workers.diagnostics.report_pages import PageVerdict, ReportPages, add_page


@given(st.integers(1, 8).flatmap(lambda count: st.permutations(range(count))))
def test_pages_in_any_order_complete_the_report_exactly_at_the_last_one(order):
    pages = ReportPages()
    for arrived, number in enumerate(order, start=1):
        pages, verdict = add_page(pages, number, f"d{number}", to_be_continued=number < len(order) - 1)
        assert verdict is PageVerdict.NEW
        assert pages.is_complete == (arrived == len(order))


def test_a_page_that_comes_twice_counts_once():
    pages, _ = add_page(ReportPages(), 0, "a", to_be_continued=True)
    again, verdict = add_page(pages, 0, "a", to_be_continued=True)
    assert (again, verdict) == (pages, PageVerdict.DUPLICATE)


def test_another_content_under_a_known_number_begins_the_report_anew():
    pages, _ = add_page(ReportPages(), 0, "a", to_be_continued=False)
    assert pages.is_complete
    again, verdict = add_page(pages, 0, "b", to_be_continued=True)
    assert verdict is PageVerdict.RESTARTS
    assert again == ReportPages({0: "b"}, None)


def test_a_page_beyond_the_end_begins_the_report_anew():
    pages, _ = add_page(ReportPages(), 0, "a", to_be_continued=False)
    again, verdict = add_page(pages, 1, "b", to_be_continued=False)
    assert verdict is PageVerdict.RESTARTS
    assert not again.is_complete
