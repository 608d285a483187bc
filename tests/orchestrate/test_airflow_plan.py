"""What the Airflow DAGs are to read: quarters, first loads, groups. Without Airflow."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

sys.path.insert(0, str(ROOT / "orchestrate" / "airflow" / "dags"))
from visitor_sessions_plan import (
    DAY,
    Customer,
    bookmarks,
    by_quarter,
    closed,
    current,
    first_load,
    quarters,
    readable,
)

PREFIX = "production:tap-visitor-sessions-to-target-postgres:"
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
TODAY, START = date(2024, 8, 20), date(2024, 1, 1)


def customers(*ids: int) -> list[Customer]:
    return [Customer(customer_id=id_, user_id=id_ * 10) for id_ in ids]


def saved(states: dict[str, Any]) -> dict[str, Any]:
    """As `meltano state export` gives what `meltano state import` was given."""
    return {PREFIX + suffix: state for suffix, state in states.items()}


@given(DAYS, st.integers(0, 3000))
def test_quarters_cover_the_span_without_gap_or_overlap(first: date, length: int) -> None:
    after = first + timedelta(days=length)
    found = quarters(first, after)
    days = [
        quarter["first"] + timedelta(days=n)
        for quarter in found
        for n in range((quarter["after"] - quarter["first"]).days)
    ]
    assert days == [first + timedelta(days=n) for n in range(length)]
    assert len({quarter["name"] for quarter in found}) == len(found)
    for quarter in found:
        last = quarter["after"] - DAY
        assert (quarter["first"].year, (quarter["first"].month - 1) // 3) == (
            last.year,
            (last.month - 1) // 3,
        )


@given(DAYS, st.integers(0, 1200), st.integers(0, 1200))
def test_a_quarter_that_is_not_whole_has_another_name(first: date, one: int, other: int) -> None:
    """Its state must not stand for more, or less, than was read."""
    spans = {
        quarter["name"]: (quarter["first"], quarter["after"])
        for quarter in quarters(first, first + timedelta(days=one))
    }
    for quarter in quarters(first, first + timedelta(days=other)):
        if quarter["name"] in spans:
            assert spans[quarter["name"]] == (quarter["first"], quarter["after"])


@given(DAYS)
def test_a_closed_quarter_is_over_in_every_zone(today: date) -> None:
    assert closed(today) in (quarter["first"] for quarter in quarters(closed(today), today))
    assert today - closed(today) >= 2 * DAY  # UTC-12 is half a day behind


def test_names_and_bounds() -> None:
    pieces = by_quarter(customers(7), date(2024, 2, 15), date(2024, 7, 1))
    assert [(piece["suffix"], piece["start"], piece["end"]) for piece in pieces] == [
        ("customer-7-20240215-20240331", "2024-02-15T00:00:00", "2024-03-31T23:59:59"),
        ("customer-7-2024Q2", "2024-04-01T00:00:00", "2024-06-30T23:59:59"),
    ]


def test_a_new_customer_is_loaded_by_quarters_and_read_daily_only_when_all_are_done() -> None:
    planned, waiting = first_load(customers(7, 8), {}, start=START, today=TODAY, most=100)
    assert not waiting
    assert [piece["suffix"] for piece in planned] == [
        f"customer-{customer}-2024Q{number}" for customer in (7, 8) for number in (1, 2)
    ]
    loaded = ["customer-7-2024Q1", "customer-7-2024Q2", "customer-8-2024Q2"]
    options: dict[str, Any] = {"start": START, "today": TODAY, "group_size": 1, "most": 100}
    pieces, states = current(customers(7, 8), {}, planned=planned, loaded=loaded, **options)
    [piece] = pieces
    assert (piece["suffix"], piece["user_ids"], piece["end"]) == ("customer-7", [70], None)
    known = bookmarks(saved(states), PREFIX)
    assert known == {7: "2024-06-30T00:00:00Z"}  # a day before the closed quarters' end
    # The next run takes up the quarters of 8, those of 7 are past.
    again, _ = first_load(customers(7, 8), known, start=START, today=TODAY, most=100)
    assert [piece["customers"] for piece in again] == [[8], [8]]


def test_customers_beyond_the_most_wait_whole() -> None:
    planned, waiting = first_load(customers(1, 2, 3), {}, start=START, today=TODAY, most=5)
    assert {piece["customers"][0] for piece in planned} == {1, 2}
    assert waiting == [3]
    pieces, _ = current(
        customers(1, 2, 3),
        {},
        planned=planned,
        loaded=[piece["suffix"] for piece in planned],
        start=START,
        today=TODAY,
        group_size=1,
        most=5,
    )
    assert [piece["customers"] for piece in pieces] == [[1], [2]]


def test_a_start_within_the_open_quarter_needs_no_first_load() -> None:
    start = date(2024, 7, 15)
    planned, _ = first_load(customers(1), {}, start=start, today=TODAY, most=5)
    assert planned == []
    pieces, states = current(
        customers(1), {}, planned=[], loaded=[], start=start, today=TODAY, group_size=1, most=5
    )
    assert [piece["start"] for piece in pieces] == ["2024-07-15T00:00:00"]
    assert bookmarks(saved(states), PREFIX) == {}


MOMENTS = st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}")


@given(
    st.dictionaries(st.integers(1, 60), MOMENTS, max_size=40),
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
    st.integers(1, 50),
)
def test_grouping_anew_loses_no_bookmark(
    known: dict[int, str], sizes: list[int], most: int
) -> None:
    """However often customers are grouped anew, the saved states give the same bookmarks, each
    customer is in one piece, and there are no more pieces than allowed."""
    everyone = customers(*known)
    states: dict[str, Any] = {}
    found = known
    for size in sizes:
        pieces, made = current(
            everyone,
            found,
            planned=[],
            loaded=[],
            start=START,
            today=TODAY,
            group_size=size,
            most=most,
        )
        assert len(pieces) <= most
        assert sorted(c for piece in pieces for c in piece["customers"]) == sorted(known)
        assert len({piece["suffix"] for piece in pieces}) == len(pieces)
        states |= made
        found = bookmarks(saved(states), PREFIX)
        assert found == known


def test_the_newest_bookmark_counts_and_other_states_do_not() -> None:
    def state(value: str) -> dict[str, Any]:
        partition = {
            "context": {"user_id": 70},
            "customer_id": 7,
            "replication_key_value": value,
        }
        streams = {"visitor_sessions": {"partitions": [partition]}}
        return {"singer_state": {"bookmarks": streams}}

    states = {
        f"{PREFIX}customer-7": {"completed": state("2024-05-01T00:00:00Z"), "partial": {}},
        f"{PREFIX}customers-1-9": {"completed": {}, "partial": state("2024-06-01T00:00:00Z")},
        f"{PREFIX}customer-7-2024Q3": {"completed": state("2024-09-01T00:00:00Z")},
        f"{PREFIX}backfill-x-customer-7": {"completed": state("2024-09-01T00:00:00Z")},
        "other:a-to-b:customer-7": {"completed": state("2024-09-01T00:00:00Z")},
        f"{PREFIX}customer-8": {"completed": None, "partial": None},
    }
    assert bookmarks(states, PREFIX) == {7: "2024-06-01T00:00:00Z"}


def test_a_customer_without_sessions_is_known_by_what_has_been_read() -> None:
    silent = {
        "context": {"user_id": 80},
        "customer_id": 8,
        "read": [["2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"]],
    }
    quiet = silent | {"customer_id": 9, "replication_key_value": "2024-02-01T00:00:00Z"}
    streams = {"visitor_sessions": {"partitions": [silent, quiet]}}
    state = {"completed": {"singer_state": {"bookmarks": streams}}}
    assert bookmarks({f"{PREFIX}customers-8-9": state}, PREFIX) == {
        8: "2024-06-01T00:00:00Z",
        9: "2024-06-01T00:00:00Z",
    }


def test_who_is_read() -> None:
    listed = [
        {"customer_id": 2, "user_id": 21, "read": True, "reason": None},
        {"customer_id": 1, "user_id": 11, "read": True, "reason": None},
        {"customer_id": 3, "user_id": None, "read": False, "reason": "archived"},
    ]
    found, left_out = readable(listed, None)
    assert [customer["customer_id"] for customer in found] == [1, 2]
    assert left_out == ["Customer 3 is not read: archived"]
    assert readable(listed, [2])[0] == [Customer(customer_id=2, user_id=21)]
    with pytest.raises(ValueError, match=r"\[9\]"):
        readable(listed, [9])
