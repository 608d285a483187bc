"""This machine's clock and the API's, by the `Date` of its answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.api.transport import clock_lag, clock_lead

ASKED = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


@given(lead=st.integers(-9000, 90_000), took=st.integers(0, 400), dated=st.floats(0, 1))
def test_a_lead_of_more_than_a_minute_is_known_and_never_too_small(
    lead: int, took: int, dated: float
) -> None:
    """Whenever within the request the answer was dated: to read up to a time that has not come
    yet would lose sessions, to read a little less far loses none."""
    theirs = ASKED - lead * SECOND + int(took * dated) * SECOND
    date = f"{theirs:%a, %d %b %Y %H:%M:%S GMT}"
    found = clock_lead(date, ASKED, ASKED + took * SECOND)
    if lead <= 60:
        assert found == timedelta(0)
    elif lead - took > 60:
        assert found is not None
        assert lead * SECOND <= found <= (lead + took) * SECOND


@given(lag=st.integers(-9000, 90_000), took=st.integers(0, 400), dated=st.floats(0, 1))
def test_a_lag_of_more_than_a_minute_is_known_and_never_too_large(
    lag: int, took: int, dated: float
) -> None:
    came = ASKED + took * SECOND
    theirs = ASKED + lag * SECOND + int(took * dated) * SECOND
    found = clock_lag(f"{theirs:%a, %d %b %Y %H:%M:%S GMT}", came)
    if lag <= 60:
        assert found == timedelta(0)
    elif lag - took > 60:
        assert (lag - took) * SECOND <= found <= lag * SECOND


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_what_is_no_date_tells_nothing(date: str | None) -> None:
    assert clock_lead(date, ASKED, ASKED) is None
    assert clock_lag(date, ASKED) == timedelta(0)
