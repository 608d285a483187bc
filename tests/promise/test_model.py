"""The promise as a model: whatever the account holds, however the API behaves, wherever runs
are cut, a target that keeps what came before the last STATE it saw ends up complete.

Stateful (Hypothesis): sessions arrive, change and vanish, between runs and during them; runs
are cut at random places. A run is a host itself, in this process, against the sandbox over
HTTP. A run cut short is its output cut short, since a host keeps nothing but its output.
"""

from __future__ import annotations

import io
import logging
import math
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from conftest import Tally, examples
from hosts import AND_DLT, DLT, HOSTS, Host
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from oracle import FORMAT, as_emitted, first_instant, utc_text

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.errors import CountMismatch, TransientError
from tap_visitor_sessions.sessions.windows import reader as reader_module

# Zone, and a wall-clock moment near a change of its clock.
PLACES = [
    ("Europe/Berlin", datetime(2024, 10, 27, 2)),
    ("Europe/Berlin", datetime(2024, 3, 31, 2)),
    ("Australia/Lord_Howe", datetime(2024, 4, 7, 1, 30)),
    ("America/St_Johns", datetime(2024, 11, 3, 1)),
    ("Pacific/Apia", datetime(2011, 12, 30)),
    ("Africa/Casablanca", datetime(2024, 3, 10, 2)),
    ("Europe/Moscow", datetime(2024, 2, 29)),
    ("Asia/Kathmandu", datetime(2023, 11, 30)),
]
[BASE] = make_sessions(1, seed=2)
LOOK_BACKS = {"PT0S": 0, "PT1S": 1, "PT90M": 5400, "P1D": 86_400, "P40D": 40 * 86_400}

# Seconds after the start of the span: bursts, empty months, all in one second, borders.
moments = st.one_of(
    st.lists(st.integers(0, 30), max_size=40),
    st.lists(st.integers(0, 6 * 3600), max_size=60),
    st.lists(st.integers(0, 300 * 86_400), max_size=60),
    st.builds(lambda at, n: [at] * n, st.integers(0, 90_000), st.integers(0, 90)),
    st.builds(
        lambda at, n, rest: [at] * n + rest,
        st.integers(0, 200_000),
        st.integers(0, 60),
        st.lists(st.integers(0, 200_000), max_size=30),
    ),
)
WIRE_FAULTS = [
    "http_error_rate",
    "html_200_rate",
    "cut_body_rate",
    "truncated_json_rate",
    "reset_rate",
    "internal_error_rate",
    "wrong_id_rate",
    "bad_utf8_rate",
    "duplicate_rate",
]
moods = st.builds(
    lambda count, seed, **shape: Faults(
        **dict.fromkeys(random.Random(seed).sample(WIRE_FAULTS, count), 0.15), **shape
    ),
    # By a seed: drawn one by one some of them hardly ever come.
    count=st.sampled_from([0, 0, 2, 3, 4]),
    seed=st.integers(0, 2**16),
    short_pages=st.sampled_from([None, None, 1, 3, 11]),
    short_pages_random=st.booleans(),
    reshuffle=st.booleans(),
    order=st.sampled_from(["shuffled", "ascending", "descending"]),
    till_exclusive=st.booleans(),
    null_arrays=st.booleans(),
    null_objects=st.booleans(),
    numbers_as_strings=st.booleans(),
    single_hit_object=st.booleans(),
    example_spelling=st.booleans(),
    gzip=st.booleans(),
)
SHAPES = {
    "short_pages",
    "short_pages_random",
    "reshuffle",
    "order",
    "till_exclusive",
    "null_arrays",
    "null_objects",
    "numbers_as_strings",
    "single_hit_object",
    "example_spelling",
    "gzip",
}
MOVES = ["add", "change", "delete", "swap"]
OFTEN = {*MOVES, "kill", "start_date"}
"""What no search goes without: `surely`. Each fault surely happens in the test below it."""
OWN = {*WIRE_FAULTS, *SHAPES, *OFTEN}
# What moves while a run reads: at which request, what, where.
motions = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from(MOVES),
        st.integers(0, 2**16),
    ),
    max_size=4,
)

