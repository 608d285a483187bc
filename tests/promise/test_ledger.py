"""The ledger as a model: whatever arrives late, goes or is replaced, wherever runs are cut, the
days never claim more than the table has, and after a recheck both are what the API has.

The model of test_model.py says what a run without these settings owes; here the look-back is short
and the world moves where it does not reach.
"""

from __future__ import annotations

import io
import json
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from conftest import Tally, examples
from hosts import AND_DLT, Host
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from oracle import FORMAT, first_instant

from sandbox import Faults, Sandbox, make_sessions

# Zone, and a day near a change of its clock: at midnight, within a day, none.
PLACES = [
    ("America/Sao_Paulo", datetime(2018, 11, 3)),
    ("America/Sao_Paulo", datetime(2018, 2, 16)),
    ("America/Havana", datetime(2024, 11, 1)),
    ("Africa/Cairo", datetime(2023, 10, 24)),
    ("Europe/Berlin", datetime(2024, 10, 25)),
    ("Asia/Beirut", datetime(2024, 3, 29)),
    ("Europe/Moscow", datetime(2024, 2, 27)),
]
EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", examples(25)))
MOVES = ["late", "edge", "delete", "replace", "midnight"]
[BASE] = make_sessions(1, seed=2)


class Account:
    """The API's side, and the host that reads it."""

    sandbox: Sandbox
    host: Host
    injected: Counter[str]


