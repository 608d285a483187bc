"""How far customers have been read, by several states, in the Airflow DAGs. Without Airflow."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow_support import NOW, PREFIX, known_by, partition, rows, saved, state
from hypothesis import given
from hypothesis import strategies as st
from visitor_sessions_states import (
    StateProblem,
    customers_with,
    expired,
    formatted,
    joined_spans,
    positions,
    positions_in,
    run_record,
    run_suffix,
    spans_of,
    state_of,
)

from tap_visitor_sessions.sessions import StreamState

TURN = "2024-08-{:02d}T00:00:00.000000Z"


def seeded(states: dict[str, Any], *ids: int, **more: Any) -> dict[str, Any]:
    """The stream's progress in the state that a piece of customers begins from."""
    options: dict[str, Any] = {"fresh": False, "asks_zone": True} | more
    made = state_of(customers_with(rows(*ids), known_by(states)), NOW, **options)
    progress: dict[str, Any] = made["completed"]["singer_state"]["bookmarks"]["visitor_sessions"]
    return progress


def test_the_whole_state_is_handed_on() -> None:
    whole = partition(
        7,
        ("2024-01-01", "2024-08-01"),
        replication_key="date_time",
        replication_key_value="2024-07-31T12:00:00Z",
        read_at=TURN.format(1),
        timezone="Europe/Moscow",
        timezone_by="setting",
        loaded_under=[["UTC", "2024-02-01 00:00:00"]],
        refused_columns={"engine": "2024-08-01T00:00:00Z"},
        told_timezone=["Asia/Omsk", TURN.format(1)],
        something_of_a_later_version=1,
    )
    root = {"account": "north", "app_id": "1007", "credential": "salt:hash"}
    found = seeded({"customers-7-9": state(whole, **root)}, 7)
    assert found == {**root, "partitions": [whole]}
    StreamState(found, is_partner=True, account="north")  # the tap takes it


def test_every_user_of_a_customer_keeps_its_part() -> None:
    other = partition(7, ("2024-01-01", "2024-03-01")) | {"context": {"user_id": 71}}
    found = seeded({"customer-7": state(partition(7, ("2024-03-01", "2024-04-01")), other)}, 7)
    assert {one["context"]["user_id"] for one in found["partitions"]} == {70, 71}


SPANS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 100)).map(
        lambda pair: tuple(
            f"{datetime(2024, 1, 1) + timedelta(days=day):%Y-%m-%d}" for day in (pair[0], sum(pair))
        )
    ),
    max_size=4,
)


@given(st.lists(SPANS, min_size=1, max_size=5), st.permutations(range(5)))
def test_what_several_states_say_is_joined_in_whatever_order(
    parts: list[list[Any]], order: list[int]
) -> None:
    made = {
        f"customer-7-{place}": state(partition(7, *spans, read_at=TURN.format(place + 1)))
        for place, spans in enumerate(parts)
    }
    shuffled = {name: made[name] for at in order if (name := f"customer-7-{at}") in made}
    said = [span for spans in parts for span in spans_of(partition(7, *spans))]
    for states in (made, shuffled):
        position = known_by(states)[7]
        assert position.spans == joined_spans(said)
        assert position.turn == TURN.format(len(parts))


def test_spans_are_never_joined_under_two_zones() -> None:
    states = {
        "customer-7-2024Q1": state(
            partition(7, ("2024-01-01", "2024-04-01"), timezone="UTC", read_at=TURN.format(1))
        ),
        "customer-7": state(
            partition(7, ("2024-07-01", "2024-08-01"), timezone="Asia/Omsk", read_at=TURN.format(2))
        ),
    }
    [one] = seeded(states, 7)["partitions"]
    assert one["timezone"] == "Asia/Omsk"
    assert one["read"] == [["2024-07-01T00:00:00Z", "2024-08-01T00:00:00Z"]]


def test_a_bookmark_of_an_old_version_says_nothing_beside_spans() -> None:
    bare = partition(7, replication_key_value="2024-06-29T00:00:00Z")
    alone = known_by({"customer-7": state(bare)})[7]
    assert alone.unread(datetime(2024, 1, 1).date(), datetime(2024, 6, 1).date()) == timedelta(0)
    quarter = state(partition(7, ("2024-01-01", "2024-04-01")))
    both = known_by({"customer-7": state(bare), "customer-7-2024Q1": quarter})[7]
    assert [formatted(end) for _, end in both.spans] == ["2024-04-01T00:00:00Z"]
    assert "replication_key_value" not in both.partitions[70]


