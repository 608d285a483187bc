"""Whatever STATE a run writes, the next one takes, and goes on from there: over settings, zones and
hosts. Nothing is left out, and nothing that a STATE stands for comes again.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from conftest import examples
from hosts import AND_DLT, Host
from hypothesis import assume, example, given
from hypothesis import strategies as st
from oracle import FORMAT, first_instant

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import Settings, problems

UTC = timezone.utc
ZONES = [
    *("UTC", "Europe/Moscow", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"),
    *("Pacific/Kiritimati", "Pacific/Pago_Pago", "Etc/GMT+12", "Australia/Lord_Howe"),
    "Africa/Monrovia",  # in 1970 behind by 44 minutes and 30 seconds
]
PARTNER = {1: [10, 11], 2: [20]}
LOOK_BACKS = {"PT0S": 0, "PT90M": 5400, "P1D": 86_400, "P40D": 40 * 86_400}
[BASE] = make_sessions(1, seed=2)
BASE = {**BASE, "hits": [], "communications": []}
EXAMPLES = int(os.environ.get("STATES_EXAMPLES", examples(25)))

days = st.one_of(
    st.dates(date(1970, 1, 1), date(1970, 1, 3)),
    st.dates(date(1970, 1, 1), date(2026, 1, 1)),
    st.sampled_from([date(2024, 10, 27), date(2024, 3, 31), date(2024, 2, 29), date(2038, 1, 19)]),
)
clocks = st.sampled_from(["", "T00:00:00", "T23:59:59", "T14:00:00+14:00", "T02:30:00", "T00:00Z"])


class World:
    """The API: an account, or an agency of two customers."""

    def __init__(self, sandbox: Sandbox, zones: dict[int | None, str]) -> None:
        """
        Args:
            zones: Zone by user; None stands for the one of a customer's account.
        """
        self.sandbox, self.zones = sandbox, zones
        self.rows: dict[int | None, dict[int, datetime]] = {user: {} for user in zones}
        sandbox.partner = None if None in zones else PARTNER

    def file(self, first: datetime, seconds: list[int]) -> None:
        """Sessions at so many seconds after a time of the wall clock, of each account."""
        self.sandbox.hold([], timezone=self.zones.get(None, "UTC"), faults=Faults())
        for number, user in enumerate(self.zones, 1):
            walls = [first + timedelta(seconds=at) for at in seconds]
            ids = range(number * 1000, number * 1000 + len(walls))
            rows = [
                {**BASE, "id": id_, "date_time": wall.strftime(FORMAT)}
                for id_, wall in zip(ids, walls, strict=True)
            ]
            self.sandbox.add(rows, user)
            zone = self.zones[user]
            self.rows[user] = {
                id_: first_instant(wall, zone) for id_, wall in zip(ids, walls, strict=True)
            }

    def wanted(self, config: dict[str, Any]) -> dict[int, datetime]:
        """The ids within the span that is asked for, and when they happened."""
        asked, found = Settings.from_config(config), {}
        for user, rows in self.rows.items():
            zone = self.zones[user]
            start, end = asked.start.value, asked.end.value if asked.end else asked.now
            first, last = (at if at.tzinfo else first_instant(at, zone) for at in (start, end))
            found |= {id_: at for id_, at in rows.items() if first <= at <= last}
        return found


def read(host: Host, config: dict[str, Any], state: Any) -> list[tuple[str, Any]]:
    out = io.StringIO()
    with patch.object(sys, "stdout", out):
        host.sync(config, json.loads(json.dumps(state)))
    return list(host.heard(out.getvalue().splitlines()))


@contextmanager
def ended_earlier() -> Iterator[list[ConfigError]]:
    """An error of end_date is noted; by an account's clock it can lie before start_date."""
    found: list[ConfigError] = []
    try:
        yield found
    except ConfigError as problem:
        if problem.setting != "end_date":
            raise
        found.append(problem)


