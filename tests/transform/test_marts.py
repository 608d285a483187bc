"""The package over what each way of loading leaves: each mart is what the reckoning makes of the
API's rows, at first, after sessions have changed, come late and gone, and as a full refresh."""

from __future__ import annotations

import re

import pytest
from comparing import check_marts
from handed_in import hand_in
from lanes import ANSWERS
from project import PREFIX
from reckoning import Reckoning
from suite import LANES, VARS, MakeLane, MakeProject
from support import ROOT

HALF = "meltano-duckdb"


def questions() -> dict[str, str]:
    """The five of docs/transform.md, and the SQL that answers each."""
    page = (ROOT / "docs" / "transform.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n-- (.*?)\n(SELECT .*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    return {name: sql.replace(f"{PREFIX}__", f"{ANSWERS}.{PREFIX}__") for name, sql in blocks}


MARKS = {
    HALF: pytest.mark.half,
    # Its cache rounds ym_client_id: docs/airbyte.md.
    "pyairbyte-postgres": pytest.mark.xfail(reason="a framework's rounding"),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS.get(n, ())) for n in LANES])
def test_marts_are_what_the_rows_of_the_api_make(
    name: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane(name)
    lane.load()
    handed, rules = hand_in(lane)
    project = make_project(lane, **handed, **VARS.get(name, {}))
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))

    for held in lane.feed.held:
        held.hold(held.later)
    lane.load()
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))

    lane.forget()
    project.build()
    check_marts(project, Reckoning(lane.feed.accounts(), rules))
    for question, sql in questions().items():
        assert project.database.query(sql), question
    project.build("--target", "anew", "--full-refresh")
    for mart in project.marts():
        assert not project.differences(mart), mart
