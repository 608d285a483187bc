"""How PostgreSQL goes about an increment: what it expects of a join decides whether it hashes or
loops, and a loop of thousands over thousands takes longer than the full build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from suite import MakeLane, MakeProject

MOST = 10
"""Times the rows of the largest mart that a step may go over; a loop takes hundreds of times."""
Node = dict[str, Any]


@pytest.mark.parametrize("kind", ["one", "agency"])
def test_no_step_of_an_increment_loops_over_a_table(
    kind: str, make_lane: MakeLane, make_project: MakeProject
) -> None:
    lane = make_lane("meltano-postgres", kind=kind, wanderers=600)
    lane.load()
    project = make_project(lane)
    project.dbt("run")
    query = lane.database.query
    lane.database.execute(f"ANALYZE {lane.schema}.visitor_sessions")
    lane.database.execute(
        f"UPDATE {lane.schema}.visitor_sessions SET _sdc_batched_at = _sdc_batched_at "
        "+ interval '1 day' WHERE id % 20 = 0"
    )
    # A mart is left out: so whose rows have to be made anew is not forgotten.
    project.dbt("run", "--exclude", "visitor_sessions__persons")
    project.dbt("compile")
    hits = len(project.mart("pages"))
    compiled = sorted((project.folder / "target/compiled/visitor_sessions/models").rglob("*.sql"))
    assert len(compiled) > 15
    for file in compiled:
        statement = "EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) " + file.read_text()
        (told,) = query(statement)
        for node in nodes(told["QUERY PLAN"][0]["Plan"]):
            assert gone_over(node) < MOST * hits, (file.stem, node)


def nodes(plan: Node) -> Iterator[Node]:
    """The steps of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def gone_over(node: Node) -> int:
    """Rows that a step looked at, in all its turns."""
    counted = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    return int(sum(node.get(name, 0) for name in counted) * node["Actual Loops"])
