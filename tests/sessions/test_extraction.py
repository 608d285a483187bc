"""The seam, as a host without a protocol of its own sees it."""

from __future__ import annotations

import dataclasses
import logging
import math
import random
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from agencies import agency, rows_of
from agencies import config_of as partner_config
from conftest import MakeSandbox
from support import config_of

from sandbox import Limits, Sandbox
from sandbox.data import make_sessions
from tap_visitor_sessions.api.errors import ApiError, CustomersFailed, TapError, Unreadable
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions import extraction as extraction_module
from tap_visitor_sessions.sessions.accounts.account import User
from tap_visitor_sessions.sessions.accounts.connection import Connection
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    ASKED_AGAIN,
    Bookmarks,
    FormerState,
    UserState,
)
from tap_visitor_sessions.sessions.bookmarks.state import StreamState
from tap_visitor_sessions.sessions.extraction import Columns, Extraction, readable
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.windows.reader import METHOD

START = datetime(2024, 5, 1, tzinfo=timezone.utc)
NAMES = ["id", "date_time", "channel", "duration"]


@dataclass
class Host:
    """Takes what an extraction gives."""

    sandbox: Sandbox
    config: dict[str, Any]
    former: FormerState = field(default_factory=FormerState)
    bookmarks: dict[int | None, list[Bookmarks]] = field(default_factory=dict)
    taken: dict[int | None, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings.from_config(self.config)

    def keep(self, user: User | None, bookmarks: Bookmarks) -> None:
        self.bookmarks.setdefault(user.user_id if user else None, []).append(bookmarks)

    def extraction(self, **more: Any) -> Extraction:
        connection = Connection(self.settings, "test/1")
        state = StreamState({}, is_partner=self.settings.is_partner, account=self.settings.account)
        state.former, state.keep = self.former, self.keep  # type: ignore[method-assign]
        return Extraction(connection, state, **more)

    def read(self, names: list[str] = NAMES, users: Any = None, **more: Any) -> Extraction:
        extraction = self.extraction(**more)
        with (
            extraction.run(),
            extraction.parts(Columns(names), self.prepared, users) as parts,
        ):
            for part in parts:
                user_id = part.user.user_id if part.user else None
                for window in part.windows():
                    if window.ready:
                        self.taken.setdefault(user_id, []).extend(window.ready)
                        last = datetime.fromisoformat(window.ready[-1]["date_time"])
                        part.emitted(last, len(window.ready))
                    part.finished(window)
        return extraction

    @staticmethod
    def prepared(records: list[Record]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = msgspec.to_builtins(records)
        return [{**one, "date_time": one["date_time"].replace("Z", "+00:00")} for one in found]

    def ids(self, user: int | None = None) -> list[int]:
        return [row["id"] for row in self.taken.get(user, [])]


def customer(sandbox: Sandbox, **more: Any) -> Host:
    return Host(sandbox, config_of(sandbox, timezone="UTC", **more))


def partner(sandbox: Sandbox, **more: Any) -> Host:
    return Host(sandbox, partner_config(sandbox, timezone="UTC", **more))


def asked_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [call.params for call in sandbox.reports]


def in_order(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in sorted(rows, key=lambda row: (row["date_time"], row["id"]))]


def test_names_say_what_is_asked_and_what_is_added() -> None:
    columns = Columns(["user_id", "id", "account", "channel", "customer_id"])
    assert columns.asked == ["id", "channel"]
    assert columns.added == ["user_id", "account", "customer_id"]


def test_a_customers_account_is_one_part_complete_and_in_order(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=300)
    host = customer(sandbox, page_size=50)
    extraction = host.read()
    assert extraction.users == [None]
    assert host.ids() == in_order(sandbox.rows())
    assert set(host.taken[None][0]) == set(NAMES)
    for params in asked_of(sandbox):
        assert params["fields"] == NAMES
        assert params["limit"] == 50
        assert "user_id" not in params
        assert "filter" not in params
    progress = extraction.progress
    assert (progress.parts, progress.parts_done, progress.share) == (1, 1, 0.0)
    assert (progress.sessions, progress.fraction) == (300, 1.0)
    figures = extraction.figures()
    assert (figures["sessions"], figures["values_lost"]) == (300, 0)
    assert figures["windows"] == progress.windows >= 6
    assert figures["requests"] == len(sandbox.calls)
    assert figures["bookmark"] == host.taken[None][-1]["date_time"].replace("+00:00", "Z")
    bookmark = host.bookmarks[None][-1].bookmark
    assert bookmark is not None
    assert bookmark.isoformat() == host.taken[None][-1]["date_time"]


def test_progress_goes_on_with_each_window(make_sandbox: MakeSandbox) -> None:
    host = customer(make_sandbox(sessions=300), page_size=50)
    extraction = host.extraction()
    seen = []
    with (
        extraction.run(),
        extraction.parts(Columns(NAMES), host.prepared) as parts,
    ):
        for part in parts:
            for number, taken in enumerate(part.windows(), 1):
                progress = extraction.progress
                assert progress.windows == number - taken.ends
                seen.append(progress.share)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert seen[-1] == 1.0


def test_the_next_run_goes_on_and_a_full_one_does_not(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=300)
    host = customer(sandbox, lookback_window="PT0S")
    host.read()
    own = host.bookmarks[None][-1]
    again = Host(sandbox, host.config, FormerState(own=own))
    again.read()
    assert again.ids() == []
    afresh = Host(sandbox, host.config, FormerState(own=own))
    afresh.read(incremental=False)
    assert afresh.ids() == in_order(sandbox.rows())


def test_a_sample_asks_for_little(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=900)
    host = customer(sandbox, page_size=10_000, concurrency=4)
    host.read(sample=True)
    assert {params["limit"] for params in asked_of(sandbox)} == {500}
    assert host.ids() == in_order(sandbox.rows())
    small = customer(sandbox, page_size=70)
    sandbox.calls.clear()
    small.read(sample=True)
    assert {params["limit"] for params in asked_of(sandbox)} == {70}


@pytest.mark.parametrize(("sample", "most"), [(False, 4), (True, 1)])
def test_so_many_requests_are_in_flight(
    sample: bool, most: int, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    shared = extraction_module.Shared

    def noted(page_size: int, *, concurrency: int, stop: Any) -> Any:
        made.append((page_size, concurrency))
        return shared(page_size, concurrency=concurrency, stop=stop)

    monkeypatch.setattr(extraction_module, "Shared", noted)
    host = customer(make_sandbox(sessions=5), concurrency=4, page_size=300)
    host.read(sample=sample)
    assert made == [(300, most)]


def test_the_filter_is_asked_with(make_sandbox: MakeSandbox) -> None:
    tree = {"field": "site_id", "operator": "=", "value": 1}
    sandbox = make_sandbox(sessions=10)
    customer(sandbox, filter=tree, page_size=900).read()
    assert all(params["filter"] == tree for params in asked_of(sandbox))
    assert {params["limit"] for params in asked_of(sandbox)} == {900}


def test_values_that_a_setting_gives_are_added(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=10)
    host = customer(sandbox, account="shop")
    host.read([*NAMES, "account"])
    assert {row["account"] for row in host.taken[None]} == {"shop"}
    assert all(params["fields"] == NAMES for params in asked_of(sandbox))


def test_a_partner_is_a_part_for_each_user(make_sandbox: MakeSandbox) -> None:
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(**agency(rows))
    host = partner(sandbox, account="agency")
    extraction = host.read(["user_id", *NAMES, "account"])
    assert [user.user_id for user in extraction.users if user] == [10, 20, 30]
    assert (extraction.progress.parts, extraction.progress.parts_done) == (3, 3)
    for user, own in rows.items():
        assert host.ids(user) == in_order(own)
        assert {row["user_id"] for row in host.taken[user]} == {user}
        assert {row["account"] for row in host.taken[user]} == {"agency"}
        asked = [params for params in asked_of(sandbox) if params["user_id"] == user]
        assert asked
        assert all(params["fields"] == NAMES for params in asked)


def test_only_the_users_wanted_are_read(make_sandbox: MakeSandbox) -> None:
    rows = rows_of([10, 20, 30])
    host = partner(make_sandbox(**agency(rows)))
    chosen = [user for user in host.extraction().users if user and user.user_id == 20]
    host.read(users=chosen)
    assert list(host.taken) == [20]
    host = partner(host.sandbox)
    host.read(users=[])
    assert not host.taken


def test_each_user_that_was_read_has_had_a_turn(make_sandbox: MakeSandbox) -> None:
    rows = {**rows_of([10, 20]), 30: []}
    host = partner(make_sandbox(**agency(rows)))
    host.read()
    turns = [host.bookmarks[user][-1].turn for user in (10, 20, 30)]
    assert all(turns)
    assert turns == sorted(set(turns))


@pytest.mark.parametrize("way", ["skip", "fail"])
def test_a_customer_that_fails_ends_the_run_or_not(way: str, make_sandbox: MakeSandbox) -> None:
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(**agency(rows), refusals={2: "method_component_disabled"})
    host = partner(sandbox, on_customer_error=way)
    with pytest.raises(TapError) as caught:
        host.read()
    assert host.ids(10) == in_order(rows[10])
    if way == "fail":
        assert isinstance(caught.value, ApiError)
        assert "user 20" in str(caught.value)
        assert host.ids(30) == []
    else:
        assert isinstance(caught.value, CustomersFailed)
        assert str(caught.value).startswith("1 of 3 customers could not be read")
        assert host.ids(30) == in_order(rows[30])
        assert host.bookmarks[20][-1].turn  # or it would be first for ever


def test_a_run_that_fails_logs_its_summary(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sandbox = make_sandbox(sessions=5, login="me", password="secret")
    config = config_of(sandbox, timezone="UTC", login="me", password="secret")
    del config["access_token"]
    host = Host(sandbox, config)
    extraction = host.extraction()

    def fails() -> None:
        with extraction.run():
            extraction._connection.client.call("get.account")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    [summary] = [one for one in caplog.records if one.getMessage().startswith("Summary: ")]
    assert summary.levelno == logging.INFO
    assert summary.__dict__["summary"]["sessions"] == 0


def test_what_was_lost_is_logged_at_the_end(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    rows = make_sessions(20)
    for row in rows[:3]:
        row["duration"] = {}
    host = customer(make_sandbox(rows=rows))
    extraction = host.read()
    assert extraction.figures()["values_lost"] == 3
    [last] = [message for message in caplog.messages if message.startswith("Values")]
    assert last == "Values that could not be read and are left out: duration 3"
    caplog.clear()
    customer(make_sandbox(sessions=3)).read()
    assert not [message for message in caplog.messages if message.startswith("Values")]


def test_columns_are_hashed_before_a_host_sees_them(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=20)
    plain, hashed = (
        customer(sandbox),
        customer(sandbox, hash_columns=["channel"], hash_key="k" * 32),
    )
    plain.read()
    hashed.read()
    for clear, dark in zip(plain.taken[None], hashed.taken[None], strict=True):
        assert (clear["id"], clear["duration"]) == (dark["id"], dark["duration"])
        assert dark["channel"] != clear["channel"] or clear["channel"] is None
        assert dark["channel"] is None or len(dark["channel"]) == 64


def test_numbers_that_are_wanted_as_texts_are_kept_as_they_come(make_sandbox: MakeSandbox) -> None:
    rows = make_sessions(2)
    campaign = {"group_id": "0012", "keyword": "k", "old_banner_ids": [1, "x"]}
    rows[0] |= {"integrated_campaign_data": campaign, "duration": 5}
    host = customer(make_sandbox(rows=rows))
    extraction = host.extraction()
    names = ["id", "date_time", "duration", "integrated_campaign_data", "communications"]
    texts = [
        ["duration"],
        ["integrated_campaign_data", "group_id"],
        ["integrated_campaign_data", "old_banner_ids"],
        ["communications", "communication_id"],
    ]
    with extraction.run(), extraction.parts(Columns(names, texts), host.prepared) as parts:
        found = {
            row["id"]: row
            for part in parts
            for window in part.windows()
            for row in window.ready or []
        }
    row = found[rows[0]["id"]]
    assert row["duration"] == "5"
    assert row["integrated_campaign_data"]["group_id"] == "0012"
    assert row["integrated_campaign_data"]["old_banner_ids"] == ["1", "x"]
    ids = [one["communication_id"] for each in found.values() for one in each["communications"]]
    assert all(isinstance(one, str) for one in ids)


def test_an_answer_that_is_not_what_is_promised_is_an_error_of_ours() -> None:
    why = r"^The API's answer cannot be read: JSON is malformed"
    with pytest.raises(Unreadable, match=why), readable():
        msgspec.json.decode(b"x")
    with readable():
        pass


def turns_of(host: Host, user: int) -> list[str]:
    """Those that the bookmarks of a user have had, without the beginning."""
    return list(
        dict.fromkeys(
            bookmarks.turn for bookmarks in host.bookmarks.get(user, []) if bookmarks.turn
        )
    )


def test_a_turn_is_had_with_the_first_window_and_not_with_each(make_sandbox: MakeSandbox) -> None:
    host = partner(make_sandbox(**agency(rows_of([10, 20], 200))), page_size=20)
    extraction = host.extraction()
    with extraction.run(), extraction.parts(Columns(NAMES), host.prepared) as parts:
        first, second = parts
        windows = first.windows()
        next(windows)
        assert len(turns_of(host, 10)) == 1
        assert len(list(windows)) > 5
        assert len(turns_of(host, 10)) == 1
        next(second.windows())
        assert len(turns_of(host, 20)) == 1


def test_one_with_nothing_to_be_read_has_its_turn_too(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20])))
    host = partner(sandbox, lookback_window="PT0S")
    host.read()
    known = [UserState(user, user // 10, host.bookmarks[user][-1]) for user in (10, 20)]
    again = Host(sandbox, host.config, FormerState(known=tuple(known)))
    sandbox.calls.clear()
    again.read()
    assert not sandbox.reports
    for user in (10, 20):
        assert turns_of(again, user)[-1] > turns_of(host, user)[-1]


def test_one_that_fails_after_an_answer_has_had_its_turn(make_sandbox: MakeSandbox) -> None:
    """Its points are spent: the others come first in the next run."""
    host = partner(
        make_sandbox(**agency(rows_of([10], 200))), page_size=20, on_customer_error="fail"
    )
    extraction = host.extraction()
    client = extraction._connection.client
    honest, asked = client.call, 0

    def call(method: str, params: Any = None) -> Any:
        nonlocal asked
        asked += method == METHOD
        if asked > 1:
            raise ApiError("no", mnemonic="forbidden")
        return honest(method, params)

    client.call = call  # type: ignore[method-assign]
    with (
        pytest.raises(ApiError),
        extraction.run(),
        extraction.parts(Columns(NAMES), host.prepared) as parts,
    ):
        list(next(parts).windows())
    assert not host.taken
    assert len(turns_of(host, 10)) == 1


def test_what_a_host_has_written_is_counted_one_by_one_or_together(
    make_sandbox: MakeSandbox,
) -> None:
    host = customer(make_sandbox(sessions=5))
    extraction = host.extraction()
    with extraction.run(), extraction.parts(Columns(NAMES), host.prepared) as parts:
        [part] = parts
        next(part.windows())
        part.emitted(START)
        part.emitted(START, 3)
    assert extraction.progress.sessions == 4


@pytest.mark.parametrize("announces", [None, False, True])
def test_a_loader_that_will_drop_what_was_read_before_is_warned_of(
    announces: bool | None, make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(sessions=20)
    host = customer(sandbox)
    host.read()
    config = {**host.config, "start_date": "2024-05-20"}
    own = FormerState(own=host.bookmarks[None][-1])
    more = {} if announces is None else {"announces_version": announces}
    Host(sandbox, config, own).read(incremental=False, **more)
    assert ("ACTIVATE_VERSION follows" in caplog.text) is bool(announces)


def test_one_whose_answers_cost_nothing_keeps_its_turn(make_sandbox: MakeSandbox) -> None:
    """The run ends at the second: the third has had no turn, and is first of the next run."""
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(**agency(rows), refusals={2: "access_token_blocked"})
    host = partner(sandbox, concurrency=1)
    with pytest.raises(TapError, match="blocked"):
        host.read()
    assert host.bookmarks[10][-1].turn
    assert not any(bookmarks.turn for bookmarks in host.bookmarks.get(20, []))
    assert not any(bookmarks.turn for bookmarks in host.bookmarks.get(30, []))


@pytest.mark.parametrize("skips", ["skip", "fail"])
def test_one_whose_fault_it_is_has_had_its_turn(make_sandbox: MakeSandbox, skips: str) -> None:
    """Also where the run ends at it: the next one begins with the others."""
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(**agency(rows), refusals={1: "ip_not_whitelisted"})
    host = partner(sandbox, on_customer_error=skips, concurrency=1)
    with pytest.raises(TapError, match="customer 1"):
        host.read()
    assert host.bookmarks[10][-1].turn
    assert set(host.taken) == ({20, 30} if skips == "skip" else set())


@pytest.mark.parametrize("how", ["ip_not_whitelisted", "forbidden", "method_component_disabled"])
def test_a_customer_refused_for_its_own_fault_is_read_whole_once_it_is_mended(
    how: str, make_sandbox: MakeSandbox
) -> None:
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(**agency(rows), refusals={2: how})
    former, held = FormerState(), dict.fromkeys(rows, 0)
    for mended in (False, False, True):
        if mended:
            sandbox.refusals.clear()
        sandbox.calls.clear()
        host = partner(sandbox, lookback_window="PT0S")
        host.former = former
        with (
            nullcontext() if mended else pytest.raises(TapError, match=r"customer 2 .* as user 20")
        ):
            host.read()
        assert {call.params["user_id"] for call in sandbox.reports} >= {20}
        for user in rows:
            held[user] += len(host.ids(user)) if user in host.taken else 0
        # Those that have been read are not read again, and not lost: each session comes once.
        assert held == {user: len(rows[user]) * (mended or user != 20) for user in rows}
        known = [UserState(u, u // 10, kept[-1]) for u, kept in host.bookmarks.items() if u]
        former = FormerState(known=known)


# Columns that are refused -----------------------------------------------------------------------


@pytest.mark.parametrize("mnemonic", ["unexpected_parameters", "parameter_component_disabled"])
def test_a_column_that_is_refused_is_left_out_remembered_and_asked_for_again(
    mnemonic: str, make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    names = [*NAMES, "hits", "integrated_campaign_data"]
    sandbox = make_sandbox(sessions=20, refused_columns={"channel": mnemonic, "hits": mnemonic})
    host = customer(sandbox, page_size=9)
    host.read(names)
    assert host.ids() == in_order(sandbox.rows())
    for row in host.taken[None]:
        assert (row["channel"], row["hits"]) == (None, None)
        assert row["duration"] is not None
    own = host.bookmarks[None][-1]
    assert [name for name, _ in own.refused] == ["channel", "hits"]
    told = [r.getMessage() for r in caplog.records if r.name == "tap-visitor-sessions.columns"]
    assert sorted(line.split(":")[0] for line in told) == ["channel", "hits"]

    caplog.clear()
    sandbox.calls.clear()
    again = Host(sandbox, host.config, FormerState(own=own))
    again.read(names)
    assert all(call.mnemonic is None for call in sandbox.reports)
    assert again.bookmarks[None][-1].refused == own.refused
    [line] = [r.getMessage() for r in caplog.records if r.name == "tap-visitor-sessions.columns"]
    assert line.startswith("channel, hits: left out, emitted as null: refused by the API")

    # A week later one of them is still refused, the other is not.
    del sandbox.refused_columns["hits"]
    old = dataclasses.replace(own, refused=tuple((n, at - ASKED_AGAIN) for n, at in own.refused))
    later = Host(sandbox, host.config, FormerState(own=old))
    later.read(names)
    [(name, at)] = later.bookmarks[None][-1].refused
    assert (name, at) == ("channel", later.settings.now)


def test_a_refusal_that_names_no_column_is_searched_by_halves(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(
        sessions=20,
        refused_columns=dict.fromkeys(("channel", "site_id"), "parameter_component_disabled"),
        names_refused=False,
    )
    names = list(stream_schema()["properties"])
    host = customer(sandbox, concurrency=1)
    host.read(names)
    assert host.ids() == in_order(sandbox.rows())
    assert {name for name, _ in host.bookmarks[None][-1].refused} == {"channel", "site_id"}
    assert len(sandbox.reports) <= 4 * math.log2(len(names)) + 4


@pytest.mark.parametrize("name", ["id", "date_time"])
@pytest.mark.parametrize("named", [True, False])
def test_key_and_bookmark_are_never_left_out(
    name: str, named: bool, make_sandbox: MakeSandbox
) -> None:
    refused = {name: "unexpected_parameters"}
    sandbox = make_sandbox(sessions=20, refused_columns=refused, names_refused=named)
    with pytest.raises(ApiError) as caught:
        customer(sandbox).read()
    assert caught.value.mnemonic == "unexpected_parameters"
    assert len(sandbox.reports) <= 4


def test_columns_of_one_customer_s_component_are_left_out_for_it_alone(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of([10, 20, 30, 40])
    sandbox = make_sandbox(
        **agency(rows),
        refused_columns={"channel": "parameter_component_disabled"},
        refused_for={20, 30},
    )
    host = partner(sandbox, concurrency=1)
    host.read()
    for user in rows:
        assert host.ids(user) == in_order(rows[user])
        nulls = {row["channel"] is None for row in host.taken[user]}
        assert (nulls == {True}) is (user in (20, 30))
        refused = [name for name, _ in host.bookmarks[user][-1].refused]
        assert refused == (["channel"] if user in (20, 30) else [])
    told = [r for r in caplog.records if r.name == "tap-visitor-sessions.columns"]
    assert len(told) == 1  # the same columns


# Who waits for whom -----------------------------------------------------------------------------


def test_while_others_wait_a_customer_is_tried_for_a_bounded_time(
    make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction_module, "RETRIED_BESIDE_OTHERS", 0.0)
    rows = rows_of([10, 20])
    sandbox = make_sandbox(**agency(rows), silent={1, 2})
    host = partner(sandbox, concurrency=1, max_retries=2)
    with pytest.raises(TapError):
        host.read()
    asked = Counter(params["user_id"] for params in asked_of(sandbox))
    assert asked[10] == 1  # the other waits
    assert asked[20] in (1, 3)  # nobody does any more, once its turn has come


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_fails_in_whatever_way_each_of_thirty_has_its_turn_at_five_points_a_day(
    seed: int, make_sandbox: MakeSandbox
) -> None:
    """A day has five points, and ends at three in a row that fail alike: so a round takes ten days
    at most, and no one who can be read waits longer."""
    source = random.Random(seed)
    users = [number * 10 for number in range(1, 31)]
    sound = set(source.sample(users, 10))
    sandbox = make_sandbox(**agency(rows_of(users, 2)), limits=Limits(day=7))  # two are listings
    refusals = [
        "internal_error",
        "forbidden",
        "ip_not_whitelisted",
        "method_component_disabled",
        "account_inactive",
        "limit_exceeded",
    ]
    longest, former, last = 10, FormerState(), dict.fromkeys(users, 0)
    known: dict[int, Bookmarks] = {}
    for day in range(1, 2 * longest + 2):
        failing = {user // 10: source.choice([*refusals, "silent"]) for user in users}
        failing = {
            one: how
            for one, how in failing.items()
            if one * 10 not in sound and source.random() < 0.7
        }
        sandbox.silent = {one for one, how in failing.items() if how == "silent"}
        sandbox.refusals = {one: how for one, how in failing.items() if how != "silent"}
        host = partner(
            sandbox,
            concurrency=1,
            max_retries=0,
            end_date=f"2024-06-{day:02}",
            lookback_window="P1D",
        )
        host.former = former
        with suppress(TapError):
            host.read()
        for user, kept in host.bookmarks.items():
            assert user is not None
            if kept[-1].turn != known.get(user, Bookmarks()).turn:
                last[user] = day
            known[user] = kept[-1]
        former = FormerState(known=[UserState(u, u // 10, b) for u, b in known.items()])
        if day >= longest:
            assert min(last[user] for user in sound) > day - longest, (day, last)
            assert min(last.values()) > day - longest, (day, last)
        sandbox.meters.new_day()


def test_each_customer_is_asked_for_by_its_own_clock_and_looked_back_at(
    make_sandbox: MakeSandbox,
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20], 5)))
    zones = {"1": "Asia/Tokyo", "2": "America/New_York"}
    days = {"start_date": "2024-05-01T00:00:00Z", "end_date": "2024-05-03T00:00:00Z"}
    host = partner(sandbox, customer_timezones=zones, lookback_window="PT1H", **days)
    host.read()
    known = [UserState(user, user // 10, host.bookmarks[user][-1]) for user in (10, 20)]

    def asked() -> dict[int, tuple[str, str]]:
        found = {p["user_id"]: (p["date_from"], p["date_till"]) for p in asked_of(sandbox)}
        sandbox.calls.clear()
        return found

    assert asked() == {
        10: ("2024-05-01 09:00:00", "2024-05-03 09:00:01"),
        20: ("2024-04-30 20:00:00", "2024-05-02 20:00:01"),
    }
    later = {**host.config, "end_date": "2024-05-04T00:00:00Z"}
    Host(sandbox, later, FormerState(known=tuple(known))).read()
    assert asked() == {
        10: ("2024-05-03 08:00:01", "2024-05-04 09:00:01"),
        20: ("2024-05-02 19:00:01", "2024-05-03 20:00:01"),
    }


def test_the_user_of_a_former_run_is_kept(make_sandbox: MakeSandbox) -> None:
    own = rows_of([12], 5)[12]
    sandbox = make_sandbox(
        sessions=0, partner={1: [11, 12, 13]}, rows_by_user={11: own, 12: own, 13: own}
    )
    config = partner_config(sandbox, timezone="UTC")
    far, near = (
        Bookmarks(START.replace(day=number), ((START, START.replace(day=number)),))
        for number in (9, 4)
    )
    known = (UserState(13, 1, far), UserState(12, 1, near))
    for former, user in ((known, 13), (known[1:], 12), ((), 11)):
        host = Host(sandbox, config, FormerState(known=former))
        assert [one.user_id for one in host.extraction().users if one] == [user]
