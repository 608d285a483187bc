"""Other vars, columns that lack or are hashed, tables that are empty or of before, and what is said
of them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from comparing import check_marts
from lanes import ANSWERS, Dlt, Lane
from reckoning import Account, Reckoning, Rules
from suite import VARS, MakeLane, MakeProject
from support import ROOT

LANE = "dlt-duckdb"
POSTGRES = "dlt-postgres"
KEY = "a key of sixteen or more"
Row = dict[str, Any]


def zoned(lane: Lane) -> dict[str, Any]:
    """The var that tells each account's zone."""
    columns = "account varchar(9), customer_id bigint, timezone varchar(99)"
    lines = ", ".join(
        f"(nullif('{one.account or ''}', ''), {one.customer_id or 'NULL'}, '{one.zone}')"
        for one in lane.feed.held
    )
    lane.database.execute(f"CREATE TABLE {lane.schema}.zones ({columns})")
    lane.database.execute(f"INSERT INTO {lane.schema}.zones VALUES {lines}")
    return {"zones_relation": f"{lane.schema}.zones"}


def test_every_rule_is_a_var(make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(LANE)
    lane.load()
    changed = {
        "window_days": 7,
        "half_life_days": 2,
        "identity": "visitor",
        "conversion_types": ["call", "chat"],
        "direct_channels": ["direct", "email"],
        "ignored_channels": [],
        "bounce_max_pages": 2,
        "bounce_max_seconds": 60,
    }
    project = make_project(lane, **zoned(lane), **changed)
    project.build()
    rules = Rules(**{k: tuple(v) if isinstance(v, list) else v for k, v in changed.items()})
    check_marts(project, Reckoning(lane.feed.accounts(), rules))

    said = project.run("build", window_days=8)
    assert said.returncode, "tables built under other rules are added to"
    assert "--full-refresh" in said.stdout
    project.build("--full-refresh", window_days=8)


@pytest.mark.parametrize("name", [LANE, "meltano-postgres"])
def test_its_own_tests(name: str, make_lane: MakeLane, make_project: MakeProject) -> None:
    """Unit tests of each rule, and those of columns."""
    lane = make_lane(name, wanderers=20)
    lane.load()
    project = make_project(lane, itself=True, **zoned(lane))
    said = project.build(unit_tests=True)
    assert "unit_test" in said.replace(" ", "_"), said[-3000:]
    said = project.run("source", "freshness").stdout
    assert "Traceback" not in said


def without(*names: str) -> Callable[[Row], Row]:
    """Rows as a table without these columns tells them."""
    empty = {"hits": [], "communications": []}
    return lambda row: row | {name: empty.get(name) for name in names}


def hashed(row: Row) -> Row:
    """Who it was, and the communication, as hashes."""

    def digest(value: Any) -> str | None:
        made = hmac.new(KEY.encode(), str(value).encode(), "sha256").hexdigest()
        return None if value is None else made

    told = [
        item | {"communication_id": digest(item["communication_id"])}
        for item in row["communications"]
    ]
    return row | {
        "visitor_id": digest(row["visitor_id"]),
        "person_id": digest(row["person_id"]),
        "communications": told,
    }


PEOPLE = ("person_id", "visitor_id")
LACKING = {
    "no person and no hits": (
        {"exclude_columns": "person_id,hits,entrance_page"},
        without("person_id", "hits", "entrance_page"),
    ),
    "nobody": ({"exclude_columns": ",".join(PEOPLE)}, without(*PEOPLE)),
    "no channel, no campaign": (
        {"exclude_columns": "channel,campaign_id,campaign_name,integrated_campaign_data,gclid"},
        without("channel", "campaign_id", "campaign_name", "integrated_campaign_data", "gclid"),
    ),
    "no communications": ({"exclude_columns": "communications"}, without("communications")),
    "hashes": (
        {"hash_columns": "visitor_id,person_id,communications.communication_id", "hash_key": KEY},
        hashed,
    ),
}


@pytest.mark.parametrize("what", LACKING)
@pytest.mark.parametrize("name", ["meltano-duckdb", "meltano-postgres"])
def test_a_column_that_is_left_out_or_hashed_breaks_nothing(
    name: str, what: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    settings, told = LACKING[what]
    lane = make_lane(name, wanderers=50)
    for config in lane.feed.configs:
        config |= settings
    lane.load()
    project = make_project(lane, **zoned(lane))
    project.build()
    accounts = [
        Account([told(row) for row in one.rows], one.zone, one.account, one.customer_id)
        for one in lane.feed.accounts()
    ]
    check_marts(project, Reckoning(accounts, Rules()))


def test_channels_and_clicks_that_are_hashes(
    make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(LANE, wanderers=20)
    lane.load()
    columns = ("channel", "gclid", "yclid", "ym_client_id")
    hashes = ", ".join(f"{name} = sha256({name})" for name in columns)
    lane.database.execute(f"UPDATE {lane.table} SET {hashes}")
    project = make_project(lane, **zoned(lane))
    project.build()
    said = {row["check_name"]: row["rows_found"] for row in project.mart("quality")}
    told = [row for row in project.mart("sessions") if row["channel"] != "(unknown)"]
    assert said["channels_that_are_hashes"] == len(told) > 0
    for name in ("google", "yandex"):
        assert not project.mart(f"offline_conversions_{name}"), name


@pytest.mark.parametrize("name", [LANE, POSTGRES])
def test_a_table_without_a_session(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name, wanderers=5)
    lane.load()
    rows = [(held, held.rows) for held in lane.feed.held]
    lane.database.execute(f"DELETE FROM {lane.table}")
    for held in lane.feed.held:
        held.hold([])
        held.gone.clear()
    project = make_project(lane, **zoned(lane))
    for options in ([], [], ["--full-refresh"]):
        project.build(*options)
        check_marts(project, Reckoning(lane.feed.accounts(), Rules()))
    for held, back in rows:
        held.hold(back)
    lane.load()
    project.build()


def test_no_table_at_all(make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(LANE, wanderers=5)
    lane.load()
    said = make_project(lane, schema="elsewhere").run("build")
    assert said.returncode
    assert "visitor_sessions_schema" in said.stdout


def test_a_loader_that_appends(make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(LANE, wanderers=50)
    assert isinstance(lane, Dlt)
    lane.select = ["*", "read_at"]  # which row is the latest
    lane.more = {"write_disposition": "append"}
    lane.load()
    project = make_project(lane, **zoned(lane), appended=True, **VARS[LANE])
    project.build()
    for held in lane.feed.held:
        held.hold(held.later)
    lane.load()
    [counted] = lane.database.query(f"SELECT count(*) AS n FROM {lane.table}")
    accounts = lane.feed.accounts()
    assert counted["n"] > sum(len(one.rows) for one in accounts)
    project.build()
    check_marts(project, Reckoning(accounts, Rules()))


@pytest.mark.parametrize("name", [LANE, POSTGRES])
def test_tables_of_a_former_version_name_what_they_need(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name, wanderers=20)
    lane.load()
    project = make_project(lane, **zoned(lane))
    project.build()
    formers = [
        "UPDATE {} SET rules = 'of before'",
        "ALTER TABLE {} DROP COLUMN rules",
        "ALTER TABLE {} DROP COLUMN city",
    ]
    for former in formers:
        sessions = f"{ANSWERS}.visitor_sessions__sessions"
        lane.database.execute(former.format(sessions))
        said = project.run("build")
        assert said.returncode, former
        assert "--full-refresh" in said.stdout, former
        project.build("--full-refresh")
        check_marts(project, Reckoning(lane.feed.accounts(), Rules()))


@pytest.mark.parametrize("name", [LANE, POSTGRES])
def test_tables_that_are_not_of_one_full_build_are_not_added_to(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    """Else what changed between two full builds is missing or stays, in silence."""
    lane = make_lane(name, wanderers=20)
    lane.load()
    project = make_project(lane, **zoned(lane))
    project.dbt("run", "--select", "+visitor_sessions__daily_channels")
    project.dbt("run")  # what was lacking
    builds = f"{ANSWERS}.int_visitor_sessions__builds"
    values = f"{lane.schema}.values_of_crm"
    told = f"SELECT communication_id, 'abc' AS value FROM {ANSWERS}.visitor_sessions__conversions"
    lane.database.execute(f"CREATE TABLE {values} AS {told}")

    def refused(*options: str) -> None:
        said = project.run("run", *options)
        assert said.returncode, options
        assert "package:visitor_sessions --full-refresh" in said.stdout, said.stdout

    attribution = ("--select", "visitor_sessions__attribution")
    project.dbt("run", "--full-refresh", "--select", "visitor_sessions__sessions")
    refused()
    refused(*attribution)
    same = f"SELECT max(rules) FROM {ANSWERS}.visitor_sessions__sessions"
    lane.database.execute(f"UPDATE {builds} SET build_id = 'one', rules = ({same})")
    project.dbt("run", "--full-refresh", *attribution, half_life_days=1)
    refused()
    said = project.run("run", "--full-refresh", values_relation=values)
    assert said.returncode, "half-way: no number"
    refused()
    project.build("--full-refresh")
    check_marts(project, Reckoning(lane.feed.accounts(), Rules()))

    lane.database.execute(f"DROP TABLE {builds}")  # as a version that had none left it
    said = project.run("run", "--full-refresh", "--select", "visitor_sessions__sessions")
    assert said.returncode
    assert "package:visitor_sessions" in said.stdout
    project.dbt("run")
    # Persons that are gone would stay in the other tables.
    lane.database.execute(f"DROP TABLE {ANSWERS}.visitor_sessions__sessions CASCADE")
    refused()


def test_channel_groups_of_ones_own(make_lane: MakeLane, make_project: MakeProject) -> None:
    """As the page says."""
    page = (ROOT / "docs" / "transform.md").read_text(encoding="utf-8")
    [macro] = re.findall(r"```sql\n(\{% macro .*?)```", page, re.DOTALL)
    [order] = re.findall(r"```yaml\n(dispatch:.*?)```", page, re.DOTALL)
    lane = make_lane(LANE, wanderers=20)
    lane.load()
    project = make_project(lane)
    (project.folder / "macros").mkdir()
    (project.folder / "macros" / "groups.sql").write_text(macro)
    settings = project.folder / "dbt_project.yml"
    settings.write_text(settings.read_text() + order.replace("shop", "own"))
    project.dbt("run")
    found = {row["channel"]: row["channel_group"] for row in project.mart("sessions")}
    assert (found["paid"], found["organic"], found["email"]) == ("ads", "search", "rest")


def test_marts_that_are_left_out(make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(LANE, wanderers=20)
    lane.load()
    out = ["pages", "visitor_sessions__daily_campaigns", "paths", "path_summary"]
    project = make_project(lane, **zoned(lane), leave_out=out)
    project.build()
    project.build()
    built = set(project.marts())
    assert {"sessions", "conversions", "attribution"} <= built
    assert not built & {"pages", "daily_campaigns", "paths", "path_summary"}


@pytest.mark.parametrize("name", [LANE, POSTGRES])
def test_a_mart_that_is_wanted_again_is_built_anew(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    """What changed while it was left out is not in it."""
    lane = make_lane(name, wanderers=50)
    lane.load()
    project = make_project(lane, **zoned(lane), **VARS.get(name, {}))
    project.build()
    out = {"leave_out": ["pages", "paths"]}
    said = project.run("build", **out)
    assert said.returncode
    assert "--full-refresh" in said.stdout
    project.build("--full-refresh", **out)
    for held in lane.feed.held:
        held.hold(held.later)
    lane.load()
    project.build(**out)
    said = project.run("build")
    assert said.returncode, "pages of before"
    assert "--full-refresh" in said.stdout
    project.build("--full-refresh")
    check_marts(project, Reckoning(lane.feed.accounts(), Rules()))


def test_vars_that_are_lists(make_lane: MakeLane, make_project: MakeProject) -> None:
    """One text is a list of one, null the default, and a mart that there is not is named."""
    lane = make_lane(LANE, wanderers=20)
    lane.load()
    given = {"conversion_types": "call", "half_life_days": "7", "appended": "false"}
    unset = dict.fromkeys(("window_days", "ignored_channels", "timezone", "identity", "loader"))
    project = make_project(lane, **zoned(lane), **given, **unset)
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), Rules(conversion_types=("call",))))
    said = project.run("build", leave_out=["pagez"])
    assert said.returncode
    assert "pagez" in said.stdout


def test_a_var_that_makes_no_sense_is_named(make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(LANE, wanderers=5)
    lane.load()
    project = make_project(lane)
    senseless = {
        "half_life_days": 0,
        "window_days": -1,
        "lookback_days": "3 days",
        "conversion_types": ["call", "Chat"],
        "direct_channels": [1],
        "appended": "yes",
        "timezone": "UTC+3",
        "windowdays": 7,
    }
    for name, value in senseless.items():
        said = project.run("compile", "--select", "stg_visitor_sessions__sessions", **{name: value})
        assert said.returncode, name
        assert f"visitor_sessions_{name} is " in said.stdout, said.stdout


def test_a_loader_may_drop_a_table_that_no_view_reads(
    make_lane: MakeLane, make_project: MakeProject
) -> None:
    """As the page says."""
    page = (ROOT / "docs" / "transform.md").read_text(encoding="utf-8")
    [setting] = re.findall(r"```yaml\n# dbt_project.yml\n(models:.*?)```", page, re.DOTALL)
    [views] = re.findall(r"`(DROP VIEW .*?)`", page, re.DOTALL)
    lane = make_lane(POSTGRES, wanderers=20)
    lane.load()
    project = make_project(lane, **zoned(lane))
    project.dbt("run")
    execute = lane.database.execute
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        execute(f"DROP TABLE {lane.table}")
    execute(f"SET search_path TO {ANSWERS}; {views}")
    execute(f"ALTER TABLE {lane.table} ALTER COLUMN duration TYPE numeric")
    project.dbt("run")
    settings = project.folder / "dbt_project.yml"
    settings.write_text(settings.read_text() + setting)
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), Rules()))
    execute(f"DROP TABLE {lane.table}")


def test_credits_add_up_and_sessions_are_conserved(
    make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(LANE)
    lane.load()
    project = make_project(lane, **zoned(lane))
    project.build()
    ask = project.database.query
    [sums] = ask(
        "SELECT max(abs(total - 1)) AS off, count(*) AS n FROM (SELECT sum(credit) AS total "
        f"FROM {ANSWERS}.visitor_sessions__attribution GROUP BY conversion_key, model) AS t"
    )
    [counted] = ask(f"SELECT count(*) AS n FROM {ANSWERS}.visitor_sessions__conversions")
    assert sums["off"] < 1e-9
    assert sums["n"] == 6 * counted["n"] > 0
    [held] = ask(f"SELECT count(*) AS n FROM {lane.table}")
    for mart, column in (
        ("sessions", "1"),
        ("daily_channels", "sessions"),
        ("persons", "sessions"),
    ):
        [found] = ask(f"SELECT sum({column}) AS n FROM {ANSWERS}.visitor_sessions__{mart}")
        assert found["n"] == held["n"], mart
