"""What the Airflow DAGs are to read: quarters, groups, turns, pieces. Without Airflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from airflow_support import NOW, START, known_by, partition, plan, rows, saved, state
from hypothesis import given
from hypothesis import strategies as st
from visitor_sessions_plan import (
    DAY,
    Piece,
    Planned,
    PlanProblem,
    backfill,
    current,
    day_of,
    first_load,
    one_day,
    quarters,
    readable,
    suffix_of,
    undone,
)
from visitor_sessions_states import formatted

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
ALL = ("2023-12-31", "2024-08-20")


def pieces(planned: Planned) -> list[Piece]:
    return [piece for piece, _ in planned]


def suffixes(planned: Planned) -> list[str]:
    return [piece["suffix"] for piece, _ in planned]


def states(planned: Planned) -> dict[str, Any]:
    return {piece["suffix"]: state for piece, state in planned}


def customers_of(planned: Iterable[Piece]) -> list[int]:
    return [row["customer_id"] for piece in planned for row in piece["rows"]]


# Days


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


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)))
def test_a_closed_quarter_is_over_in_every_zone(now: datetime) -> None:
    closed = plan([], now=now).closed
    assert (closed.month - 1) % 3 == 0
    assert closed.day == 1
    assert now.date() - closed >= 2 * DAY  # UTC-12 is half a day behind


@pytest.mark.parametrize("text", ["2024-02-30", "soon", "", "20240101", "2024-1-1"])
def test_a_day_that_is_none_is_named(text: str) -> None:
    with pytest.raises(PlanProblem, match="start is"):
        day_of(text, "start")


# First loads


def test_a_new_customer_is_read_by_quarters_and_from_the_open_one_on() -> None:
    made = plan(rows(7, 8))
    old, new = first_load(made, start="2024-02-15"), current(made, start="2024-02-15", group_size=1)
    assert [(piece["suffix"], piece["start"], piece["end"]) for piece in pieces(old)] == [
        ("customer-7-20240215-20240331", "2024-02-15", "2024-03-31T23:59:59"),
        ("customer-7-2024Q2", "2024-04-01T00:00:00", "2024-06-30T23:59:59"),
        ("customer-8-20240215-20240331", "2024-02-15", "2024-03-31T23:59:59"),
        ("customer-8-2024Q2", "2024-04-01T00:00:00", "2024-06-30T23:59:59"),
    ]
    assert [(piece["suffix"], piece["start"], piece["end"]) for piece in pieces(new)] == [
        ("customer-7", "2024-07-01T00:00:00", None),
        ("customer-8", "2024-07-01T00:00:00", None),
    ]


def test_the_time_of_a_start_is_the_taps_to_read() -> None:
    start = "2024-01-01T08:00:00+03:00"
    made = plan(rows(7), {"customer-8": state(partition(8, ALL))})
    assert pieces(first_load(made, start=start))[0]["start"] == start
    made = plan(rows(8), {"customer-8": state(partition(8, ALL))})
    assert pieces(current(made, start=start, group_size=1))[0]["start"] == start


def test_once_all_quarters_are_read_what_is_new_goes_on_from_all_their_spans() -> None:
    parts = {
        "customer-7-2024Q1": state(partition(7, ("2024-01-01", "2024-04-01"))),
        "customer-7-2024Q2": state(partition(7, ("2024-04-01", "2024-07-01"))),
        "customer-7": state(partition(7, ("2024-07-01", "2024-08-19"))),
    }
    made = plan(rows(7), parts)
    assert first_load(made, start=START) == []
    [(piece, begun)] = current(made, start=START, group_size=1)
    assert piece["start"] == START
    assert known_by({"customer-7": begun})[7].spans == [
        (datetime(2024, 1, 1, tzinfo=NOW.tzinfo), datetime(2024, 8, 19, tzinfo=NOW.tzinfo))
    ]


def test_a_quarter_that_failed_is_taken_up_and_what_is_new_is_read_meanwhile() -> None:
    parts = {
        "customer-7-2024Q1": state(partition(7, ("2024-01-01", "2024-01-20"))),
        "customer-7-2024Q2": state(partition(7, ("2024-04-01", "2024-07-01"))),
        "customer-7": state(partition(7, ("2024-07-01", "2024-08-19"))),
    }
    made = plan(rows(7), parts)
    [(piece, begun)] = first_load(made, start=START)
    assert piece["suffix"] == "customer-7-2024Q1"
    assert len(known_by({"customer-7": begun})[7].spans) == 2  # it goes on from January 20
    assert pieces(current(made, start=START, group_size=1))[0]["start"] == "2024-07-01T00:00:00"


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 200)), max_size=6),
    st.dates(date(2023, 1, 1), date(2024, 8, 1)),
)
def test_whatever_was_read_and_wherever_the_start_moves_no_day_is_claimed_unread(
    spans: list[tuple[int, int]], start: date
) -> None:
    """What of [start, now) no state says to be read is asked for by one of the pieces."""
    origin = date(2023, 1, 1)
    given = [(str(origin + a * DAY), str(origin + (a + n) * DAY)) for a, n in spans]
    given = [(a, b) for a, b in given if b <= "2024-08-20"]
    parts = {"customer-7": state(partition(7, *given))}
    made = plan(rows(7), parts)
    new = current(made, start=str(start), group_size=1)
    everything = [*first_load(made, start=str(start)), *new]
    read = {
        date.fromisoformat(a) + n * DAY
        for a, b in given
        for n in range((date.fromisoformat(b) - date.fromisoformat(a)).days)
    }
    asked = {
        first + n * DAY
        for piece, _ in everything
        for first in [day_of(piece["start"], "start")]
        for n in range((day_of(piece["end"] or "2024-08-20", "end") - first).days + 1)
    }
    wanted = {start + n * DAY for n in range((date(2024, 8, 20) - start).days)}
    assert wanted <= read | asked
    for _, begun in everything:  # and no piece begins from more than was said
        claimed = known_by({"customer-7": begun})[7].spans
        assert claimed == made.known[7].spans if 7 in made.known else not claimed


@given(st.integers(1, 40), st.integers(1, 30))
def test_however_few_tasks_there_may_be_all_quarters_of_all_customers_are_in_them(
    count: int, most: int
) -> None:
    made = plan(rows(*range(1, count + 1)), most=most)
    planned = first_load(made, start="2022-02-10")
    assert len(planned) <= most
    assert len(set(suffixes(planned))) == len(planned)
    for customer in range(1, count + 1):
        its = [p for p in pieces(planned) if customer in customers_of([p])]
        days = [
            day_of(piece["start"], "start") + n * DAY
            for piece in its
            for n in range((day_of(piece["end"], "end") - day_of(piece["start"], "start")).days + 1)
        ]
        assert Counter(days) == Counter(
            date(2022, 2, 10) + n * DAY for n in range((date(2024, 7, 1) - date(2022, 2, 10)).days)
        )


# Groups and turns


MOMENTS = st.datetimes(datetime(2024, 1, 2), datetime(2024, 8, 19)).map(formatted)


@given(
    st.dictionaries(st.integers(1, 60), MOMENTS, min_size=1, max_size=40),
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
    st.integers(2, 50),
)
def test_grouping_anew_loses_nothing(known: dict[int, str], sizes: list[int], most: int) -> None:
    """However often customers are grouped anew, the saved states give the same positions, each
    customer is in one piece, and there are no more pieces than allowed."""
    all_states: dict[str, Any] = {
        f"customer-{id_}": state(
            partition(id_, read=[["2024-01-01T00:00:00Z", at]], replication_key_value=at)
        )
        for id_, at in known.items()
    }
    before = {id_: position.spans for id_, position in known_by(all_states).items()}
    for size in sizes:
        made = plan(rows(*known), all_states, most=most)
        planned = current(made, start=START, group_size=size)
        assert len(planned) <= most
        assert sorted(customers_of(pieces(planned))) == sorted(known)
        assert len(set(suffixes(planned))) == len(planned)
        all_states |= states(planned)
        assert {id_: one.spans for id_, one in known_by(all_states).items()} == before


@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("fraction", [3, 4])
def test_a_week_with_points_for_a_part_of_the_customers_reads_each_in_turn(
    group_size: int, fraction: int
) -> None:
    """Each day the first pieces are read, as long as there are points; the others are refused
    their first request, and keep their turn."""
    ids = list(range(1, 13))
    all_states: dict[str, Any] = {
        f"customer-{id_}": state(partition(id_, ("2024-01-01", "2024-08-01"))) for id_ in ids
    }
    read: dict[int, list[int]] = {id_: [] for id_ in ids}
    for day in range(7 * 3):
        now = NOW + day * DAY
        points = len(ids) // fraction
        planned = current(plan(rows(*ids), all_states, now=now), start=START, group_size=group_size)
        for piece, begun in planned:
            [progress] = begun["completed"]["singer_state"]["bookmarks"].values()
            # As the tap does: who was read the longest ago comes first.
            entries = progress["partitions"]
            entries.sort(key=lambda entry: (entry.get("read_at", ""), entry["customer_id"]))
            for entry in entries[:points]:
                points -= 1
                at = now + timedelta(minutes=len(read[entry["customer_id"]]) + entry["customer_id"])
                entry["read_at"] = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
                entry["read"][-1][1] = formatted(now)
                read[entry["customer_id"]].append(day)
            all_states[piece["suffix"]] = begun
    for id_, days in read.items():
        gaps = [b - a for a, b in zip([-1, *days], [*days, 21], strict=True)]
        assert max(gaps) <= fraction + 1, (id_, days)


def test_new_customers_are_loaded_in_turn_too() -> None:
    turned = {"read_at": "2024-08-19T00:00:00.000000Z"}
    parts = {"customer-1-2024Q1": state(partition(1, ("2024-01-01", "2024-01-20"), **turned))}
    planned = first_load(plan(rows(1, 2), parts), start=START)
    assert suffixes(planned) == [
        "customer-2-2024Q1",
        "customer-2-2024Q2",
        "customer-1-2024Q1",
        "customer-1-2024Q2",
    ]


# A span once more


def test_a_backfill_begins_anew_each_time_it_is_planned() -> None:
    parts = {"customer-7": state(partition(7, ALL, read_at="x"), app_id="1", credential="a:b")}
    made = plan(rows(7), parts)
    planned = backfill(made, start="2024-02-01", end="2024-04-30")
    assert [(piece["start"], piece["end"]) for piece in pieces(planned)] == [
        ("2024-02-01", "2024-03-31T23:59:59"),
        ("2024-04-01T00:00:00", "2024-04-30T23:59:59"),
    ]
    for _, begun in planned:
        [progress] = begun["completed"]["singer_state"]["bookmarks"].values()
        assert (progress["app_id"], progress["credential"]) == ("1", "a:b")
        assert "read" not in progress["partitions"][0]
    later = plan(rows(7), parts, now=NOW + timedelta(seconds=1))
    again = backfill(later, start="2024-02-01", end="2024-04-30")
    assert not {*suffixes(planned)} & {*suffixes(again)}
    # Its states are nobody's bookmarks.
    assert known_by(parts | states(planned))[7].spans == made.known[7].spans


def test_a_span_that_holds_no_day_is_refused() -> None:
    made = plan(rows(7))
    with pytest.raises(PlanProblem, match="start 2024-03-02 lies after end 2024-03-01"):
        backfill(made, start="2024-03-02", end="2024-03-01")
    with pytest.raises(PlanProblem, match="lies in the future"):
        backfill(made, start="2024-09-02", end="2024-10-01")


def test_a_day_of_airflows_backfill_is_read_in_groups() -> None:
    planned = one_day(plan(rows(1, 2, 3)), date(2024, 3, 5), group_size=2)
    assert [(customers_of([p]), p["start"], p["end"]) for p in pieces(planned)] == [
        ([1, 2], "2024-03-05T00:00:00", "2024-03-05T23:59:59"),
        ([3], "2024-03-05T00:00:00", "2024-03-05T23:59:59"),
    ]
    assert all(suffix.startswith("backfill-") for suffix in suffixes(planned))


def test_a_run_that_is_cleared_has_states_of_its_own() -> None:
    parts = {"customer-7": state(partition(7, ("2024-01-01", "2024-01-20")))}
    first = plan(rows(7), parts)
    again = plan(rows(7), parts, again=True)
    for make in (
        lambda one: current(one, start=START, group_size=1),
        lambda one: first_load(one, start=START),
    ):
        assert not {*suffixes(make(first))} & {*suffixes(make(again))}
        starts = [[piece["start"] for piece in pieces(make(one))] for one in (first, again)]
        assert starts[0] == starts[1]


# A try of a piece


def test_the_state_of_a_cleared_task_is_its_own_at_each_clearing_and_in_each_run() -> None:
    first, later = plan(rows(7)), plan(rows(7), now=NOW + DAY)
    [one], [other] = (pieces(current(p, start=START, group_size=1)) for p in (first, later))
    assert suffix_of(one, 0) == suffix_of(other, 0) == "customer-7"
    cleared = [suffix_of(piece, number) for piece in (one, other) for number in (6, 12)]
    assert len({"customer-7", *cleared}) == 5


def test_a_cleared_piece_begins_from_where_it_began() -> None:
    parts = {"customer-7": state(partition(7, ("2023-12-31", "2024-08-01")))}
    made = plan(rows(7), parts)
    [piece] = pieces(current(made, start=START, group_size=1))
    assert known_by({"customer-7": piece["again"]})[7].spans == made.known[7].spans
    [old] = pieces(first_load(plan(rows(8)), start="2024-04-01"))
    assert not known_by({"customer-8": old["again"]})[8].spans


def test_a_retry_leaves_out_the_customers_that_are_done() -> None:
    spans = ("2023-12-31", "2024-08-01")
    parts = {f"customer-{id_}": state(partition(id_, spans)) for id_ in (1, 2, 3)}
    [piece] = pieces(current(plan(rows(1, 2, 3), parts), start=START, group_size=3))
    later = NOW + timedelta(minutes=1)
    more = {"read_at": f"{later:%Y-%m-%dT%H:%M:%S.%fZ}", "timezone": "UTC"}
    first = "2023-12-31T00:00:00Z"
    after = {
        "customers-1-3": state(
            partition(1, read=[[first, formatted(later)]], **more),
            # It failed, and had its turn; the run before has read it a minute before the planning.
            partition(2, read=[[first, formatted(NOW - timedelta(minutes=1))]], **more),
            # What is new is read, and a stretch of before is not.
            partition(3, read=[["2024-02-01T00:00:00Z", formatted(later)]], **more),
        )
    }
    assert [row["customer_id"] for row in undone(piece, known_by(after))] == [2, 3]


@pytest.mark.parametrize(
    ("zone", "end", "done"),
    [
        ("Europe/Moscow", "2024-06-30T21:00:00Z", True),
        ("Europe/Moscow", "2024-06-30T20:59:59Z", False),
        ("UTC", "2024-06-30T21:00:00Z", False),
        ("Nowhere/Else", "2024-06-30T21:00:00Z", False),
        (None, "2024-06-30T21:00:00Z", False),
    ],
)
def test_a_quarter_is_done_when_its_last_second_is_read(
    zone: str | None, end: str, done: bool
) -> None:
    [piece] = pieces(first_load(plan(rows(7)), start="2024-04-01"))
    more = {"timezone": zone} if zone else {}
    after = {"customer-7": state(partition(7, read=[["2024-03-31T21:00:00Z", end]], **more))}
    assert (undone(piece, known_by(after)) == []) is done


# Customers


def test_who_is_read() -> None:
    listed = [
        {"customer_id": 2, "user_id": 22, "read": False, "reason": "sees what user 21 sees"},
        {"customer_id": 2, "user_id": 21, "read": True, "reason": None},
        {"customer_id": 1, "user_id": 11, "read": True, "reason": None},
        {"customer_id": 3, "user_id": None, "read": False, "reason": "archived"},
    ]
    found, left_out = readable(listed, None)
    assert [(row["customer_id"], row["user_id"]) for row in found] == [(1, 11), (2, 21)]
    assert left_out == ["Customer 3 is not read: archived"]
    assert [row["user_id"] for row in readable(listed, [2])[0]] == [21]
    with pytest.raises(PlanProblem, match="Not among your customers: 9"):
        readable(listed, [9])
    with pytest.raises(PlanProblem, match="no customer to read: Customer 3 is not read: archived"):
        readable(listed, [3])
    with pytest.raises(PlanProblem, match="the account has none"):
        readable([], None)
    assert saved({}) == {}
