"""The quick half of `dev.py bench shapes`: its sessions deviate as they say, and its figures."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from benchmarks.harness import Run
from benchmarks.odd import NAMES, RARE
from benchmarks.server import Sessions
from benchmarks.shapes import CLEAN, DEVIATES, figures, goals, shapes, without
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.coercion import Warnings
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.zones import UTC, Zone
from tap_visitor_sessions.singer.catalog.catalog import wanted
from tap_visitor_sessions.singer.catalog.entry import Declaration

SCHEMA = stream_schema()


def count_of(name: str) -> int:
    return 4 * RARE if "thousand" in name else 500


@cache
def page(odd: str, count: int) -> bytes:
    sessions = Sessions(count, "daily", datetime(2024, 1, 1), 1)
    span = ("2024-01-01 00:00:00", "2024-01-02 00:00:00")
    data, _, _ = sessions.page(*span, list(SCHEMA["properties"]), count, 0, odd)
    return b"[" + data[:-1] + b"]"


@pytest.mark.thinned
@pytest.mark.parametrize("name", NAMES)
def test_as_many_sessions_deviate_as_are_said_to(name: str) -> None:
    count = count_of(name)
    pairs = zip(json.loads(page("", count)), json.loads(page(name, count)), strict=True)
    others = [odd for plain, odd in pairs if plain != odd]
    if "thousand" in name:
        assert 0 < len(others) < 4 * count / RARE
    elif "calls" in name:  # not every session has one
        assert len(others) > count / 20
    else:
        assert len(others) > 0.9 * count


def test_only_what_cannot_be_read_is_lost() -> None:
    group = {"integrated_campaign_data.group_id"}
    for name in NAMES:
        warnings = Warnings()
        decoder = Decoder(SCHEMA, Zone(UTC), warnings=warnings)
        count = count_of(name)
        assert len(decoder.finish(decoder.rows(page(name, count)))) == count
        loses = name in ("group_id a text", "five columns at once", "one session in a thousand")
        assert set(warnings.losses) == (group if loses else set())


def test_the_catalog_of_the_benchmark_leaves_out_one_member() -> None:
    declaration = Declaration("visitor_sessions", SCHEMA, ("id",), "date_time")
    chosen = wanted(declaration, without("hits.hit_url"))
    assert list(chosen.pieces) == list(SCHEMA["properties"])
    members: dict[str, Any] = chosen.schema["properties"]["hits"]["items"]["properties"]
    assert list(members) == ["hit_time", "hit_duration"]


def test_the_figures_are_those_of_the_rounds() -> None:
    slow = next(name for name, shape in shapes().items() if shape.goal == DEVIATES)
    rounds = [{CLEAN: Run(2 * n, n, 100 * n), slow: Run(3 * n, 2 * n, 110 * n)} for n in (1, 4, 2)]
    assert figures(rounds, 1000) == [
        [CLEAN, 4, 250, 1, 1, 200, 1],
        [slow, 6, 167, 1.5, 2, 220, 1.1],
    ]
    assert [(goal.value, goal.met) for goal in goals(rounds)] == [(1.5, False), (1.1, True)]
