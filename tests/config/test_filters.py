"""Validation of the `filter` setting."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.config.filters import MAX_DEPTH, filter_problems
from tap_visitor_sessions.config.schema import columns

# The operators of the API's documentation, said again so that a slip in the code shows.
FITTING = {
    "number": ["=", "!=", "<", ">", "<=", ">=", "in"],
    "string": ["=", "!=", "like", "regexp", "in"],
    "enum": ["=", "!=", "in"],
    "object": ["jsquery"],
    "array": ["jsquery"],
}
ALL_OPERATORS = sorted({operator for fitting in FITTING.values() for operator in fitting})
FIELDS = [column for column in columns().values() if column.filterable]
FORBIDDEN = [column.name for column in columns().values() if not column.filterable]
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """One valid condition."""
    column = draw(st.sampled_from(FIELDS))
    operator = draw(st.sampled_from(FITTING[column.api_type]))
    values: st.SearchStrategy[Any] = NUMBERS if column.api_type == "number" else st.text()
    if operator == "in":
        values = st.lists(values, min_size=1, max_size=3)
    elif operator in ("=", "!="):
        values = values | st.none()
    return {"field": column.name, "operator": operator, "value": draw(values)}


def groups(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid group of such children."""
    return st.fixed_dictionaries(
        {
            "filters": st.lists(children, min_size=1, max_size=3),
            "condition": st.sampled_from(["and", "or"]),
        }
    )


TREES = st.recursive(conditions(), groups, max_leaves=8)


def nodes(tree: dict[str, Any], path: str = "filter") -> list[tuple[str, dict[str, Any]]]:
    """Each node of a tree with its path."""
    found = [(path, tree)]
    for index, child in enumerate(tree.get("filters", [])):
        found += nodes(child, f"{path}.filters[{index}]")
    return found


def mutations(node: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Ways to spoil a node: the end of the path expected, and the keys to change."""
    always: list[tuple[str, dict[str, Any]]] = [("", {"surplus": 1})]
    if "filters" in node:
        return [
            *always,
            (".filters", {"filters": []}),
            (".filters", {"filters": None}),
            (".filters", {"filters": {}}),
            (".filters[0]", {"filters": ["x"]}),
            (".condition", {"condition": "xor"}),
            (".condition", {"condition": None}),
            (".condition", {"condition": ["and"]}),
            ("", {"field": "site_id"}),
        ]
    column = columns()[node["field"]]
    wrong = [o for o in ALL_OPERATORS if o not in FITTING[column.api_type]]
    bad_value: Any = "1" if column.api_type == "number" else 1
    bad_values = [{}, True, bad_value, float("nan")]
    if node["operator"] == "in":
        of_values = [(".value", {"value": value}) for value in [*bad_values, [], None]]
        of_values += [(".value[0]", {"value": [value]}) for value in [*bad_values, None]]
    else:
        of_values = [(".value", {"value": value}) for value in [*bad_values, []]]
        if node["operator"] not in ("=", "!="):
            of_values.append((".value", {"value": None}))
    return [
        *always,
        *of_values,
        *[(".operator", {"operator": o}) for o in [*wrong, "==", "IN", None, 1, [], {}]],
        *[(".field", {"field": name}) for name in [*FORBIDDEN, "no_such", "", None, 1, [], {}]],
    ]


@given(TREES)
def test_valid_tree_has_no_problems(tree: dict[str, Any]) -> None:
    assert filter_problems(tree) == []


@given(TREES, st.data())
def test_one_mutation_is_reported_with_its_path(tree: dict[str, Any], data: st.DataObject) -> None:
    spoilt = copy.deepcopy(tree)
    path, node = data.draw(st.sampled_from(nodes(spoilt)))
    end, change = data.draw(st.sampled_from(mutations(node)))
    node.update(change)
    problems = filter_problems(spoilt)
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}{end}: ")
    assert "\n" not in problems[0]


@given(TREES, st.data())
def test_missing_key_is_reported_with_its_path(tree: dict[str, Any], data: st.DataObject) -> None:
    spoilt = copy.deepcopy(tree)
    path, node = data.draw(st.sampled_from(nodes(spoilt)))
    key = data.draw(st.sampled_from(sorted(node)))
    del node[key]
    missing = [] if key == "value" else [f"{path}: {key!r} is missing"]  # it may be left out
    assert filter_problems(spoilt) == missing


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["field", "operator", "value", "filters", "condition", "x"]), inner
        )
    ),
    max_leaves=10,
)


@given(ANYTHING)
def test_any_value_is_answered_in_lines_with_a_path(value: object) -> None:
    for problem in filter_problems(value):
        assert re.match(r"filter(\.\w+|\[\d+\])*: \S", problem)
        assert len(problem.splitlines()) == 1


def test_every_problem_is_reported() -> None:
    tree = {
        "condition": "and",
        "filters": [
            {"field": "site_id", "operator": "=", "value": 1},
            {"field": "campaign_id", "operator": "like", "value": "%"},
            {"field": "date_time", "operator": ">", "value": "2024-01-01 00:00:00"},
            {"field": "segments", "operator": "in", "value": ["x"]},
            {"field": "gclid", "operator": "=", "value": "x"},
            {"field": "visitor_citi", "operator": "=", "value": "x"},
            {"field": "utm_term", "operator": "like", "value": None},
        ],
    }
    assert filter_problems(tree) == [
        "filter.filters[1].operator: 'like' does not fit campaign_id (number): "
        "use one of =, !=, <, >, <=, >=, in",
        "filter.filters[2].field: 'date_time' cannot be filtered: "
        "the span is set by start_date and end_date",
        "filter.filters[3].operator: 'in' does not fit segments (array): use jsquery",
        "filter.filters[4].field: the API does not filter by 'gclid'",
        "filter.filters[5].field: unknown field 'visitor_citi': did you mean 'visitor_city'?",
        "filter.filters[6].value: null fits only the operators = and !=, not 'like'",
    ]


@pytest.mark.parametrize("tree", [None, [], "x", 1, True])
def test_tree_must_be_an_object(tree: object) -> None:
    (problem,) = filter_problems(tree)
    assert problem.startswith("filter: must be an object, not ")


def nested(depth: int) -> dict[str, Any]:
    """A valid condition inside so many levels, itself counted."""
    tree: dict[str, Any] = {"field": "site_id", "operator": "=", "value": 1}
    for _ in range(depth - 1):
        tree = {"filters": [tree], "condition": "or"}
    return tree


def test_deep_tree_is_accepted_and_a_deeper_one_reported() -> None:
    assert filter_problems(nested(MAX_DEPTH)) == []
    for depth in (MAX_DEPTH + 1, 5000):
        (problem,) = filter_problems(nested(depth))
        assert problem == f"filter{'.filters[0]' * MAX_DEPTH}: nested deeper than 200 levels"
