"""Sessions with values that no page promises, at all of their places."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fake_api import FakeAnswer
from hypothesis import strategies as st

from tap_visitor_sessions.api.envelope import opened
from tap_visitor_sessions.config.schema import stream_schema

SCHEMA = stream_schema()
DAY = "2024-05-01"
HUGE = "9" * 6000


class Token(NamedTuple):
    """A number as it stands in the JSON, of a size that no encoder here writes."""

    text: str


def to_json(value: Any) -> str:
    if isinstance(value, Token):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)


DEEP = "[" * 5_000 + "]" * 5_000
HALF = r'"a\ud83db"'
TWICE = '{"keyword": "a", "keyword": "b", "group_id": NaN}'


def answer_of(rows: list[dict[str, Any]]) -> FakeAnswer:
    """Rows as the tap gets them: out of the envelope of an answer."""
    count = len(rows)
    body = {"id": "1", "result": {"data": rows, "metadata": {"total_items": count}}}
    return FakeAnswer(bytes(opened(to_json(body).encode(), "1").rows(count)), count)


def row(number: int) -> dict[str, Any]:
    """A session with something at each place of the schema."""
    return {
        **dict.fromkeys(SCHEMA["properties"]),
        "id": number,
        "date_time": f"{DAY} 1{number}:00:00",
        "duration": 5,
        "channel": "x",
        "hits": [{"hit_time": "t", "hit_duration": "d", "hit_url": "u"}],
        "communications": [
            {
                "communication_type": "call",
                "communication_id": 3,
                "communication_date_time": f"{DAY} 12:00:00",
                "ext_id": None,
            }
        ],
        "integrated_campaign_data": {"keyword": "k", "group_id": 4, "old_banner_ids": [1, 2]},
        "segments": [{"segment_id": 1}],
        "visitor_custom_properties": [{"property_name": "n"}],
    }


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from(
        [
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59",
            "2024-05-01T10:00:00+14:00",
            "2024-05-01",
            "",
            1714521600000,
            Token("1e400"),
            Token("-1e400"),
            Token(HUGE),
            10**400,
            "\x00",
            Token("NaN"),
            Token("-Infinity"),
            Token(DEEP),
            Token(HALF),
            Token(TWICE),
            "0000-00-00 00:00:00",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place of a session but its own key and time."""
    if path and path not in (("id",), ("date_time",)):
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


PLACES = list(places(row(1)))


def put(session: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    holder: Any = session
    try:
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = copy.deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return  # an earlier change took the place away