# Shrinking takes minutes: ask for it when there is something to shrink.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", examples(25)))
SHRINK = os.environ.get("MODEL_SHRINK")
PHASES = tuple(Phase) if SHRINK else (Phase.explicit, Phase.generate)


class Account:
    """The API's side: one server for all examples, since starting one takes longer than a run;
    and the host that reads it."""

    sandbox: Sandbox
    host: Host
    injected: Counter[str]


class Promise(RuleBasedStateMachine):
    """A sequence of runs, with the world moving in between and underneath."""

    @initialize(
        place=st.sampled_from(PLACES),
        seconds=moments,
        days=st.sampled_from([1, 3, 40, 89, 90, 92, 300]),
        page_size=st.sampled_from([1, 2, 7, 13, 40, 10_000]),
        concurrency=st.integers(1, 5),
        look_back=st.sampled_from(sorted(LOOK_BACKS)),
        offset=st.integers(-7200, 7200),
        with_offset=st.booleans(),
        faults=moods,
        seed=st.integers(0, 2**16),
        mapped=st.sampled_from([False, False, False, True]),
    )
    def begin(
        self,
        place: tuple[str, datetime],
        seconds: list[int],
        days: int,
        page_size: int,
        concurrency: int,
        look_back: str,
        offset: int,
        with_offset: bool,
        faults: Faults,
        seed: int,
        mapped: bool,
    ) -> None:
        self.zone, near = place
        self.random = random.Random(seed)
        self.start = near + timedelta(seconds=offset)
        self.end = self.start + timedelta(days=days)
        self.ids = iter(self.random.sample(range(1, 10**6), 5000))
        self.concurrency = concurrency
        self.look_back = timedelta(seconds=LOOK_BACKS[look_back])
        self.tiny = page_size < 40
        texts = [self.start.isoformat(), self.end.isoformat()]
        if with_offset:
            texts = [utc_text(str(at), self.zone) for at in (self.start, self.end)]
        self.config: dict[str, Any] = {
            "api_url": Account.sandbox.url,
            "access_token": Account.sandbox.token,
            "start_date": texts[0],
            "end_date": texts[1],
            "page_size": page_size,
            "concurrency": concurrency,
            "lookback_window": look_back,
            "max_retries": 40,
            "request_timeout": 20,
        }
        mapped = mapped and Account.host.name == "singer"
        if mapped:  # the SDK's own path
            self.config["stream_maps"] = {"visitor_sessions": {"extra": "str(id)"}}
        self.mapped = mapped
        rows = [self.row(self.start + timedelta(seconds=at)) for at in seconds]
        Account.sandbox.hold(rows, timezone=self.zone, faults=faults)
        self.held: dict[int, dict[str, Any]] = {}
        self.state: Any = None
        self.gone: set[int] = set()
        self.stale: set[int] = set()  # changed where no look-back reaches
        self.missable: set[int] = set()  # added where no look-back reaches

    # The world

    def row(self, at: datetime) -> dict[str, Any]:
        id_ = next(self.ids)
        return {
            **BASE,
            "id": id_,
            "visitor_id": self.random.randrange(1, 40),
            "date_time": at.strftime(FORMAT),
            "duration": self.random.randrange(1000),
            "hits": BASE["hits"][: self.random.randrange(3)],
        }

    @property
    def bookmark(self) -> str:
        return Account.host.mark(self.state)

    def is_seen_again(self, wall: str, reads: Reads | None = None) -> bool:
        """Whether the next run reads a session filed under a wall-clock time.

        Args:
            reads: What has been read by then; else what the state says.
        """
        at = first_instant(datetime.strptime(wall, FORMAT), self.zone)
        earlier = [end for start, end in (self.reads if reads is None else reads) if start <= at]
        return not earlier or at >= max(earlier) - self.look_back

    @property
    def reads(self) -> Reads:
        """The spans that the state says have been read."""
        return _reads(self.state)

    def move(self, what: str, number: int) -> None:
        """Something happens to the account's data."""
        sandbox, rows = Account.sandbox, Account.sandbox.rows()
        picked = rows[number % len(rows)] if rows else None
        if what in ("add", "swap"):
            length = int((self.end - self.start).total_seconds())
            at = self.start + timedelta(seconds=number * 7919 % (length + 1))
            if picked and number % 2:  # beside another, perhaps in a full second
                at = datetime.strptime(picked["date_time"], FORMAT)
            row = self.row(at)
            sandbox.add([row])
            if not self.is_seen_again(row["date_time"]):
                self.missable.add(row["id"])
        if picked and what in ("delete", "swap"):
            sandbox.delete([picked["id"]])
            self.gone.add(picked["id"])
        if picked and what == "change":
            sandbox.update(picked["id"], duration=10_000 + number)
            if not self.is_seen_again(picked["date_time"]):
                self.stale.add(picked["id"])
        Account.injected[what] += 1

    @rule(what=st.sampled_from(MOVES), number=st.integers(0, 2**16))
    def between_runs(self, what: str, number: int) -> None:
        self.move(what, number)

    @rule(days=st.integers(-60, 60))
    def start_date_moves(self, days: int) -> None:
        """The user wants more, or less, of the past: what is earlier than all read is read too."""
        if self.tiny and days < 0:
            days = -1  # a row a page: years of windows would take minutes
        moved = self.start + timedelta(days=days)
        if moved < self.end:
            self.start = moved
            text = moved.isoformat()
            with_offset = self.config["start_date"].endswith("Z")
            self.config["start_date"] = utc_text(str(moved), self.zone) if with_offset else text
            Account.injected["start_date"] += 1

    @rule(faults=moods)
    def another_mood(self, faults: Faults) -> None:
        Account.sandbox.faults = faults

    # Runs

    @rule(motion=motions, cut=st.floats(0, 1))
    def run_cut_short(self, motion: list[tuple[int, str, int]], cut: float) -> None:
        lines, _ = self.emitted(motion)
        text = "".join(lines)
        kept = text[: int(len(text) * cut)]
        Account.injected["kill"] += 1
        self.deliver(kept[: kept.rfind("\n") + 1].splitlines())

    @rule(motion=motions)
    def run_in_full(self, motion: list[tuple[int, str, int]]) -> None:
        before = {row["id"]: row for row in Account.sandbox.rows()}
        lines, failed = self.emitted(motion)
        self.deliver(lines)
        if failed:  # it said so; what it wrote before still counts
            return
        after = {row["id"]: row for row in Account.sandbox.rows()}
        for id_, row in before.items():
            if id_ not in after or not self.is_wanted(row) or id_ in self.missable:
                continue
            assert id_ in self.held, ("lost", row["date_time"], id_)
            if row == after[id_] and id_ not in self.stale:
                assert self.held[id_] == as_emitted(row, self.zone)

    def is_wanted(self, row: dict[str, Any]) -> bool:
        return self.start <= datetime.strptime(row["date_time"], FORMAT) <= self.end

    def emitted(self, motion: list[tuple[int, str, int]]) -> tuple[list[str], bool]:
        """The lines of a run, checked as far as one run goes, and whether it failed."""
        sandbox = Account.sandbox
        sandbox.calls.clear()
        sandbox.injected.clear()
        sandbox.most_at_once = 0
        moving = sorted(motion)
        moved = bool(moving)
        began = {row["id"]: row["date_time"] for row in sandbox.rows()}
        changed: list[int] = []

        def arrive(_: Sandbox, __: Any) -> None:
            while moving and len(sandbox.reports) + 1 >= moving[0][0]:
                _, what, number = moving.pop(0)
                before = {row["id"]: row for row in sandbox.rows()}
                self.move(what, number)
                after = {row["id"]: row for row in sandbox.rows()}
                changed.extend(id_ for id_ in after if after[id_] != before.get(id_))

        out, failed = io.StringIO(), False
        sandbox.faults.arrive = arrive
        with patch.object(sys, "stdout", out):
            try:
                Account.host.sync(self.config, self.state)
            except (CountMismatch, TransientError):
                failed = True
        sandbox.faults.arrive = None
        lines = out.getvalue().splitlines(keepends=True)
        self.check(lines, calm=not moved)
        # What arrived or changed during a run, behind where the next will look, may be missed.
        states = [value for kind, value in Account.host.heard(lines) if kind == "STATE"]
        reads = _reads(states[-1]) if states else self.reads
        for id_ in changed:
            row = next((r for r in sandbox.rows() if r["id"] == id_), None)
            if row is None:
                continue
            if not self.is_seen_again(row["date_time"], reads):
                (self.stale if id_ in began else self.missable).add(id_)
                self.stale.add(id_)
        assert not failed or moved or sandbox.faults.duplicate_rate, "failed on data at rest"
        return lines, failed

    def check(self, lines: list[str], *, calm: bool) -> None:
        host, heard = Account.host, list(Account.host.heard(lines))
        records = [value for kind, value in heard if kind == "RECORD"]
        order = [(record["date_time"], record["id"]) for record in records]
        assert order == sorted(order), "the order goes back"
        assert len({id_ for _, id_ in order}) == len(order), "an id twice in one run"
        bookmarks = [self.bookmark, *(host.mark(value) for kind, value in heard if kind == "STATE")]
        assert bookmarks == sorted(bookmarks), "the bookmark goes back"
        seen = self.bookmark
        for kind, value in heard:
            if kind == "RECORD":
                seen = max(seen, value["date_time"])
            else:
                assert host.mark(value) <= seen, "the bookmark overtakes the records"
        sandbox = Account.sandbox
        assert sandbox.most_at_once <= self.concurrency
        Account.injected.update({f: n for f, n in sandbox.injected.items() if f in OWN})
        if calm and not sandbox.faults.short_pages_random and not sandbox.faults.duplicate_rate:
            self.check_requests(len(records))

    def check_requests(self, emitted: int) -> None:
        """Bounds for pages of a few rows, where a sample says little: coarse, but they hold
        off a loop. Pages of real sizes: test_reader.py."""
        sandbox = Account.sandbox
        whole = [c for c in sandbox.reports if c.http_fault is None and c.mnemonic is None]
        page = min(self.config["page_size"], sandbox.faults.short_pages or 10_000)
        least = math.ceil(emitted / page) + math.ceil((self.end - self.start).days / 89)
        # A burst in a long span takes eight to twelve, with a row a page: a longer search found it.
        bound = (8 if page > 1 else 20) * least + 4 * self.concurrency + 30
        assert len(whole) <= bound, (len(whole), least, self.config, sandbox.faults)

    def deliver(self, lines: list[str]) -> None:
        """A target keeps what came before the last STATE that it saw."""
        pending: dict[int, dict[str, Any]] = {}
        for kind, value in Account.host.heard(lines):
            if kind == "RECORD":
                if self.mapped:
                    assert value.pop("extra") == str(value["id"])
                pending[value["id"]] = value
            else:
                self.held |= pending
                pending = {}
                self.state = value


