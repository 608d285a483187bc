"""Starts and ends at awkward moments, as whole runs see them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import MakeSandbox, Tally
from hosts import AND_DLT, Host
from oracle import FORMAT, utc_text
from support import config_of

from sandbox import make_sessions
from sandbox.filters import Refused
from sandbox.server import _span
from tap_visitor_sessions.sessions.windows.windows import Region, furthest_end

BERLIN, APIA = "Europe/Berlin", "Pacific/Apia"


@pytest.mark.one_host
@AND_DLT
@pytest.mark.parametrize(
    ("zone", "start", "first"),
    [
        # Inside the gap of spring: the clock goes from 02:00 to 03:00.
        (BERLIN, "2024-03-31T02:30:00", "2024-03-31 02:30:00"),
        (BERLIN, "2024-03-31T01:00:00Z", "2024-03-31 02:00:00"),
        # Inside the overlap of autumn: 02:00 to 03:00 occurs twice, and is read as the first.
        (BERLIN, "2024-10-27T02:30:00", "2024-10-27 02:30:00"),
        # An instant of its first pass: what happens in the second is filed from 02:00 on.
        (BERLIN, "2024-10-27T00:30:00Z", "2024-10-27 02:00:00"),
        (BERLIN, "2024-10-27T01:30:00Z", "2024-10-27 02:30:00"),
        (BERLIN, "2024-10-27T03:30:00+02:00", "2024-10-27 02:30:00"),
        # A day that never was.
        (APIA, "2011-12-30T12:00:00", "2011-12-30 12:00:00"),
        (APIA, "2011-12-30T10:00:00Z", "2011-12-30 00:00:00"),
        # The end of February.
        (BERLIN, "2024-02-29", "2024-02-29 00:00:00"),
        (BERLIN, "2023-02-28T23:59:59", "2023-02-28 23:59:59"),
    ],
)
def test_start_date_inside_a_change_of_the_clock_leaves_out_no_session(
    host: Host,
    zone: str,
    start: str,
    first: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    tally: Tally,
) -> None:
    at = datetime.strptime(first, FORMAT)
    rows = make_sessions(400, start=at - timedelta(hours=3), end=at + timedelta(hours=5))
    sandbox = make_sandbox(rows=rows, timezone=zone)
    end = str(at + timedelta(hours=6)).replace(" ", "T")
    config = config_of(sandbox, start_date=start, end_date=end, page_size=50)
    run = host.run(config, directory=tmp_path).check()
    wanted = {row["id"]: row["date_time"] for row in rows if row["date_time"] >= first}
    got = {record["id"]: record["date_time"] for record in run.records}
    lost = wanted.keys() - got.keys()
    assert not lost, sorted(wanted[id_] for id_ in lost)
    assert all(got[id_] == utc_text(wall, zone) for id_, wall in wanted.items())
    assert got.keys() == wanted.keys()
    tally("Time", "`start_date` in a gap, in an overlap, at the end of February", injected=1)


def test_the_longest_spans_from_each_day_of_the_year_are_allowed_however_months_are_read(
    tally: Tally,
) -> None:
    """Held against the sandbox's own readings of "three months", which share no code."""
    day, days = datetime(2023, 1, 1, 13, 14, 15), 0
    while day.year < 2025:
        window = Region(day, day + timedelta(days=400)).cut(10_000)
        assert window.end == furthest_end(day)
        span = {
            "date_from": window.start.strftime(FORMAT),
            "date_till": window.end.strftime(FORMAT),
        }
        for most in (None, 90):
            _span(span, most)
        day, days = day + timedelta(days=1), days + 1
    too_long = {"date_from": "2024-01-01 00:00:00", "date_till": "2024-04-01 00:00:01"}
    for most in (None, 90):
        with pytest.raises(Refused, match="date_interval_limit_reached"):
            _span(too_long, most)
    tally("Time", "the longest span that is asked for, from each day of two years", injected=days)
