"""The bookmarks as they are saved: written, read again, and checked before a run builds on them."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts.account import Customer, User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    FormerState,
    Loaded,
    UserState,
    formatted,
    union,
)
from tap_visitor_sessions.sessions.bookmarks.positions import Positions
from tap_visitor_sessions.sessions.bookmarks.state import (
    FIX,
    StateError,
    StreamState,
    bookmarks_of,
    check_progress,
    former_state,
    partitions_of,
    type_name,
    write_bookmarks,
)
from tap_visitor_sessions.sessions.zones import Timezone

UTC = timezone.utc
FIRST, LATER = "2024-05-01T00:00:00Z", "2024-05-20T10:00:00Z"
instants = st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1)).map(
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
spans = st.lists(st.tuples(instants, instants), max_size=3).map(union)
turns = st.sampled_from(["", "2024-05-01T00:00:00.000001Z"])


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@given(st.builds(Bookmarks, st.none() | instants, spans, turns))
def test_bookmarks_that_are_written_are_read_again(bookmarks: Bookmarks) -> None:
    progress: dict[str, Any] = {}
    write_bookmarks(progress, bookmarks)
    assert bookmarks_of(json.loads(json.dumps(progress))) == bookmarks


def test_what_is_written() -> None:
    progress: dict[str, Any] = {"x": 1}
    write_bookmarks(
        progress, Bookmarks(at(LATER), ((at(FIRST), at(LATER)),), "2024-05-21T00:00:00.000001Z")
    )
    written = {
        "x": 1,
        "replication_key": "date_time",
        "replication_key_value": LATER,
        "read": [[FIRST, LATER]],
        "read_at": "2024-05-21T00:00:00.000001Z",
    }
    assert progress == written
    write_bookmarks(progress, Bookmarks(at(FIRST)), with_bookmark=False)
    assert progress == written
    del written["replication_key_value"]
    for with_bookmark in (True, False):  # what was read stays, a bookmark that is none does not
        write_bookmarks(progress, Bookmarks(), with_bookmark=with_bookmark)
        assert progress == written
        progress["replication_key_value"] = LATER


@pytest.mark.parametrize("progress", [{}, {"replication_key_value": None, "read": None}])
@pytest.mark.parametrize("empty", ["", None])
def test_nothing_is_no_mark(progress: dict[str, Any], empty: object) -> None:
    assert bookmarks_of({**progress, "replication_key_value": empty, "read_at": 17}) == Bookmarks()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 70, "'" + "x" * 59),
        (17, "17"),
        (1.5, "1.5"),
        (True, "True"),
        ([1], "a list"),
        ({}, "dict"),
    ],
)
def test_what_is_no_time_is_shown_as_far_as_it_can_be(value: object, shown: str) -> None:
    text = f"{shown} is not a date and time such as 2024-05-01T00:00:00Z: {FIX}"
    for what, progress in {
        "bookmark": {"replication_key_value": value},
        "read": {"read": [[value, LATER]]},
    }.items():
        with pytest.raises(StateError) as caught:
            bookmarks_of(progress)
        assert str(caught.value) == f"The state's {what} {text}"
    with pytest.raises(StateError, match=r"^The state's read "):
        bookmarks_of({"read": [[FIRST, value]]})


@given(
    st.builds(
        "{:%Y-%m-%d}{}{:%H:%M:%S}{}{:+03d}:{:02d}".format,
        st.sampled_from([date.min, date.max]) | st.dates(),
        st.sampled_from(["T", " ", "t"]),
        st.times(),
        st.sampled_from(["", " "]),
        st.integers(-99, 99),
        st.integers(0, 99),
    )
)
def test_any_date_time_and_offset_is_an_instant_or_an_error_that_names_it(text: str) -> None:
    said, found = "", None
    try:
        found = bookmarks_of({"replication_key_value": text}).bookmark
    except StateError as problem:
        said = str(problem)
    assert repr(text) in said or found == datetime.fromisoformat(
        f"{text[:10]}T{text[11:].replace(' ', '')}"
    )


def test_the_first_second_of_1970_is_a_time() -> None:
    assert bookmarks_of({"replication_key_value": "1970-01-01T00:00:00Z"}).bookmark == at(
        "1970-01-01T00:00:00Z"
    )


def test_what_a_value_is() -> None:
    values = ["x", True, 1, 1.5, [], {}, None]
    kinds = ["a text", "a boolean", "a number", "a number", "a list", "dict", "NoneType"]
    assert [type_name(value) for value in values] == kinds


def partition(user: int, mark: str | None, customer: int | None = None) -> dict[str, Any]:
    return {
        "context": {"user_id": user},
        "replication_key_value": mark,
        "customer_id": customer,
    }


def test_partitions_that_have_been_read_the_furthest_come_first() -> None:
    progress = {
        "partitions": [
            partition(1, FIRST),
            partition(2, None, 20),
            partition(3, LATER, 30),
            {**partition(4, None), "read": [[FIRST, "2024-05-30T00:00:00Z"]]},
        ]
    }
    known = partitions_of(progress)
    assert [(one.user_id, one.customer_id) for one in known] == [
        (4, None),
        (3, 30),
        (1, None),
        (2, 20),
    ]
    assert known[1] == UserState(3, 30, Bookmarks(at(LATER)))
    own = {**progress, "replication_key_value": FIRST}
    assert former_state(own) == FormerState(Bookmarks(at(FIRST)), known)


def checked(progress: dict[str, Any], *, account: str | None = None) -> list[str]:
    return check_progress(progress, is_partner=False, account=account)


@pytest.mark.parametrize(
    "progress", [{"replication_key_value": FIRST}, {"partitions": [partition(1, FIRST)]}]
)
def test_an_account_named_after_loads_without_it_is_refused_with_the_way_out(
    progress: dict[str, Any],
) -> None:
    with pytest.raises(StateError) as problem:
        checked(progress, account="shop")
    assert "without the setting account, now 'shop'" in str(problem.value)
    assert "load anew without a state, into a table of its own" in str(problem.value)
    assert checked({}, account="shop") == []
    checked({**progress, "account": "shop"}, account="shop")


@pytest.mark.parametrize("ahead", [0, 1, 2, 3])
def test_a_bookmark_in_the_future_is_warned_about_with_what_to_look_at(ahead: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    bookmarks = [formatted(now + timedelta(days=days + 1)) for days in range(ahead)]
    progress = {
        "replication_key_value": bookmarks[0] if bookmarks else FIRST,
        "partitions": [partition(n, mark) for n, mark in enumerate([LATER, *bookmarks[1:]])],
    }
    told = checked(progress)
    if not ahead:
        assert told == []
        return
    whose = f" ({ahead} of them)" if ahead > 1 else ""
    assert told == [
        f"The state's bookmark {bookmarks[-1]} lies in the future{whose}: the run reads from now "
        "less lookback_window, and goes on from there. Check the clock of this machine and the "
        "setting timezone; sessions before may be missing"
    ]


USER = User(7, Customer(70, None, "active", 7, (7,), None))


def test_bookmarks_are_kept_where_they_belong() -> None:
    """Those of an account at the top, those of a partner's user in its partition, made if need be;
    what others have put there stays."""
    progress: dict[str, Any] = {
        "x": 1,
        "partitions": [{"context": {"region": 7}}, {"context": {}, "y": 2}],
    }
    kept = StreamState(progress, is_partner=True, account=None)
    assert kept.former == FormerState(known=[])
    kept.keep(None, Bookmarks(at(LATER)))
    mark = {"replication_key": "date_time", "replication_key_value": FIRST}
    for bookmark in (FIRST, LATER):
        kept.keep(USER, Bookmarks(at(bookmark)))
        mark["replication_key_value"] = bookmark
        assert kept.progress is progress
        assert progress == {
            "x": 1,
            "replication_key": "date_time",
            "replication_key_value": LATER,
            "partitions": [
                {"context": {"region": 7}},
                {"context": {}, "y": 2},
                {"context": {"user_id": 7}, "customer_id": 70, **mark},
            ],
        }
    again = StreamState(progress, is_partner=True, account=None)
    assert again.former == FormerState(
        Bookmarks(at(LATER)), [UserState(7, 70, Bookmarks(at(LATER)))]
    )


def test_the_first_bookmarks_of_a_user_make_its_partition() -> None:
    kept = StreamState({}, is_partner=True, account="shop")
    assert kept.progress == {"account": "shop"}
    kept.keep(USER, Bookmarks())
    assert kept.progress["partitions"] == [{"context": {"user_id": 7}, "customer_id": 70}]


def test_what_is_to_be_known_of_it_is_warned_about_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    StreamState({"replication_key_value": FIRST}, is_partner=True, account=None)
    [warning] = caplog.messages
    assert warning.startswith("The state is of a customer's account")
    with pytest.raises(StateError, match="'shop'"):
        StreamState({"account": "shop"}, is_partner=False, account=None)


@pytest.mark.parametrize("user", ["7", " 7 ", 7.0])
def test_an_id_that_another_tool_has_spelled_is_taken_over(user: object) -> None:
    bent = {**partition(0, LATER, 70), "context": {"user_id": user}, "customer_id": str(70)}
    kept = StreamState({"partitions": [bent]}, is_partner=True, account=None)
    assert kept.former.known == [UserState(7, 70, Bookmarks(at(LATER)))]
    kept.keep(USER, Bookmarks(at(LATER)))
    [one] = kept.progress["partitions"]
    assert (one["context"], one["customer_id"]) == ({"user_id": 7}, 70)


@pytest.mark.parametrize("odd", [-7, "-7", "x", [7], {}, True, 7.5, "1" * 30])
@pytest.mark.parametrize("member", ["user_id", "customer_id"])
def test_an_id_that_is_none_is_named(member: str, odd: object) -> None:
    bent = partition(7, LATER)
    (bent["context"] if member == "user_id" else bent)[member] = odd
    with pytest.raises(StateError, match=f"partition whose {member} is .*, no id: "):
        partitions_of({"partitions": [bent]})


def test_a_span_that_ends_before_it_begins_is_named() -> None:
    with pytest.raises(StateError, match="ends before it begins, 2024-05-20T10:00:00Z"):
        bookmarks_of({"read": [[LATER, FIRST]]})
    assert bookmarks_of({"read": [[FIRST, FIRST]]}) == Bookmarks()


@pytest.mark.parametrize(
    "odd",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": 7},
        {"loaded_under": 7},
        {"loaded_under": ["x"]},
        {"loaded_under": [["Europe/Moscow", 5]]},
        {"loaded_under": [["Mars/Olympus", "2024-05-01 00:00:00"]]},
    ],
)
def test_a_zone_that_is_none_is_named(odd: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=f"The state's .*{next(iter(odd))}"):
        bookmarks_of(odd)


zones = st.sampled_from(["UTC", "Europe/Moscow", "Pacific/Kiritimati", "America/New_York"])


@given(
    st.builds(
        Bookmarks,
        st.none() | instants,
        spans,
        turns,
        st.dictionaries(st.text(), instants, max_size=3).map(lambda one: tuple(one.items())),
        st.none() | st.builds(Timezone, zones, st.sampled_from(["setting", "api"])),
        st.lists(
            st.builds(Loaded, zones, instants.map(lambda at: at.replace(tzinfo=None))),
            max_size=3,
        ).map(lambda all_: tuple(sorted(all_))),
    )
)
def test_bookmarks_with_their_zones_are_read_again(bookmarks: Bookmarks) -> None:
    progress: dict[str, Any] = {}
    write_bookmarks(progress, bookmarks)
    assert bookmarks_of(json.loads(json.dumps(progress))) == bookmarks


@given(
    start=st.dates(date(1970, 1, 1), date(1970, 1, 3))
    | st.dates(date(1970, 1, 1), date(2030, 1, 1)),
    clock=st.sampled_from(["", "T00:00:00", "T14:00:00+14:00", "T09:59:59-14:00"]),
    end=st.none() | st.integers(0, 40),
    zone=zones,
    user=st.sampled_from([None, USER]),
)
def test_whatever_state_a_run_writes_the_next_one_takes(
    start: date, clock: str, end: int | None, zone: str, user: User | None
) -> None:
    """Over all that start_date, end_date and the zone can be."""
    partner = {"account_type": "partner"} if user else {}
    ends = {} if end is None else {"end_date": str(start + timedelta(days=end + 2))}
    config = {"access_token": "x", "timezone": zone, "start_date": f"{start}{clock}"}
    settings = Settings.from_config({**config, **partner, **ends})
    kept = StreamState({}, is_partner=bool(user), account=None)
    positions = Positions(settings, kept, incremental=True, announces_version=False)
    reading = positions.opened(user, Timezone(zone, "setting"))
    for _, wall in reading.stretches:
        positions.finished(user, wall)
    positions.emitted(user, reading.span[0])
    positions.take_turn(user)
    written = json.loads(json.dumps(kept.progress))
    again = StreamState(written, is_partner=bool(user), account=None)
    own = again.former.known[0].bookmarks if user else again.former.own
    assert own == reading.bookmarks
