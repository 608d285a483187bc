"""ACTIVATE_VERSION, by which a loader drops rows: after any sequence of runs no bookmark stands for
rows that it was told to drop, and none of a customer that could not be read is dropped.

A world: an agency whose customers are locked, go, come back, get another user and fail; runs of any
kind, each with other settings, each of which may be cut short.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agencies import FIRST, config_of
from conftest import MakeSandbox, examples
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from oracle import FORMAT, first_instant
from support import ZONE, Run, run_tap

from sandbox import Sandbox, make_sessions

FULL = {
    "streams": [
        {
            "tap_stream_id": "visitor_sessions",
            "replication_method": "FULL_TABLE",
            "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
        }
    ]
}
CUSTOMERS = (1, 2, 3)
USERS = {customer: [customer * 10, customer * 10 + 1] for customer in CUSTOMERS}
CLOSED = ("debt_lock", "archived")
REFUSED = ("ip_not_whitelisted", "forbidden")
DAY, DAYS = datetime(2024, 5, 1), 8
AT_THE_VERSION = -1.0
ROWS = {
    customer: [
        {**row, "hits": [], "communications": []}
        for row in make_sessions(
            12, seed=customer, first_id=customer * FIRST, start=DAY, end=DAY + timedelta(days=DAYS)
        )
    ]
    for customer in CUSTOMERS
}
EXAMPLES = int(os.environ.get("VERSIONS_EXAMPLES", examples(20)))


@dataclass
class Step:
    """A run, and the world that it meets.

    Attributes:
        is_full: Whether all is read afresh, and the version announced.
        away: What has become of a customer; of the others nothing.
        excluded: Customers that settings leave out.
        named: Users that `user_ids` names; None: it is not set.
        gone: Customers whose first user is gone.
        first: The day of start_date, and
        last: that of end_date.
        cut: How much of the output arrives; 1: all; AT_THE_VERSION: up to ACTIVATE_VERSION.
    """

    is_full: bool
    away: dict[int, str]
    excluded: set[int]
    named: list[int] | None
    gone: set[int]
    first: int
    last: int
    cut: float


steps = st.builds(
    Step,
    is_full=st.booleans(),
    away=st.dictionaries(
        st.sampled_from(CUSTOMERS),
        st.sampled_from([*CLOSED, *REFUSED, "not listed"]),
        max_size=2,
    ),
    excluded=st.sets(st.sampled_from(CUSTOMERS), max_size=2),
    named=st.none()
    | st.lists(
        st.sampled_from([user for users in USERS.values() for user in users]),
        min_size=1,
        max_size=3,
    ),
    gone=st.sets(st.sampled_from(CUSTOMERS), max_size=1),
    first=st.integers(0, 3),
    last=st.integers(3, DAYS),
    cut=st.sampled_from([1.0, 1.0, 0.3, 0.6, 0.9, AT_THE_VERSION, AT_THE_VERSION]),
)
SOUND = Step(False, {}, set(), None, set(), 0, DAYS, 1.0)


@dataclass
class World:
    """The API, the loader's table, and the last STATE that the loader has seen.

    Attributes:
        rows: By customer and id: the run whose version a row came with last; None: with none.
    """

    sandbox: Sandbox
    directory: Path
    rows: dict[tuple[int, int], int | None] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    runs: int = 0
    dropped: int = 0

    def run(self, step: Step) -> Run:
        sandbox = self.sandbox
        here = {c: users[c in step.gone :] for c, users in USERS.items()}
        sandbox.partner = {c: u for c, u in here.items() if step.away.get(c) != "not listed"}
        sandbox.statuses = {c: how for c, how in step.away.items() if how in CLOSED}
        sandbox.refusals = {c: how for c, how in step.away.items() if how in REFUSED}
        more: dict[str, Any] = {
            "start_date": str((DAY + timedelta(days=step.first)).date()),
            "end_date": str((DAY + timedelta(days=step.last)).date()),
            "exclude_customer_ids": sorted(step.excluded),
            "user_ids": step.named,
        }
        config = config_of(sandbox, lookback_window="PT0S", max_retries=0, **more)
        config["emit_activate_version_messages"] = True
        catalog = FULL if step.is_full else None
        run = run_tap(config, state=self.state, catalog=catalog, directory=self.directory)
        before = {*self.rows}
        self.load(run.messages, step.cut)
        named = {*CUSTOMERS} if step.named is None else {user // 10 for user in step.named}
        unread = (named - step.excluded) & step.away.keys()
        assert not {one for one in before - self.rows.keys() if one[0] in unread}, step
        return run

    def load(self, messages: list[dict[str, Any]], cut: float) -> None:
        self.runs += 1  # two within a second announce the same version
        kinds = [message["type"] for message in messages]
        end = round(len(messages) * cut)
        if cut == AT_THE_VERSION:
            has_one = "ACTIVATE_VERSION" in kinds
            end = kinds.index("ACTIVATE_VERSION") + 1 if has_one else len(kinds)
        for message in messages[:end]:
            if message["type"] == "RECORD":
                record = message["record"]
                version = self.runs if message.get("version") else None
                self.rows[record["customer_id"], record["id"]] = version
            elif message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "ACTIVATE_VERSION":
                kept = {k: v for k, v in self.rows.items() if v == self.runs}
                self.dropped += len(self.rows) - len(kept)
                self.rows = kept

    def check(self) -> None:
        """Each row for which the state stands is in the table."""
        progress = (self.state or {}).get("bookmarks", {}).get("visitor_sessions", {})
        for partition in progress.get("partitions", []):
            customer = partition["customer_id"]
            spans = [tuple(map(datetime.fromisoformat, span)) for span in partition.get("read", [])]
            for row in ROWS[customer]:
                at = first_instant(datetime.strptime(row["date_time"], FORMAT), ZONE)
                if any(start <= at < end for start, end in spans):
                    assert (customer, row["id"]) in self.rows, (customer, row["date_time"], spans)


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_after_any_sequence_of_runs_no_bookmark_stands_for_rows_that_were_dropped(
    make_sandbox: MakeSandbox, quiet: None, tmp_path: Path
) -> None:
    rows = {user: ROWS[customer] for customer, users in USERS.items() for user in users}
    sandbox = make_sandbox(sessions=0, partner=USERS, rows_by_user=rows)
    dropped = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    @given(st.lists(steps, min_size=2, max_size=4))
    @example([SOUND, replace(SOUND, is_full=True, away={2: "debt_lock"})])
    @example([SOUND, replace(SOUND, is_full=True, away={2: "not listed"}, excluded={3})])
    @example([SOUND, replace(SOUND, is_full=True, excluded={2}, cut=AT_THE_VERSION)])
    @example([SOUND, replace(SOUND, is_full=True, named=[11], first=3, cut=AT_THE_VERSION)])
    def check(sequence: list[Step]) -> None:
        nonlocal dropped
        world = World(sandbox, tmp_path)
        for step in sequence:
            world.run(step)
            world.check()
        last = world.run(SOUND)
        assert last.code == 0, last.stderr
        every = {(customer, row["id"]) for customer in CUSTOMERS for row in ROWS[customer]}
        assert world.rows.keys() >= every, every - world.rows.keys()
        dropped += world.dropped

    check()
    assert dropped
