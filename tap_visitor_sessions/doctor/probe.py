"""How the API of an account behaves where its page is silent or contradicts itself: one question
after the other, each by the fewest requests that answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from tap_visitor_sessions.api import AllowanceSpent, ApiError, TapError
from tap_visitor_sessions.config import BOOKMARK, KEY
from tap_visitor_sessions.doctor.sample import Sample, rows_of
from tap_visitor_sessions.sessions import SECOND, Query, Window

MOST_ROWS = 10_000
"""The page's largest `limit`."""
FEW_ROWS = 100
NOTHING = Window(datetime(2010, 1, 1), datetime(2010, 1, 1) + SECOND)
"""Before the first sessions that there can be."""
FEW_TIMES = 6
"""So few different times are in order by chance."""

Told = dict[str, Any]


class Probe:
    """Asks the questions.

    Args:
        call: Calls the report method with these parameters; returns the raw rows and how many
            rows the query has.
        sample: What the checks have looked at.
    """

    def __init__(
        self,
        call: Callable[[dict[str, object]], tuple[memoryview, int]],
        sample: Sample,
    ) -> None:
        self._call = call
        self._sample = sample
        self.default_rows: list[Any] = []
        """The sessions of an answer to a request that names no columns."""

    def answers(self) -> Iterator[tuple[str, Told]]:
        """Each question's name and what came of it, errors among it; the most telling first."""
        for name, ask in (
            ("default_reply", self._default_reply),
            ("span_ends", self._span_ends),
            ("longest_span", self._longest_span),
            ("large_limit", self._large_limit),
        ):
            found: Told = {}
            try:
                for member, value in ask():
                    found[member] = value
            except ApiError as problem:
                found["error"] = problem
            except AllowanceSpent:
                found["not_asked"] = "no points for it"
            except (TapError, msgspec.MsgspecError, ValueError) as problem:
                found["failed"] = type(problem).__name__
            yield name, found

    def _default_reply(self) -> Iterator[tuple[str, Any]]:
        params = self._params(self._sample.window, limit=FEW_ROWS)
        del params["fields"]
        data, _ = self._call(params)
        self.default_rows = rows_of(data)
        yield "rows", len(self.default_rows)

    def _span_ends(self) -> Iterator[tuple[str, Any]]:
        """Whether sessions at the very seconds of `date_from` and `date_till` come."""
        times = sorted(set(self._sample.times))
        if not times:
            yield "not_asked", "no sessions"
            return
        pairs = list(pairwise(times)) or [(times[0] - SECOND, times[0])]
        start, end = min(pairs, key=lambda pair: pair[1] - pair[0])
        data, total = self._call(self._params(Window(start, end), BOOKMARK, limit=MOST_ROWS))
        came = self._sample.times_of(data)
        for name, time in (("date_from", start), ("date_till", end)):
            if time in times:
                is_known = time in came or len(came) >= total
                yield f"{name}_is_inside", time in came if is_known else None

    def _longest_span(self) -> Iterator[tuple[str, Any]]:
        """Which spans pass: three months of 92 days, a second more; or else 90 days, 89."""
        start, end = _three_months(self._sample.now)
        is_passed = yield from self._passes("three_months", start, end)
        if is_passed:
            yield from self._passes("three_months_and_a_second", start, end + SECOND)
            return
        for days in (90, 89):
            if (yield from self._passes(f"days_{days}", start, start + timedelta(days=days))):
                return

    def _passes(self, name: str, start: datetime, end: datetime) -> Any:
        try:
            self._call(self._params(Window(start, end), limit=1))
        except ApiError as problem:
            if problem.mnemonic == "internal_error":
                raise
            yield name, problem
            return False
        yield name, True
        return True

    def _large_limit(self) -> Iterator[tuple[str, Any]]:
        """Whether more than the page's largest `limit` passes; and what no sessions look like."""
        try:
            self._call(self._params(NOTHING, limit=MOST_ROWS + 1))
        except ApiError as problem:
            if problem.mnemonic == "internal_error":
                raise
            yield "passes", problem
            self._call(self._params(NOTHING, limit=1))
        else:
            yield "passes", True

    def _params(self, window: Window, *columns: str, limit: int) -> dict[str, object]:
        query = self._sample.query
        return Query((KEY, *columns), limit, query.filter, query.user_id).params(window)


def _three_months(now: datetime) -> tuple[datetime, datetime]:
    """The latest span of three calendar months that has 92 days: two more than 90."""
    year = now.year if now >= datetime(now.year, 9, 2) else now.year - 1
    return datetime(year, 6, 1), datetime(year, 9, 1)


def order_of(values: Sequence[Any]) -> str:
    """Whether they came `ascending`, `descending`, in `none`; or too few to tell: `unknown`."""
    if len(set(values)) < FEW_TIMES:
        return "unknown"
    rising = sorted(values)
    if rising == list(values):
        return "ascending"
    return "descending" if rising[::-1] == list(values) else "none"
