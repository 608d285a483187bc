"""The package over what each way of loading leaves: each mart is what the reckoning makes of the
API's rows, at first, after sessions have changed, come late and gone, and as a full refresh."""

from __future__ import annotations

import re

import pages
import pytest
from comparing import check_marts
from handed_in import hand_in
from project import ANSWERS, Project
from reckoning import Reckoning
from suite import LANES, VARS, MakeLane, MakeProject

HALF = "meltano-duckdb"


def check_page(project: Project) -> None:
    """The questions of docs/transform.md are answered by the SQL that it shows."""
    found = [block for block in pages.blocks("docs/transform.md", "sql") if block.mark == ""]
    assert len(found) >= 5
    for block in found:
        sql = re.sub(r"\b(FROM|JOIN) (visitor_sessions__)", rf"\1 {ANSWERS}.\2", block.text)
        project.database.query(sql)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.half if n == HALF else ()) for n in LANES]
)
def test_marts_are_what_the_rows_of_the_api_make(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name)
    lane.load()
    handed, rules = hand_in(lane)
    project = make_project(lane, **handed, **VARS.get(name, {}))
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))
    check_page(project)

    for held in lane.feed.held:
        held.hold(held.later)
    lane.load()
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))

    lane.forget()
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))
    project.build("--target", "anew", "--full-refresh")
    for mart in project.marts():
        assert not project.differences(mart), mart
