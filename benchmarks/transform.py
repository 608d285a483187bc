"""The dbt package over a million sessions: a full build, and the increment of the day after.

The table is made as the loaders leave it, of sessions that are made once and copied under other
ids. The increment finds the last day's sessions new, and those of the day before loaded again, as
the tap's look-back has it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from benchmarks.harness import (
    ROOT,
    Figure,
    Goal,
    Run,
    interleaved,
    middle,
    pipeline,
    say,
    version,
)
from benchmarks.stores import postgres
from sandbox import make_sessions
from tap_visitor_sessions.config.schema import stream_schema

BIN = ROOT / ".venv-transform/bin"
ONCE, DAYS = 10_000, 100
"""Sessions that are made, and the span of all."""
LAST = datetime(2024, 5, 31)
STAMP = "_sdc_batched_at"
APART = 10_000_000
"""Between the ids of two copies."""
EXECUTE = (
    "import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute(sys.stdin.read()).fetchall())"
)
MEMORY = {"settings": {"memory_limit": "4GB"}}
AFFECTED, SESSIONS = "int_visitor_sessions__affected_sessions", "visitor_sessions__sessions"
FULL, INCREMENT, NOTHING = "full build", "increment of a day", "nothing new"


class Base(ABC):
    """A database: its words for the table."""

    name: str
    stamped: bool

    @abstractmethod
    def execute(self, *statements: str) -> None:
        """Run statements."""

    @abstractmethod
    def rows(self, table: str) -> int:
        """How many a mart has."""

    @abstractmethod
    def target(self) -> dict[str, Any]:
        """Of dbt's profile."""

    @abstractmethod
    def load(self, file: Path) -> None:
        """The table `once`, from a file of a JSON object a line."""

    @abstractmethod
    def copied(self, column: str, kind: str) -> str:
        """A column of the n-th copy."""

    def fill(self, copies: int) -> None:
        """The table of sessions without the last day."""
        columns = ", ".join(f"{self.copied(c, k)} AS {c}" for c, k in kinds().items())
        stamp = f", CAST('2024-06-01' AS timestamp) AS {STAMP}" if self.stamped else ""
        every = f"SELECT {columns}{stamp} FROM once CROSS JOIN generate_series(1, {copies}) AS g(n)"
        day = f"CAST('{LAST - timedelta(days=1)}' AS timestamp)"
        self.execute(
            f"CREATE TABLE whole AS {every}",
            "CREATE SCHEMA IF NOT EXISTS loaded",
            f"CREATE TABLE loaded.visitor_sessions AS SELECT * FROM whole WHERE date_time < {day}",
            f"CREATE TABLE last_day AS SELECT * FROM whole WHERE date_time >= {day}",
            "DROP TABLE whole",
        )

    def another_day(self) -> None:
        """The last day comes, and the one before it again."""
        stamp = f"CAST('2024-06-02' AS timestamp) AS {STAMP}"
        columns = f"{', '.join(kinds())}, {stamp}" if self.stamped else ", ".join(kinds())
        self.execute(f"INSERT INTO loaded.visitor_sessions SELECT {columns} FROM last_day")
        if self.stamped:
            self.execute(
                f"UPDATE loaded.visitor_sessions SET {STAMP} = CAST('2024-06-02' AS timestamp) "
                f"WHERE date_time >= CAST('{LAST - timedelta(days=2)}' AS timestamp)"
            )

    def day_before(self) -> None:
        """The last day goes again."""
        day = LAST - timedelta(days=1)
        self.execute(
            f"DELETE FROM loaded.visitor_sessions WHERE date_time >= CAST('{day}' AS timestamp)"
        )


class Postgres(Base):
    """As target-postgres leaves it."""

    name, stamped = "PostgreSQL", True

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("VACUUM ANALYZE")

    def rows(self, table: str) -> int:
        with psycopg.connect(self._uri) as connection:
            found = connection.execute(f"SELECT count(*) FROM marts.{table}".encode()).fetchone()
        return int(found[0]) if found else 0

    def target(self) -> dict[str, Any]:
        parts = urlsplit(self._uri)
        place = {"host": parse_qs(parts.query)["host"][0], "port": 5432, "dbname": "postgres"}
        user = {"user": parts.username, "password": "none"}
        return {"type": "postgres", **place, **user, "schema": "marts", "threads": 2}

    def load(self, file: Path) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute("CREATE TABLE once (doc jsonb)")
            with connection.cursor().copy("COPY once FROM STDIN") as copy:
                for line in file.read_text(encoding="utf-8").splitlines():
                    copy.write_row([line])

    def copied(self, column: str, kind: str) -> str:
        if kind == "json":
            text = f"doc ->> '{column}'"
            if column == "communications":
                text = f"replace({text}, '\"communication_id\": ', '\"communication_id\": ' || n)"
            return f"({text})::jsonb"
        apart = f" + n * {APART}" if column in IDS else ""
        return f"(doc ->> '{column}')::{kind}{apart}"


