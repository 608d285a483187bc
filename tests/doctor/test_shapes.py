"""What a report tells of sessions: their shapes, and no value, whatever stands where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from odd import PLACES, SCHEMA, put, row

from tap_visitor_sessions.config import enumerations
from tap_visitor_sessions.config.schema import columns
from tap_visitor_sessions.doctor.shapes import KINDS, Shapes, kind_of_text

MARK, DIGITS = "zqxj", "7391739173917391"
"""What nothing in a report has but values."""
values = st.sampled_from(
    [
        MARK,
        f"{MARK}_name",
        f"a_{MARK}",
        f"{MARK}@mail.example",
        f"https://{MARK}.example/?a=1",
        f"{MARK} with blanks\n",
        MARK.upper(),
        DIGITS,
        f"-{DIGITS}.5",
        int(DIGITS),
        float(DIGITS),
    ]
)
anything = st.recursive(
    values | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(values.map(str), inner, max_size=3),
    max_leaves=6,
)


def shapes_of(sessions: list[Any], **more: Any) -> Shapes:
    shapes = Shapes(SCHEMA, enumerations(), **more)
    shapes.add(sessions)
    return shapes


def told_of(*sessions: Any, **more: Any) -> dict[str, Any]:
    return json.loads(json.dumps(shapes_of(list(sessions), **more).as_dict()))


def test_the_enumerations_are_those_that_the_descriptions_list() -> None:
    listed = {name: column.description for name, column in columns().items()}
    for name, allowed in enumerations().items():
        if name in listed:
            assert listed[name].endswith(f"Known values: {', '.join(allowed)}.")
    assert {n for n, c in columns().items() if c.api_type == "enum"} <= enumerations().keys()
    assert "communications.communication_type" in enumerations()


@settings(max_examples=examples(150))
@given(data=st.data())
def test_no_value_is_told_wherever_it_stands(data: st.DataObject) -> None:
    sessions = [row(number) for number in (1, 2, 3)]
    for session in sessions:
        for path in data.draw(st.lists(st.sampled_from(PLACES), max_size=6)):
            put(session, path, data.draw(anything))
    # As names too, where another session has them as values.
    named = data.draw(st.lists(values.map(str), max_size=3, unique=True))
    places = [sessions[0], sessions[1].get("integrated_campaign_data")]
    for name in named:
        for holder in places:
            if isinstance(holder, dict):
                holder[name] = data.draw(anything)
    sessions.append({**row(4), "utm_source": named[0] if named else None, "hits": named})
    sessions.append(data.draw(anything))
    sessions.append({**row(5), "communications": [{"ext_id": name} for name in named]})
    whole = shapes_of(json.loads(json.dumps(sessions)))
    text = json.dumps([whole.as_dict(), whole.came()], ensure_ascii=False).casefold()
    assert MARK not in text
    assert DIGITS not in text


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [
        ("brand_new", True),
        ("utm_id2", True),
        ("Иван", False),
        ("ivan.petrov", False),
        ("user_4711", False),
        ("a b", False),
        ("", False),
        ("x" * 61, False),
        ("known_value", False),
        ("my_known_value", False),
    ],
)
def test_a_name_that_is_not_declared_is_shown_where_it_is_none_of_the_values(
    name: str, is_shown: bool
) -> None:
    told = told_of({**row(1), name: 1}, {**row(2), "utm_term": "Known_Value"})
    assert told["undeclared"] == ({"(session)": {name: {"number": 1}}} if is_shown else {})
    assert told["names_not_shown"] == ({} if is_shown else {"(session)": 1})


def test_names_of_what_may_be_a_map_are_not_shown() -> None:
    """Where none of an object's names is declared they may be values."""
    properties = {"visitor_custom_properties": [{"ivan": "petrov"}]}
    told = told_of({**row(1), **properties, "duration": {"ivan": 1}, "unknown": {"petra": 1}})
    assert "ivan" not in json.dumps(told)
    assert "petra" not in json.dumps(told)
    assert told["undeclared"] == {"(session)": {"unknown": {"object": 1}}}
    assert told["names_not_shown"] == {"visitor_custom_properties[]": 1}


def test_what_came_at_a_place() -> None:
    sessions = [row(number) for number in range(1, 6)]
    odd = [None, 5, "61", "1.5", [1]]
    for session, value in zip(sessions, odd, strict=True):
        session["duration"] = value
    sessions[0]["hits"] = {"hit_url": "https://a.example/"}
    sessions[1]["hits"] = None
    sessions[0]["channel"], sessions[1]["channel"] = "paid", None
    sessions[2]["integrated_campaign_data"] = {}
    sessions[3]["integrated_campaign_data"] = {"keyword": None, "group_id": None}
    del sessions[4]["gclid"]
    places = told_of(*sessions)["places"]
    assert places["duration"] == {
        "came": {"array": 1, "null": 1, "number": 1, "text": 2},
        "texts": {"digits": 1, "number": 1},
        "text_lengths": [2, 3],
        "numbers": {"whole": 1},
        "digits": [1, 1],
        "items": [1, 1],
    }
    assert places["hits"]["came"] == {"array": 3, "null": 1, "object": 1}
    assert places["hits[].hit_url"]["texts"] == {"URL": 1, "other": 3}
    assert places["hits[].hit_time"]["came"] == {"missing": 1, "text": 3}
    assert places["channel"]["enumeration"] == {"inside": 1, "outside": 3}
    assert places["integrated_campaign_data"]["empty_objects"] == 1
    assert places["integrated_campaign_data"]["objects_of_nulls"] == 1
    assert places["gclid"]["came"] == {"missing": 1, "null": 4}
    assert places["(session)"]["came"] == {"object": 5}


def test_nothing_looks_at_what_is_left_out() -> None:
    hidden = ("hits.hit_url", "utm_term")
    places = told_of(row(1), hidden=hidden)["places"]
    assert "utm_term" not in places
    assert "hits[].hit_url" not in places
    assert "hits[].hit_time" in places


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        (" \t", "blank"),
        ("123", "digits"),
        ("-1,5", "number"),
        ("2024-05-01", "date"),
        ("2024-05-01 10:00:00", "date-time"),
        ("2024-05-01T10:00:00.5+03:00", "date-time with offset"),
        ("2024-05-01T10:00:00Z", "date-time with offset"),
        ("24:00:10", "clock"),
        ("0a1b2c3d-0000-4000-8000-0123456789ab", "UUID"),
        ("deadbeef1", "hex"),
        ("deadbeef", "other"),
        ("192.0.2.1", "IP address"),
        ("2001:db8::1", "IP address"),
        ("https://a.example/\nb", "URL"),
        ("a@b.example", "e-mail-like"),
        ("слово", "other"),
    ],
)
def test_kinds_of_texts(text: str, kind: str) -> None:
    assert kind_of_text(text) == kind
    assert kind in {*KINDS, "other"}
