"""Hashed values: the HMAC of their text, equal wherever they come, and nothing else changed."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from datetime import timezone
from typing import Any

import msgspec
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sandbox import make_sessions
from tap_visitor_sessions.config.hashing import hashed_schema
from tap_visitor_sessions.config.names import all_names, members_of, node_of
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.hashing import Hasher
from tap_visitor_sessions.sessions.zones import Zone

KEY = "a key of some length"
SCHEMA = stream_schema()
NAMES = [
    name
    for name in all_names(SCHEMA)
    if name not in ("id", "date_time") and not members_of(node_of(SCHEMA, name) or {})
]
odd = st.text(max_size=6) | st.sampled_from(["", "é", '"', "\\", "\u2028", "\ud83d\ude00"])


def hashed(value: Any) -> Any:
    """By hand, of a value of JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def with_hashes(node: Any, path: list[str]) -> Any:
    if isinstance(node, list):
        return [with_hashes(item, path) for item in node]
    if not path:
        return hashed(node)
    if not isinstance(node, dict) or path[0] not in node:
        return node
    return {**node, path[0]: with_hashes(node[path[0]], path[1:])}


def records_of(rows: list[dict[str, Any]]) -> list[Any]:
    decoder = Decoder(SCHEMA, Zone(timezone.utc))
    return decoder.finish(decoder.rows(json.dumps(rows).encode()))


@settings(max_examples=examples(150), deadline=None)
@given(
    names=st.sets(st.sampled_from(NAMES), max_size=12),
    seed=st.integers(0, 50),
    texts=st.lists(odd, min_size=3, max_size=3),
)
def test_what_is_named_is_hashed_and_nothing_else(
    names: set[str], seed: int, texts: list[str]
) -> None:
    rows = make_sessions(4, seed=seed)
    rows[0]["referrer"], rows[1]["visitor_city"] = texts[0], texts[1]
    rows[2]["integrated_campaign_data"] = {"keyword": texts[2], "old_banner_ids": [1, 2, 1]}
    rows[3]["integrated_campaign_data"] = {}
    rows[3]["hits"] = None
    want = msgspec.json.decode(msgspec.json.encode(records_of(rows)))
    for name in names:
        want = with_hashes(want, name.split("."))
    found = Hasher(sorted(names), KEY, SCHEMA).hash(records_of(rows))
    plain = msgspec.json.decode(msgspec.json.encode(found))
    assert plain == want
    validator = Draft202012Validator(hashed_schema(SCHEMA, sorted(names)))
    for record in plain:
        validator.validate(record)


def test_equal_texts_are_equal_hashes_whatever_their_column_and_type() -> None:
    hasher = Hasher(["visitor_id", "ua_client_id"], KEY, SCHEMA)
    [record] = records_of([{**make_sessions(1)[0], "visitor_id": 77, "ua_client_id": "77"}])
    hasher.hash([record])
    assert record.visitor_id == record.ua_client_id == hasher.digest(77)
    assert Hasher(["visitor_id"], "another key", SCHEMA).digest(77) != record.visitor_id


def test_the_schema_says_text_for_what_is_hashed_alone() -> None:
    names = ["visitor_id", "hits.hit_url", "communications.communication_date_time"]
    names.append("integrated_campaign_data.old_banner_ids")
    schema = hashed_schema(SCHEMA, names)
    changed = {
        name
        for name in SCHEMA["properties"]
        if schema["properties"][name] != SCHEMA["properties"][name]
    }
    assert changed == {"visitor_id", "hits", "communications", "integrated_campaign_data"}
    for name in names:
        node = node_of(schema, name) or {}
        leaf = node.get("items", node)
        assert leaf["type"] == ["string", "null"]
        assert "format" not in leaf
        assert "HMAC-SHA-256" in node["description"]
    assert hashed_schema(SCHEMA, ["no_such", "hits.no_such"]) == SCHEMA


def test_a_member_that_the_schema_lacks_is_passed_over_and_not_its_column_hashed() -> None:
    schema = copy.deepcopy(SCHEMA)
    del schema["properties"]["hits"]["items"]["properties"]["hit_url"]
    assert Hasher(["hits.hit_url"], KEY, schema)._steps == []
