"""Relations of a user's own that do not name all: each figure once, or said where unclear."""

from __future__ import annotations

from typing import Any

import pytest
from lanes import Lane
from suite import MakeLane, MakeProject

LANES = ["dlt-duckdb", "dlt-postgres"]


def handed(lane: Lane, name: str, columns: str, *rows: str) -> dict[str, Any]:
    """Make a relation beside the sessions: the var that names it."""
    relation = f"{lane.schema}.{name}"
    lane.database.execute(f"DROP TABLE IF EXISTS {relation}")
    lane.database.execute(f"CREATE TABLE {relation} ({columns})")
    lane.database.execute(f"INSERT INTO {relation} VALUES {', '.join(rows)}")
    return {f"{name}_relation": relation}


@pytest.mark.parametrize("name", LANES)
def test_spend_of_a_campaign_of_two_accounts_counts_once(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name, wanderers=50, kind="two")
    lane.load()
    project = make_project(lane)
    project.build()
    rows = [row for row in project.mart("daily_campaigns") if row["campaign"] != "(none)"]
    owners: dict[str, set[str]] = {}
    for row in rows:
        owners.setdefault(row["campaign"], set()).add(row["account"])
    [shared, *_] = sorted(campaign for campaign, of in owners.items() if len(of) == 2)
    names = {row["campaign_name"] for row in rows if row["campaign"] == shared}
    days = sorted({str(row["date"]) for row in rows if row["campaign"] == shared})

    def spent(*more: str, columns: str = "") -> list[dict[str, Any]]:
        given = [f"('{day}', '{shared}', 100.5{''.join(more)})" for day in [*days, "2031-01-01"]]
        relation = handed(lane, "spend", f"date date, campaign text, spend float8{columns}", *given)
        project.build(**relation)
        found = [row for row in project.mart("daily_campaigns") if row["spend"] is not None]
        assert sum(row["spend"] for row in found) == 100.5 * (len(days) + 1)
        return found

    def quality() -> int:
        [row] = [one for one in project.mart("quality") if one["check_name"].endswith("_accounts")]
        return int(row["rows_found"])

    def odd(*rows: str) -> dict[str, Any]:
        columns = "date timestamp, campaign text, spend float8, currency text, account text"
        project.dbt("run", **handed(lane, "spend", columns, *rows))
        return {row["check_name"]: row["rows_found"] for row in project.mart("quality")}

    found = spent()
    assert {(row["account"], row["sessions"]) for row in found} == {(None, 0)}
    assert quality() == 1

    found = spent(", 'north', NULL", columns=", account text, customer_id bigint")
    assert {row["account"] for row in found} == {"north"}
    assert any(row["cost_per_session"] for row in found)
    assert {row["campaign_name"] for row in found} == names, "also of days without sessions"
    assert quality() == 0

    said = odd(
        f"('{days[0]} 01:00', '{shared}', 100, 'EUR', 'north')",
        f"('{days[0]} 02:00', '{shared}', 10, 'USD', 'north')",
        f"('{days[1]}', '{shared}', 100, 'EUR', 'north')",
        f"('{days[1]}', '{shared}', 10, '', 'north')",
        f"('{days[1]}', '{shared}', NULL, 'USD', 'north')",
        f"('{days[0]}', NULL, 100, 'EUR', 'north'), ('{days[0]}', '', 10, 'EUR', 'north')",
        f"('{days[2]}', '', 10, 'EUR', 'north'), ('{days[2]}', NULL, 10, 'EUR', 'north')",
    )
    rows = [row for row in project.mart("daily_campaigns") if row["currencies"] is not None]
    told = {(str(row["date"]), row["campaign"]): (row["spend"], row["currency"]) for row in rows}
    assert told == {
        (days[0], shared): (None, None),
        (days[1], shared): (110, "EUR"),
        (days[0], "(none)"): (110, "EUR"),
        (days[2], "(none)"): (20, "EUR"),
    }
    assert (said["spend_in_two_currencies"], said["spend_that_repeats"]) == (1, 1)


@pytest.mark.parametrize("name", LANES)
def test_a_value_that_names_little(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name, wanderers=50, kind="two")
    lane.load()
    project = make_project(lane)
    project.build()
    first, second, third, fourth, *_ = sorted(
        {row["communication_id"] for row in project.mart("conversions") if row["communication_id"]}
    )
    of = {
        row["conversion_key"]: row
        for row in project.mart("conversions")
        if row["communication_id"] == first
    }
    specific = next(iter(of.values()))
    columns = (
        "communication_id text, communication_type text, account text, value float8, "
        "currency text, spam boolean"
    )
    values = handed(
        lane,
        "values",
        columns,
        f"('{first}', NULL, NULL, 7, 'EUR', NULL)",
        f"('{first}', '{specific['communication_type']}', '{specific['account']}', 9, 'EUR', NULL)",
        f"('{second}', '', '', 5, 'EUR', NULL), ('{second}', NULL, NULL, 500, 'USD', NULL)",
        f"('{third}', NULL, NULL, 5, 'EUR', NULL), ('{third}', NULL, NULL, 6, 'EUR', NULL)",
        f"('{fourth}', '', '', NULL, '', true), ('{fourth}', NULL, NULL, NULL, NULL, false)",
    )

    def value_of(id_: str) -> set[Any]:
        rows = [row for row in project.mart("conversions") if row["communication_id"] == id_]
        return {row["value"] for row in rows if row["conversion_key"] != specific["conversion_key"]}

    project.build(**values)
    rows = project.mart("conversions")
    assert len({row["conversion_key"] for row in rows}) == len(rows)
    [own] = [row for row in rows if row["conversion_key"] == specific["conversion_key"]]
    assert own["value"] == 9, "the row that names most"
    assert value_of(first) <= {7}
    assert value_of(second) == {None}, "of two currencies"
    assert value_of(third) == {6}
    said = {row["check_name"]: row["rows_found"] for row in project.mart("quality")}
    assert said["values_that_contradict"] == 3
    assert all(row["is_spam"] == (row["communication_id"] == fourth) for row in rows)
    shared = [
        id_
        for id_ in (first, second, third, fourth)
        if len([r for r in rows if r["communication_id"] == id_]) > 1
    ]
    assert said["values_of_many_conversions"] == len(shared)

    project.build()
    assert {row["value"] for row in project.mart("conversions")} == {None}, "no relation any more"


@pytest.mark.parametrize("name", LANES)
def test_a_zone_that_names_no_customer_is_that_of_the_others(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name, wanderers=20, kind="agency")
    lane.load()
    columns = "account text, customer_id bigint, timezone text"
    rows = "(NULL, NULL, 'Asia/Tokyo')", "('', 1, 'Europe/Berlin')"
    project = make_project(lane, **handed(lane, "zones", columns, *rows))
    project.build()
    found = {(row["customer_id"], row["timezone"]) for row in project.mart("sessions")}
    assert found == {(1, "Europe/Berlin"), (2, "Asia/Tokyo")}
    if lane.database.adapter == "postgres":  # the other one knows no such zone
        project.dbt("run", **handed(lane, "zones", columns, "(NULL, NULL, 'UTC+3')"))
        [row] = [one for one in project.mart("quality") if one["check_name"].startswith("zones_")]
        assert row["rows_found"] == 2