def test_partitions_without_a_customer_are_those_of_the_users_owner() -> None:
    old = partition(7, ("2024-01-01", "2024-04-01"))
    del old["customer_id"]
    assert set(positions(saved({"customer-7": state(old)}), PREFIX, {70: 7})) == {7}
    assert positions(saved({"customer-7": state(old)}), PREFIX, {}) == {}


def test_other_states_count_for_nothing() -> None:
    other = state(partition(7, ("2024-01-01", "2024-04-01")))
    states = saved({"backfill-20240101T000000000000Z-customer-7-2024Q1": other, "run-abc": other})
    states |= {"other:a-to-b:customer-7": other, f"{PREFIX}customer-8": {"completed": None}}
    assert positions(states, PREFIX, {}) == {}


@pytest.mark.parametrize(
    "broken", [{"read": [["soon", "later"]]}, {"read": [1]}, {"customer_id": "x"}]
)
def test_a_state_that_cannot_be_understood_is_named(broken: dict[str, Any]) -> None:
    states = {
        "customer-7": state(partition(7, read_at=TURN.format(1)), partition(7) | broken),
        "customer-8": state(partition(7, ("2024-01-01", "2024-04-01"))),
    }
    with pytest.raises(StateProblem, match=f"{PREFIX}customer-7 cannot be understood"):
        seeded(states, 7)


# The zones that the tap asks for


def test_a_piece_of_a_first_load_asks_for_no_zone_and_what_is_new_does_once() -> None:
    [one] = seeded({}, 7, asks_zone=False)["partitions"]
    assert one["told_timezone"][0] == ""
    [one] = seeded({}, 7)["partitions"]
    assert "told_timezone" not in one


def test_a_customer_whose_zone_the_api_does_not_tell_is_not_asked_every_day() -> None:
    states = {"customer-7": state(partition(7, read_at=TURN.format(1)))}
    asked = []
    for day in range(100):
        turn = datetime(2024, 8, 1, tzinfo=timezone.utc) + timedelta(days=day)
        [one] = seeded(states, 7)["partitions"]
        at = datetime.fromisoformat(one["told_timezone"][1].replace("Z", "+00:00"))
        asked += [day] * (turn - at >= timedelta(days=30 + 7))
        states = {"customer-7": state(one | {"read_at": f"{turn:%Y-%m-%dT%H:%M:%S.%fZ}"})}
    assert 1 <= len(asked) <= 3, asked


# Runs


def test_the_record_of_a_run_says_from_where_it_began() -> None:
    states = {"customer-7": state(partition(7, ("2024-01-01", "2024-04-01")), app_id="1")}
    name = run_suffix("visitor_sessions", "manual__1")
    assert name != run_suffix("visitor_sessions", "manual__2")
    record = run_record(customers_with(rows(7, 8), known_by(states)), NOW)
    found = positions_in(saved({name: record}), PREFIX + name, {})
    assert found is not None
    assert found[7].spans == known_by(states)[7].spans
    assert found[8].spans == []
    assert positions_in({}, PREFIX + name, {}) is None


def test_states_of_finished_pieces_go_after_their_time_and_no_position_with_them() -> None:
    old, new = "2024-06-01T00:00:00.000000Z", "2024-08-19T00:00:00.000000Z"
    states = saved(
        {
            "customer-7": state(partition(7, ("2024-01-01", "2024-08-01"), read_at=old)),
            "customer-7-2024Q1": state(partition(7, ("2024-01-01", "2024-04-01"), read_at=old)),
            "customer-7-2024Q2": state(partition(7, ("2024-04-01", "2024-07-01"), read_at=new)),
            "customer-9-2024Q1": state(partition(9, ("2024-01-01", "2024-04-01"), read_at=old)),
            "customers-7-9": state(partition(7, read_at=old), partition(9, read_at=old)),
            "customers-7-8": state(partition(7, read_at=old), partition(8, read_at=old)),
            "backfill-20240601T000000000000Z-customer-9-2024Q1": state(partition(9)),
            "backfill-20240819T000000000000Z-customer-9-2024Q1": state(partition(9)),
            "run-old": state(planned_at="2024-06-01T00:00:00Z"),
            "run-new": state(planned_at="2024-08-19T00:00:00Z"),
            "mine": state(partition(7, read_at=old)),
        }
    )
    states["other:a-to-b:customer-7-2024Q1"] = states[f"{PREFIX}customer-7-2024Q1"]
    gone = expired(
        states, PREFIX, covered=[7, 8], active=["customer-7"], now=NOW, keep=timedelta(days=30)
    )
    assert {state_id.removeprefix(PREFIX) for state_id in gone} == {
        "customer-7-2024Q1",
        "customers-7-8",
        "backfill-20240601T000000000000Z-customer-9-2024Q1",
        "run-old",
    }
