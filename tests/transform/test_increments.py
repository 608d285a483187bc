"""Increments over random histories: after each step every mart is what the API's rows make, and in
the end what a full refresh makes of the table, by EXCEPT both ways."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml
from comparing import check_marts
from feeds import CHANGES_FROM, Held
from handed_in import hand_in
from project import Project
from reckoning import FORMAT, Reckoning
from suite import VARS, MakeLane, MakeProject

SEARCH = os.environ.get("TESTS_SEARCH", "")
HISTORIES, STEPS = (5, 8) if SEARCH == "long" else (1, 4)
Row = dict[str, Any]


@pytest.mark.parametrize("name", ["meltano-postgres", "meltano-duckdb", "dlt-duckdb"])
@pytest.mark.parametrize("seed", range(HISTORIES))
def test_increments_come_to_what_a_full_refresh_does(
    name: str, seed: int, make_lane: MakeLane, make_project: MakeProject
) -> None:
    source = random.Random(seed)
    lane = make_lane(name, wanderers=60, seed=seed)
    lane.load()
    handed, rules = hand_in(lane)
    project = make_project(lane, **handed, **VARS.get(name, {}))
    project.dbt("run")
    for step in range(STEPS):
        for held in lane.feed.held:
            held.hold(list(changed(held, source)))
        lane.load()
        if source.random() < 0.5:
            lane.forget()
        if source.random() < 0.5:
            handed, rules = hand_in(lane, shift=step + 1)
        if source.random() < 0.3:
            half_a_build(project, source)
        project.dbt("run")
        check_marts(project, Reckoning(lane.feed.accounts(), rules))
    project.dbt("run", "--target", "anew", "--full-refresh")
    for mart in project.marts():
        assert not project.differences(mart), mart


NEW_CALL = '[{"communication_type": "call", "communication_id": 987654321}]'


def test_what_a_load_brings_while_a_build_reads_is_taken_in_by_the_next(
    make_lane: MakeLane, make_project: MakeProject
) -> None:
    """The communications have been read, the sessions not yet: the load lies in between."""
    lane = make_lane("meltano-postgres", wanderers=60, kind="one")
    lane.load()
    table = f"{lane.schema}.visitor_sessions"
    [one] = lane.database.query(f"SELECT min(id) AS id FROM {table}")
    again = "_sdc_batched_at = _sdc_batched_at + interval '1 hour'"
    load = (
        f"UPDATE {table} SET communications = '{NEW_CALL}', {again} WHERE id = {one['id']}",
        f"INSERT INTO {table} SELECT (jsonb_populate_record(s, "
        f"""'{{"id": 987654321, "communications": {NEW_CALL}}}')).* """
        f"FROM {table} AS s WHERE id = {one['id']}",
    )
    project = make_project(lane)
    file = project.folder / "dbt_project.yml"
    before = yaml.safe_load(file.read_text())
    hooks = {"marts": {"visitor_sessions__sessions": {"+pre-hook": [*load]}}}
    file.write_text(yaml.safe_dump({**before, "models": {"visitor_sessions": hooks}}))
    project.dbt("run")
    file.write_text(yaml.safe_dump(before))
    project.dbt("run")
    project.dbt("run", "--target", "anew", "--full-refresh")
    for mart in project.marts():
        assert not project.differences(mart), mart


def half_a_build(project: Project, source: random.Random) -> None:
    """One that makes but some of the models: whose rows those left out lack is not forgotten."""
    left_out = source.choice(["sessions", "conversions", "attribution", "persons", "pages"])
    project.dbt("run", "--exclude", f"visitor_sessions__{left_out}+")


def changed(held: Held, source: random.Random) -> list[Row]:
    """What the API has after a while: a few of the sessions within its reach are other ones."""
    rows = held.rows
    young = [row for row in rows if row["date_time"] >= CHANGES_FROM]
    source.shuffle(young)
    for row in young[:8]:
        source.choice(CHANGES)(row, young, source)
    gone = {row["id"] for row in young[6:9]}
    late = [
        as_another(row, number, rows, source) for number, row in enumerate(source.sample(young, 2))
    ]
    return [row for row in rows if row["id"] not in gone] + late


def as_another(row: Row, place: int, rows: list[Row], source: random.Random) -> Row:
    """A session of the same visitor that comes late."""
    at = datetime.strptime(row["date_time"], FORMAT) + timedelta(hours=source.choice([-30, 0, 5]))
    id_ = max(one["id"] for one in rows) + 1 + place
    return {**row, "id": id_, "date_time": max(at.strftime(FORMAT), CHANGES_FROM)}


def _channel(row: Row, young: list[Row], source: random.Random) -> None:
    row["channel"] = source.choice(["paid", "direct", "internal", None])


def _person(row: Row, young: list[Row], source: random.Random) -> None:
    """Learnt, forgotten, or another's: whole visitors change hands."""
    row["person_id"] = source.choice([None, source.choice(young)["person_id"], row["id"]])


def _visitor(row: Row, young: list[Row], source: random.Random) -> None:
    row["visitor_id"] = source.choice([None, source.choice(young)["visitor_id"]])


def _moved_call(row: Row, young: list[Row], source: random.Random) -> None:
    """A communication shows up in the session of somebody else too, or has moved there."""
    told = [one for one in young if one["communications"]]
    if told:
        other = source.choice(told)
        row["communications"] = [*row["communications"], other["communications"][0]]
        if source.random() < 0.5:
            other["communications"] = other["communications"][1:]


def _new_call(row: Row, young: list[Row], source: random.Random) -> None:
    row["communications"] = [
        {
            "communication_type": source.choice(["call", "chat", "sms"]),
            "communication_id": source.choice([None, row["id"]]),
            "communication_date_time": source.choice([None, row["date_time"]]),
            "ext_id": "crm-1",
        }
    ]


def _hits(row: Row, young: list[Row], source: random.Random) -> None:
    row["hits"] = row["hits"][: source.randrange(3)]
    row["hits_count"] = source.choice([None, len(row["hits"])])
    row["duration"] = source.choice([None, 1])


CHANGES = (_channel, _person, _visitor, _moved_call, _new_call, _hits)