class DuckDb(Base):
    """As target-duckdb leaves it, which does not say when it loaded a row."""

    name, stamped = "DuckDB", False

    def __init__(self, path: Path) -> None:
        self._path = path

    def execute(self, *statements: str) -> None:
        self._answer(*statements)

    def rows(self, table: str) -> int:
        return int(self._answer(f"SELECT count(*) FROM marts.{table}").strip("[(,)]\n"))

    def _answer(self, *statements: str) -> str:
        command = [str(BIN / "python"), "-c", EXECUTE, str(self._path)]
        text = ";\n".join(statements)
        done = subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.PIPE)
        return done.stdout

    def target(self) -> dict[str, Any]:
        return {
            "type": "duckdb",
            "path": str(self._path),
            "schema": "marts",
            "threads": 1,
            **MEMORY,
        }

    def load(self, file: Path) -> None:
        columns = ", ".join(f"{c}: '{k}'" for c, k in kinds().items())
        self.execute(
            "SET preserve_insertion_order = false",
            f"CREATE TABLE once AS SELECT * FROM read_json('{file}', columns = {{{columns}}})",
        )

    def copied(self, column: str, kind: str) -> str:
        if column == "communications":
            name = '"communication_id":'
            return f"CAST(replace(CAST({column} AS varchar), '{name}', '{name}' || n) AS json)"
        return f"{column} + n * {APART}" if column in IDS else column


IDS = ("id", "visitor_id", "person_id")


def kinds() -> dict[str, str]:
    """Columns and their types."""
    found = {}
    for name, schema in stream_schema()["properties"].items():
        types = {schema["type"]} if isinstance(schema["type"], str) else {*schema["type"]}
        kind = {"integer": "bigint", "array": "json", "object": "json"}
        found[name] = next((kind[t] for t in sorted(types) if t in kind), "varchar")
    return found | {"date_time": "timestamp"}


def project(folder: Path, base: Base) -> None:
    """A dbt project that has the package of this checkout."""
    folder.mkdir()
    written = {
        "packages.yml": {"packages": [{"local": str(ROOT / "transform")}]},
        "dbt_project.yml": {
            "name": "bench",
            "profile": "bench",
            "flags": {"send_anonymous_usage_stats": False},
            "vars": {"visitor_sessions_schema": "loaded", "visitor_sessions_lookback_days": 1},
        },
        "profiles.yml": {"bench": {"target": "dev", "outputs": {"dev": base.target()}}},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content))  # JSON is YAML
    dbt(folder, "deps")


@dataclass
class Build(Run):
    """One of dbt; `own_seconds` without the start of Python and the reading of the project.
    `share` of all sessions are of affected persons, which an increment makes anew."""

    own_seconds: float = 0.0
    share: float = 0.0


def dbt(folder: Path, *command: str) -> Build:
    """One command."""
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    run = pipeline([str(BIN / "dbt"), "--quiet", *command, *where])[-1]
    results = folder / "target" / "run_results.json"
    took = json.loads(results.read_text())["elapsed_time"] if results.exists() else 0.0
    return Build(**asdict(run), own_seconds=took)


def rows_of(count: int, file: Path) -> None:
    """Sessions, a JSON object a line; their wall clock is taken for UTC."""
    start = LAST - timedelta(days=DAYS)
    rows = make_sessions(count, start=start, end=LAST)
    lines = (json.dumps({name: row.get(name) for name in kinds()}) for row in rows)
    file.write_text("\n".join(lines), encoding="utf-8")


def steps(folder: Path, base: Base, rounds: int) -> list[dict[str, Run]]:
    """Each round builds all, and the day after."""

    def full() -> Run:
        base.day_before()
        return dbt(folder, "run", "--full-refresh")

    def increment() -> Run:
        base.another_day()
        run = dbt(folder, "run")
        run.share = base.rows(AFFECTED) / base.rows(SESSIONS)
        return run

    return interleaved(
        rounds,
        {
            f"{base.name}: {FULL}": full,
            f"{base.name}: {INCREMENT}": increment,
            f"{base.name}: {NOTHING}": partial(dbt, folder, "run"),
        },
    )


def main(options: argparse.Namespace) -> None:
    """Measure."""
    copies = max(options.sessions // ONCE, 1)
    rounds: list[dict[str, Run]] = [{} for _ in range(options.rounds)]
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder, file = Path(name), Path(name) / "once.json"
        rows_of(ONCE, file)
        both: Sequence[Base] = (DuckDb(folder / "sessions.duckdb"), Postgres(server.place))
        bases = [base for base in both if options.only.lower() in base.name.lower()]
        for base in bases:
            say(f"{base.name}: {copies * ONCE} sessions")
            base.load(file)
            base.fill(copies)
            project(folder / base.name, base)
            for kept, done in zip(
                rounds, steps(folder / base.name, base, options.rounds), strict=True
            ):
                kept |= done
    values = ("seconds", "own_seconds", "cpu_seconds", "share")
    rows: list[list[Any]] = [
        [name, *(middle(rounds, name, value) for value in values)] for name in rounds[0]
    ]
    took = {row[0]: row[2] for row in rows}
    goals = [
        Goal(
            f"{base.name}: the increment's share of the full build",
            took[f"{base.name}: {INCREMENT}"] / took[f"{base.name}: {FULL}"],
            most=0.1,
        )
        for base in bases
    ]
    if f"DuckDB: {FULL}" in took:
        goals.append(Goal("DuckDB: seconds of the full build", took[f"DuckDB: {FULL}"], most=60))
    settings = {
        "sessions": copies * ONCE,
        "rounds": options.rounds,
        "versions": "; ".join(
            version(BIN / "python", n) for n in ("dbt-core", "dbt-duckdb", "duckdb", "dbt-postgres")
        ),
    }
    Figure(
        "transform",
        ["what", "s", "s of dbt's run", "CPU s", "sessions made anew"],
        rows,
        goals,
        settings,
        rounds,
    ).show(keep=not options.only)