def ids(heard: list[tuple[str, Any]]) -> list[int]:
    return [value["id"] for kind, value in heard if kind == "RECORD"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        yield stack.enter_context(Sandbox(sessions=0).running())
    logging.disable(logging.NOTSET)


@AND_DLT
def test_whatever_state_a_run_writes_the_next_one_takes(
    host: Host, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)

    @host.search(EXAMPLES)
    @given(
        zones=st.lists(st.sampled_from(ZONES), min_size=3, max_size=3),
        by_setting=st.booleans(),
        is_partner=st.booleans(),
        start=days,
        clock=clocks,
        length=st.none() | st.sampled_from([0, 1, 3, 40, 100]),
        end_clock=clocks,
        seconds=st.lists(st.integers(0, 4 * 86_400), max_size=8),
        look_back=st.sampled_from(sorted(LOOK_BACKS)),
        account=st.sampled_from([None, "north", "Ünï \u2028"]),
        page_size=st.sampled_from([2, 10_000]),
        which=st.floats(0, 1),
    )
    @example(
        zones=["Europe/Moscow", "Pacific/Kiritimati", "Pacific/Pago_Pago"],
        by_setting=True,
        is_partner=True,
        start=date(1970, 1, 1),
        clock="",
        length=1,
        end_clock="",
        seconds=[0, 1, 86_399],
        look_back="PT0S",
        account=None,
        page_size=2,
        which=1.0,
    )
    @example(
        zones=["Pacific/Pago_Pago", "Pacific/Kiritimati", "Africa/Monrovia"],
        by_setting=True,
        is_partner=False,
        start=date(1984, 2, 22),
        clock="T14:00:00+14:00",
        length=1,
        end_clock="T02:30:00",
        seconds=[100000, 144, 127150, 101, 1821, 661, 628, 1349],
        look_back="P40D",
        account="north",
        page_size=2,
        which=0.75,
    )
    def check(
        zones: list[str],
        by_setting: bool,
        is_partner: bool,
        start: date,
        clock: str,
        length: int | None,
        end_clock: str,
        seconds: list[int],
        look_back: str,
        account: str | None,
        page_size: int,
        which: float,
    ) -> None:
        assume(length is not None or start.year > 2022)  # else hundreds of requests
        config: dict[str, Any] = {
            "api_url": sandbox.url,
            "access_token": sandbox.token,
            "start_date": f"{start}{clock}",
            "lookback_window": look_back,
            "page_size": page_size,
            "account": account,
        }
        if length is not None:
            config["end_date"] = f"{start + timedelta(days=length)}{end_clock}"
        world = World(sandbox, {None: zones[0]})
        if is_partner:
            world = World(sandbox, {10: zones[1], 20: zones[0]})
            config |= {"account_type": "partner", "customer_timezones": {"1": zones[1]}}
        if is_partner or by_setting:
            config["timezone"] = zones[0]
        assume(not problems(config))
        world.file(datetime.combine(start, datetime.min.time()), sorted({0, *seconds}))
        wanted = world.wanted(config)
        with ended_earlier() as problem:
            first = read(host, config, None)
        assume(not problem)  # by a customer's clock
        assert sorted(ids(first)) == sorted(wanted)
        places = [place for place, (kind, _) in enumerate(first) if kind == "STATE"]

        # From the last, nothing comes but what the look-back reads again.
        whole = len(sandbox.reports)
        sandbox.calls.clear()
        state = first[places[-1]][1]
        again = read(host, config, state)
        for user, rows in world.rows.items():
            until = max((end for _, end in spans_of(host, state, user)), default=None)
            since = until and until - timedelta(seconds=LOOK_BACKS[look_back])
            early = {id_ for id_, at in rows.items() if since is not None and at < since}
            assert not early & {*ids(again)}, until
        # Pages of two rows are split more often; then it costs no more than all did.
        assert len(sandbox.reports) <= max(len(world.zones) * (2 + len(wanted)), whole)

        # From any, all that is missing comes.
        place = places[int(which * (len(places) - 1))]
        rest = read(host, config, first[place][1])
        assert {*ids(first[:place]), *ids(rest)} == wanted.keys()

        # And under another zone it is carried over.
        other = {**config, "timezone": zones[2]}
        assume(not problems(other))
        with ended_earlier():
            read(host, other, read(host, other, state)[-1][1])

    check()


def spans_of(host: Host, state: Any, user: int | None) -> Iterator[tuple[datetime, datetime]]:
    """What a state says has been read of an account."""
    progress = host.progress(state)
    if user is not None:
        [progress] = [one for one in progress["partitions"] if one["context"]["user_id"] == user]
    for span in progress.get("read", []):
        first, last = (datetime.fromisoformat(at) for at in span)
        yield first, last
