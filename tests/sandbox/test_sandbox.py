"""The sandbox keeps to the vendor's pages."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import Any

import pytest
import requests
from conftest import MakeSandbox
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Faults, Limits, Sandbox, make_sessions
from sandbox.columns import COLUMNS, DEFAULT
from sandbox.filters import compiled
from tap_visitor_sessions.config.schema import columns

REPORT = "get.visitor_sessions_report"
SPAN = {"date_from": "2024-05-01 00:00:00", "date_till": "2024-06-01 00:00:00"}


def ask(sandbox: Sandbox, method: str = REPORT, **params: Any) -> dict[str, Any]:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {"access_token": sandbox.token, **params},
    }
    answer = requests.post(sandbox.url, json=body, timeout=10)
    assert answer.status_code == 200
    value: dict[str, Any] = answer.json()
    assert value["id"] == 1
    return value


def mnemonic(answer: dict[str, Any]) -> str:
    return str(answer["error"]["data"]["mnemonic"])


def test_columns_and_white_lists_agree_with_the_schema() -> None:
    from sandbox.columns import FILTERABLE, SORTABLE

    assert set(COLUMNS) == set(columns())
    assert {name for name, c in columns().items() if c.filterable} == FILTERABLE
    assert {name for name, c in columns().items() if c.sortable} == SORTABLE


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"limit": 10_001}, "invalid_parameter_value"),
        ({"offset": 100_001}, "invalid_parameter_value"),
        ({"limit": "5"}, "data_type_error"),
        ({"date_till": "2024-08-01 00:00:01"}, "date_interval_limit_reached"),
        ({"date_till": "tomorrow"}, "data_type_error"),
        ({"fields": ["nope"]}, "unexpected_parameters"),
        ({"surprise": 1}, "unexpected_parameters"),
        ({"sort": [{"field": "date_time"}]}, "sort_prohibited"),
        ({"sort": [{"field": "id"}]}, "sort_prohibited"),
        ({"filter": {"field": "id", "operator": "=", "value": 1}}, "filter_prohibited"),
        (
            {"filter": {"field": "site_id", "operator": "like", "value": "1"}},
            "invalid_parameter_value",
        ),
        ({"access_token": "wrong"}, "access_token_invalid"),
    ],
)
def test_refusals(params: dict[str, Any], expected: str, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=5)
    assert mnemonic(ask(sandbox, **{**SPAN, **params})) == expected


def test_framing(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=5)

    def post(body: Any) -> str:
        return mnemonic(requests.post(sandbox.url, data=body, timeout=10).json())

    assert post("{") == "parse_error"
    assert post("[]") == "batch_operations_not_supported"
    assert post('{"jsonrpc": "2.0", "method": "x"}') == "notifications_not_supported"
    assert mnemonic(ask(sandbox, "get.nothing")) == "method_not_found"


def test_default_columns_order_and_total(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=200)
    result = ask(sandbox, **SPAN)["result"]
    assert set(result["data"][0]) == set(DEFAULT)
    assert result["metadata"]["total_items"] == 200
    times = [r["date_time"] for r in ask(sandbox, **SPAN, fields=["date_time"])["result"]["data"]]
    assert times not in (sorted(times), sorted(times, reverse=True))


def test_only_successes_are_charged(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=5, limits=Limits(minute=2))
    assert mnemonic(ask(sandbox, **SPAN, limit=0)) == "invalid_parameter_value"
    for left in (1, 0):
        limits = ask(sandbox, **SPAN)["result"]["metadata"]["limits"]
        assert limits["minute_remaining"] == left
    refused = ask(sandbox, **SPAN)["error"]["data"]
    assert refused["params"]["limit_type"] == "minute"
    assert refused["metadata"]["limits"]["minute_remaining"] == 0


def test_data_are_the_same_for_the_same_seed() -> None:
    assert make_sessions(50, seed=1) == make_sessions(50, seed=1)
    assert make_sessions(50, seed=1) != make_sessions(50, seed=2)
    rows = make_sessions(2000)
    assert [r["id"] for r in sorted(rows, key=lambda r: r["date_time"])] != sorted(
        r["id"] for r in rows
    )
    assert any(not r["hits"] for r in rows)
    assert any(len(r["hits"]) > 100 for r in rows)


def test_date_till_may_be_exclusive(make_sandbox: MakeSandbox) -> None:
    [row] = make_sessions(1, start=datetime(2024, 5, 2))
    sandbox = make_sandbox(rows=[row])
    span = {"date_from": "2024-05-01 00:00:00", "date_till": row["date_time"]}
    assert ask(sandbox, **span)["result"]["metadata"]["total_items"] == 1
    sandbox.faults = Faults(till_exclusive=True)
    assert ask(sandbox, **span)["result"]["metadata"]["total_items"] == 0


CAMPAIGN = "integrated_campaign_data"
FAULTS: dict[str, Any] = {
    "short_pages": 5,
    "fail_first": 1,
    "latency": 0.01,
    "delays": {REPORT: 0.01},
    "order": "ascending",
    "arrive": lambda sandbox, params: None,
    "mangle": lambda data: data + b" ",
    "errors": {REPORT: ["internal_error"]},
}


@pytest.mark.parametrize("name", [field.name for field in fields(Faults)])
def test_each_fault_is_counted_when_it_is_injected(make_sandbox: MakeSandbox, name: str) -> None:
    default = getattr(Faults(), name)
    value = FAULTS.get(name, True if default is False else 1.0)
    rows = sorted(make_sessions(300), key=lambda row: row["date_time"])
    span = {"date_from": rows[0]["date_time"], "date_till": rows[20]["date_time"]}
    wanted = {"fields": ["id", "hits", "segments", "campaign_id", CAMPAIGN], **span}
    sandbox = make_sandbox(rows=rows)
    ask(sandbox, **wanted)
    assert not sandbox.injected
    sandbox.faults = Faults(**{name: value})
    with suppress(requests.RequestException, AssertionError, UnicodeDecodeError):
        ask(sandbox, **wanted)
    assert set(sandbox.injected) == {name}


def test_an_object_without_values_comes_as_nulls_or_as_null(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=50)
    params = {**SPAN, "fields": ["id", CAMPAIGN]}
    plain = {row["id"]: row[CAMPAIGN] for row in ask(sandbox, **params)["result"]["data"]}
    blank = {id_ for id_, value in plain.items() if not any(value.values())}
    sandbox.faults = Faults(null_objects=True)
    other = {row["id"]: row[CAMPAIGN] for row in ask(sandbox, **params)["result"]["data"]}
    assert {id_ for id_, value in other.items() if value is None} == blank
    assert 0 < len(blank) < 50


def test_ids_past_32_bits_where_they_are_wanted(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=50, first_id=2**40)
    rows = ask(sandbox, **SPAN, fields=["id"])["result"]["data"]
    assert {row["id"] for row in rows} == set(range(2**40, 2**40 + 50))


def test_a_user_with_fewer_rights_is_refused_alone(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=5, partner={1: [10, 11]}, forbidden_users={10})
    refused = ask(sandbox, **SPAN, fields=["id"], user_id=10)["error"]["data"]
    assert refused["mnemonic"] == "forbidden"
    assert len(ask(sandbox, **SPAN, fields=["id"], user_id=11)["result"]["data"]) == 5


def test_a_fault_within_a_broken_answer_is_not_counted(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=20, faults=Faults(duplicate_rate=1, internal_error_rate=0.5))
    for _ in range(20):
        ask(sandbox, **SPAN)
    once = dict(sandbox.injected)
    assert set(once) == {"duplicate_rate", "internal_error_rate"}
    sandbox.faults.http_error_rate = 1.0
    with pytest.raises(AssertionError):
        ask(sandbox, **SPAN)
    assert sandbox.injected == {**once, "http_error_rate": 1}


conditions = st.builds(
    lambda o, v: {"field": "site_id", "operator": o, "value": v},
    st.sampled_from(["=", "!=", "<", ">", "<=", ">="]),
    st.integers(100, 105),
)
trees = st.recursive(
    conditions,
    lambda inner: st.builds(
        lambda c, f: {"condition": c, "filters": f},
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=10,
)


def naive(tree: dict[str, Any], site: int) -> bool:
    if "filters" in tree:
        found = [naive(part, site) for part in tree["filters"]]
        return all(found) if tree["condition"] == "and" else any(found)
    operator = "==" if tree["operator"] == "=" else tree["operator"]
    return bool(eval(f"{site} {operator} {tree['value']}"))


@given(trees, st.integers(100, 105))
def test_filter_trees_mean_what_they_say(tree: dict[str, Any], site: int) -> None:
    assert compiled(tree)({"site_id": site}) == naive(tree, site)


def test_text_operators() -> None:
    def passes(operator: str, value: Any) -> bool:
        tree = {"field": "visitor_city", "operator": operator, "value": value}
        return compiled(tree)({"visitor_city": "Нижний Новгород"})

    assert passes("like", "Нижний%")
    assert not passes("like", "Нижний")
    assert passes("regexp", "Нов.*д$")
    assert passes("in", ["x", "Нижний Новгород"])
    assert passes("!=", None)