class Table:
    """A table that keeps the latest of each key, and its ledger."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self.rows: dict[int, dict[str, Any]] = {}
        self.days: dict[str, dict[str, Any]] = {}

    def take(self, kind: str, value: dict[str, Any]) -> None:
        if kind == "RECORD":
            self.rows[value["id"]] = value
        elif kind == "DAY":
            self.days[value["date"]] = value
        self.check() if kind == "DAY" else None

    @property
    def counts(self) -> Counter[str]:
        days = (
            datetime.fromisoformat(row["date_time"].replace("Z", "+00:00"))
            for row in self.rows.values()
        )
        return Counter(at.astimezone(self._zone).date().isoformat() for at in days)

    def check(self) -> None:
        counts = self.counts
        for day, row in self.days.items():
            assert row["sessions"] <= counts[day], ("claims more than there is", row, counts[day])

    def gone(self) -> set[int]:
        """Rows of a day that was read again without them, as docs/trust.md finds them."""
        found = set()
        for id_, row in self.rows.items():
            at = datetime.fromisoformat(row["date_time"].replace("Z", "+00:00"))
            day = self.days.get(at.astimezone(self._zone).date().isoformat())
            if day is not None and row["read_at"] < day["read_at"]:
                found.add(id_)
        return found


class Trust(RuleBasedStateMachine):
    """A sequence of runs, with the past moving in between."""

    @initialize(
        place=st.sampled_from(PLACES),
        days=st.integers(1, 12),
        hours=st.integers(0, 30),
        count=st.integers(0, 60),
        look_back=st.sampled_from(["PT0S", "PT1S", "PT5H", "P2D"]),
        depth=st.sampled_from(["count", "ids"]),
        page_size=st.sampled_from([3, 7, 10_000]),
        till_exclusive=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def begin(
        self,
        place: tuple[str, datetime],
        days: int,
        hours: int,
        count: int,
        look_back: str,
        depth: str,
        page_size: int,
        till_exclusive: bool,
        seed: int,
    ) -> None:
        self.zone, near = place
        self.random = random.Random(seed)
        self.depth = depth
        self.start = near + timedelta(hours=hours)
        self.end = self.start + timedelta(days=days, hours=self.random.randrange(30))
        self.ids = iter(self.random.sample(range(1, 10**6), 5000))
        self.config: dict[str, Any] = {
            "api_url": Account.sandbox.url,
            "access_token": Account.sandbox.token,
            "start_date": self.start.isoformat(),
            "end_date": self.end.isoformat(),
            "page_size": page_size,
            "lookback_window": look_back,
            "recheck_window": "P10Y",
            "recheck_depth": depth,
        }
        rows = [self.row(self.some_time()) for _ in range(count)]
        Account.sandbox.hold(rows, timezone=self.zone, faults=Faults(till_exclusive=till_exclusive))
        self.cautious, self.eager = Table(self.zone), Table(self.zone)
        self.state: Any = None
        self.added: set[int] = set()
        self.has_deleted = False

    @property
    def unseen(self) -> set[int]:
        """What a count need not show: one may have come where another went."""
        return self.added if self.depth == "count" and self.has_deleted else set()

    def row(self, at: datetime) -> dict[str, Any]:
        return {**BASE, "id": next(self.ids), "date_time": at.strftime(FORMAT)}

    def some_time(self) -> datetime:
        length = int((self.end - self.start).total_seconds())
        return self.start + timedelta(seconds=self.random.randrange(length + 1))

    def day(self, row: dict[str, Any]) -> date:
        at = first_instant(datetime.strptime(row["date_time"], FORMAT), self.zone)
        return at.astimezone(ZoneInfo(self.zone)).date()

    @rule(what=st.sampled_from(MOVES), times=st.integers(1, 3))
    def the_past_moves(self, what: str, times: int) -> None:
        for _ in range(times):
            self.move(what)

    def move(self, what: str) -> None:
        before = {row["id"] for row in Account.sandbox.rows()}
        self.change(what)
        after = {row["id"] for row in Account.sandbox.rows()}
        self.added |= after - before
        self.has_deleted |= bool(before - after)
        Account.injected[what] += 1

    def change(self, what: str) -> None:
        sandbox, rows = Account.sandbox, Account.sandbox.rows()
        picked = self.random.choice(rows) if rows else None
        if what == "late":
            sandbox.add([self.row(self.some_time())])
        elif what == "edge":  # on the days that what is wanted cuts
            hours = self.random.choice([0, *range(12)])
            edge = self.random.choice([self.start, self.end])
            at = edge + timedelta(hours=hours if edge == self.start else -hours)
            if self.start <= at <= self.end:
                sandbox.add([self.row(at)])
        elif what == "midnight":  # where a count of days begins and ends
            at = datetime.combine(self.some_time(), datetime.min.time())
            at -= timedelta(seconds=self.random.randrange(2))
            if self.start <= at <= self.end:
                sandbox.add([self.row(at)])
        elif picked is not None:
            sandbox.delete([picked["id"]])
            if what == "replace":
                sandbox.add([{**picked, "id": next(self.ids)}])

    @rule(days=st.integers(1, 3))
    def more_of_the_past_is_wanted(self, days: int) -> None:
        self.start -= timedelta(days=days, hours=self.random.randrange(24))
        self.config["start_date"] = self.start.isoformat()

    @rule(cut=st.floats(0, 1))
    def run_cut_short(self, cut: float) -> None:
        lines = self.lines()
        Account.injected["kill"] += 1
        self.deliver(lines[: round(len(lines) * cut)])

    @rule()
    def run_in_full(self) -> None:
        self.deliver(self.lines())
        rows = [row for row in Account.sandbox.rows() if self.is_wanted(row)]
        table = self.cautious
        lost = {row["id"] for row in rows} - table.rows.keys()
        assert lost <= self.unseen, ("lost", lost)
        want = Counter(self.day(row) for row in rows)
        if self.unseen:
            return  # a day may hold one too many and one too few
        for text, row in table.days.items():
            day = date.fromisoformat(text)
            assert row["sessions"] == want[day], (text, row, want[day])
        for day in want:
            assert day.isoformat() in table.days, ("no day", day)
        assert table.gone() == table.rows.keys() - {row["id"] for row in Account.sandbox.rows()}

    def is_wanted(self, row: dict[str, Any]) -> bool:
        return self.start <= datetime.strptime(row["date_time"], FORMAT) <= self.end

    def lines(self) -> list[str]:
        out = io.StringIO()
        with patch.object(sys, "stdout", out):
            Account.host.sync(self.config, self.state, days=True)
        return out.getvalue().splitlines(keepends=True)

    def deliver(self, lines: list[str]) -> None:
        """To a table that takes all at once, and to one that keeps what came before STATE."""
        pending: list[tuple[str, Any]] = []
        for kind, value in Account.host.heard(lines):
            if kind == "STATE":
                for one in pending:
                    self.cautious.take(*one)
                pending, self.state = [], json.loads(json.dumps(value))
            else:
                self.eager.take(kind, value)
                pending.append((kind, value))


@pytest.fixture
def account() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    Account.injected = Counter()
    with ExitStack() as stack:
        Account.sandbox = stack.enter_context(Sandbox(sessions=0).running())
        yield
    logging.disable(logging.NOTSET)


def surely() -> None:
    """A sequence with all that the search must not go without."""
    trust = Trust()
    trust.begin(
        place=PLACES[1],
        days=10,
        hours=5,
        count=40,
        look_back="PT1S",
        depth="ids",
        page_size=7,
        till_exclusive=False,
        seed=1,
    )
    trust.run_in_full()
    for what in MOVES:
        trust.the_past_moves(what=what, times=3)
        trust.run_cut_short(cut=0.5)
        trust.run_in_full()
    trust.more_of_the_past_is_wanted(days=2)
    trust.run_in_full()


@AND_DLT
def test_days_and_table_are_what_the_api_has_after_a_recheck(
    host: Host, account: None, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    host.without_signals(monkeypatch)
    Account.host = host
    surely()
    run_state_machine_as_test(
        Trust,
        settings=settings(
            max_examples=max(EXAMPLES // host.costs, 1),
            stateful_step_count=8,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
    names = {
        "late": "a session added beyond the look-back",
        "edge": "a session added on a day of which a part is wanted",
        "midnight": "a session added at midnight, or the second before",
        "delete": "a session deleted beyond the look-back",
        "replace": "a session replaced by another",
        "kill": "a run cut short",
    }
    for what, text in names.items():
        tally("Ledger and recheck", f"{text} ({host.name})", injected=Account.injected[what])