Reads = list[tuple[datetime, datetime]]


def _reads(state: Any) -> Reads:
    spans = Account.host.progress(state).get("read", [])
    return [tuple(datetime.fromisoformat(at.replace("Z", "+00:00")) for at in s) for s in spans]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(client_module, "BACKOFF", (0.0, 0.0))
    monkeypatch.setattr(reader_module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.disable(logging.CRITICAL)
    Account.injected = Counter()
    with ExitStack() as stack:
        Account.sandbox = stack.enter_context(Sandbox(sessions=0).running())
        yield
    logging.disable(logging.NOTSET)


def surely() -> None:
    """A sequence with all that the search must not go without."""
    promise = Promise()
    promise.begin(
        place=("Europe/Berlin", datetime(2024, 10, 27, 2)),
        seconds=list(range(0, 80_000, 2000)),
        days=1,
        page_size=7,
        concurrency=2,
        look_back="PT90M",
        offset=0,
        with_offset=False,
        faults=Faults(),
        seed=1,
        mapped=False,
    )
    for number, what in enumerate(MOVES):
        promise.run_cut_short(motion=[(3, what, 1000 * number)], cut=0.3 * number)
        promise.between_runs(what=what, number=2000 + number)
    promise.start_date_moves(days=-1)
    promise.run_in_full(motion=[])


@AND_DLT
def test_whatever_happens_the_union_of_runs_is_complete(
    host: Host, account: None, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    host.without_signals(monkeypatch)
    Account.host = host
    surely()
    run_state_machine_as_test(
        Promise,
        settings=settings(
            max_examples=max(EXAMPLES // host.costs, 1),
            stateful_step_count=8,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
    names = {
        "add": "sessions added between and during runs",
        "change": "sessions changed between and during runs",
        "delete": "sessions deleted between and during runs",
        "swap": "one session deleted as another is added",
        "kill": "a run cut short at a random byte",
        "start_date": "start_date moved to an earlier or a later day between runs",
    }
    for what in sorted(OFTEN | Account.injected.keys()):
        count = Account.injected[what]
        fault = f"{names.get(what, f'{what} (random runs)')} ({host.name})"
        tally("Model", fault, injected=count)


VALUES = {"short_pages": 3, "order": "descending"}


@pytest.mark.one_host
@pytest.mark.parametrize(
    ("host", "fault"),
    [
        pytest.param(host, fault, id=f"{fault}-{host.name}")
        for fault in sorted({*WIRE_FAULTS, *SHAPES})
        for host in (*HOSTS, DLT)
        if host.costs == 1 or fault in ("cut_body_rate", "duplicate_rate", "single_hit_object")
    ],
)
def test_each_fault_of_the_model_surely_happens_and_loses_nothing(
    host: Host, fault: str, account: None, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    host.without_signals(monkeypatch)
    value = 0.3 if fault in WIRE_FAULTS else VALUES.get(fault, True)
    zone, sandbox, start = "Europe/Berlin", Account.sandbox, datetime(2024, 5, 1)
    rows = make_sessions(160, seed=3, start=start, end=start + timedelta(days=2))
    for number, row in enumerate(rows):
        row["hits"] = row["hits"][: number % 3]
        if number % 8 == 0:  # on the border of a window that ends there
            row["date_time"] = (start + timedelta(hours=number % 5)).strftime(FORMAT)
    sandbox.hold(rows, timezone=zone, faults=Faults(**{fault: value}))
    config = {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": start.isoformat(),
        "end_date": (start + timedelta(days=2)).isoformat(),
        "page_size": 12,
        "max_retries": 40,
        "request_timeout": 20,
    }
    out = io.StringIO()
    with patch.object(sys, "stdout", out):
        host.sync(config, None)
    lines = [line for line in out.getvalue().split("\n") if line]
    records = [value for kind, value in host.heard(lines) if kind == "RECORD"]
    want = {row["id"]: as_emitted(row, zone) for row in rows}
    lost = want.keys() - {record["id"] for record in records}
    tally("Model", f"{fault} ({host.name})", injected=sandbox.injected[fault], lost=len(lost))
    assert {record["id"]: record for record in records} == want
    assert len(records) == len(want)
