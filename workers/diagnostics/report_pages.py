"""Joining the pages of a NotifyReport: by requestId, seqNo and tbc (OCPP 2.0.1 part 2, B05-B08). Pure.

Pages may come twice, or be missing; a request id may be used again later, which begins the report anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PageVerdict(StrEnum):
    """What a page is to the report of its request id."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """The same page with the same content: taken already."""
    RESTARTS = "restarts"
    """The request id is used again: the pages so far belong to an earlier report."""


@dataclass(frozen=True, slots=True)
class ReportPages:
    """The pages a report has: their digests by seqNo, and the number of the last one once it is known."""

    digests: Mapping[int, str] = field(default_factory=dict)
    last_seq_no: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every page from 0 to the one without `tbc` is here."""
        last = self.last_seq_no
        return last is not None and all(number in self.digests for number in range(last + 1))


def add_page(pages: ReportPages, seq_no: int, digest: str, *, to_be_continued: bool) -> tuple[ReportPages, PageVerdict]:
    """The report with this page, and what the page is to it."""
    known = pages.digests.get(seq_no)
    if known == digest:
        return pages, PageVerdict.DUPLICATE
    last = None if to_be_continued else seq_no
    beyond_end = pages.last_seq_no is not None and seq_no > pages.last_seq_no
    if known is not None or beyond_end:
        return ReportPages({seq_no: digest}, last), PageVerdict.RESTARTS
    joined = ReportPages({**pages.digests, seq_no: digest}, pages.last_seq_no if last is None else last)
    return joined, PageVerdict.NEW
