"""Members that are left out: gone from every record, whatever comes in their place, and nothing
else changed."""

from __future__ import annotations

import json
import logging
from datetime import timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import json_values

from sandbox import make_sessions
from tap_visitor_sessions.config import excluded_members, without
from tap_visitor_sessions.config.excluding import exclude_problems
from tap_visitor_sessions.config.names import all_names, members_of, node_of
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = stream_schema()
MEMBERS = [name for name in all_names(SCHEMA) if "." in name]
CAMPAIGN = "integrated_campaign_data"


def decoded(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Records as RECORD has them, of a run that leaves members out."""
    schema = without(SCHEMA, names)
    decoder = Decoder(schema, Zone(timezone.utc), excluded=excluded_members(names))
    kept = [{name: row[name] for name in row if name in schema["properties"]} for row in rows]
    found = []
    for raw in (json.dumps(kept[:1]), json.dumps(kept)):  # what the first has met is known
        found = decoder.finish(decoder.rows(raw.encode()))
    return list(msgspec.json.decode(msgspec.json.encode(found)))


def cut(record: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """By hand, of a whole record."""
    for name in names:
        column, member = name.split(".")
        held = record.get(column)
        for item in held if isinstance(held, list) else [held]:
            (item or {}).pop(member, None)
    for column in list(record):
        if not members_of(SCHEMA["properties"][column]):
            continue
        if not members_of(without(SCHEMA, names)["properties"].get(column, {})):
            del record[column]
    if CAMPAIGN in record and not any(v is not None for v in record[CAMPAIGN].values()):
        record[CAMPAIGN] = {}
    return record


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(st.sampled_from(MEMBERS), max_size=10, unique=True)
    | st.permutations([name for name in MEMBERS if name.startswith(("hits.", "segments."))]),
    seed=st.integers(0, 50),
    odd=json_values,
    data=st.data(),
)
def test_what_is_named_is_gone_and_nothing_else(
    names: list[str], seed: int, odd: Any, data: st.DataObject
) -> None:
    rows = make_sessions(4, seed=seed)
    rows[3]["hits"] = None
    whole = [cut(record, names) for record in decoded(rows, [])]
    assert decoded(rows, names) == whole
    # Whatever comes in the place of what is left out, the rest is the same.
    for name in names:
        column, member = name.split(".")
        for row in rows:
            held = row[column]
            for item in held if isinstance(held, list) else [held]:
                if item and data.draw(st.booleans()):
                    item[member] = odd
    assert decoded(rows, names) == whole


def test_nothing_is_logged_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = make_sessions(3, seed=1)
    rows[0]["duration"] = "no number"
    rows[0]["hits"] = [{"hit_time": "t", "hit_url": ["secret"], "hit_duration": "00:00:01"}]
    decoded(rows, ["hits.hit_url"])
    assert "duration" in caplog.text
    assert "hit_url" not in caplog.text


@given(st.sampled_from(list(all_names(SCHEMA))), st.data())
def test_a_name_is_one_that_there_is_or_is_refused_with_the_nearest(
    name: str, data: st.DataObject
) -> None:
    own = name in ("id", "date_time")
    assert bool([*exclude_problems([name], SCHEMA, ("id",))]) == own
    at = data.draw(st.integers(0, len(name) - 1))
    slip = name[:at] + name[at + 1 :]
    if node_of(SCHEMA, slip) is None:
        [problem] = exclude_problems([slip], SCHEMA, ("id",))
        assert problem.startswith(f"exclude_columns: there is no column or member {slip}")
        assert len(name) < 4 or "did you mean " in problem
