"""The report method in memory, for tests of packages that need no HTTP."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.windows.pipeline import Pipeline, Span
from tap_visitor_sessions.sessions.windows.reader import Query, Shared, WindowReader
from tap_visitor_sessions.sessions.zones import Zone

FORMAT = "%Y-%m-%d %H:%M:%S"
START = datetime(2024, 1, 31)
SCHEMA = {
    "properties": {
        "id": {"type": "integer"},
        "date_time": {"type": "string", "format": "date-time"},
        "visitor_id": {"type": ["integer", "null"]},
    }
}


def rows_at(seconds: list[int], seed: int = 0) -> list[dict[str, Any]]:
    """Sessions at seconds after START, with ids in no relation to time."""
    ids = list(range(1, len(seconds) + 1))
    random.Random(seed).shuffle(ids)
    return [
        {
            "id": id_,
            "date_time": (START + timedelta(seconds=second)).strftime(FORMAT),
            "visitor_id": id_ * 7919 % 100_003,
        }
        for id_, second in zip(ids, seconds, strict=True)
    ]


@dataclass
class FakeAnswer:
    data: bytes
    total_items: int | None


@dataclass
class FakeApi:
    """Rows in random order, with the offset ceiling; can be told to misbehave."""

    rows: list[dict[str, Any]]
    seed: int = 0
    inclusive: bool = True
    page_cap: int = 10_000
    moody: bool = False
    reshuffle: bool = False
    before: Callable[[FakeApi], None] | None = None
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    """In how many answers it has misbehaved, by the way."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def call(self, method: str, params: Mapping[str, Any]) -> FakeAnswer:
        assert method == "get.visitor_sessions_report"
        assert 1 <= params["limit"] <= 10_000
        assert 0 <= params["offset"] <= 100_000
        self.requests.append(params)
        if self.before:
            self.before(self)
        start, till = params["date_from"], params["date_till"]
        first, last = (datetime.strptime(text, FORMAT) for text in (start, till))
        assert (last - first).days <= 92
        found = [
            row
            for row in self.rows
            if start <= row["date_time"] < till or (self.inclusive and row["date_time"] == till)
        ]
        at_till = sum(row["date_time"] == till and start < till for row in self.rows)
        self.injected["exclusive"] += bool(at_till and not self.inclusive)
        self.injected["reshuffle"] += self.reshuffle and len(found) > 1
        (self.random if self.reshuffle else random.Random(self.seed)).shuffle(found)
        if params.get("sort"):
            found.sort(key=lambda row: row.get("visitor_id", 0))
        left = len(found) - params["offset"]
        limit = min(params["limit"], self.page_cap)
        self.injected["page_cap"] += limit < min(params["limit"], left)
        if self.moody:
            full = min(limit, left)
            limit = self.random.randint(max(1, limit // 10), limit)
            self.injected["moody"] += limit < full
        page = found[params["offset"] : params["offset"] + limit]
        return FakeAnswer(json.dumps(page).encode(), len(found))


def read_span(
    api: FakeApi,
    decoder: Decoder,
    query: Query,
    start: datetime,
    end: datetime,
    concurrency: int = 1,
) -> Iterator[list[Record]]:
    """The sessions of one span, window by window."""
    shared = Shared(query.page_size, concurrency=concurrency)
    span = Span(WindowReader(api.call, decoder, query, list, shared), [(start, end)])
    pipeline = Pipeline([0], lambda _: span, concurrency)
    try:
        for taken in pipeline.read(0):
            if taken.ready is not None:
                yield taken.ready
    finally:
        pipeline.close()


def read(
    api: FakeApi, length: timedelta, *, page_size: int = 10_000, concurrency: int = 1
) -> list[tuple[datetime, int]]:
    decoder = Decoder(SCHEMA, Zone(timezone.utc))
    query = Query(list(SCHEMA["properties"]), page_size)
    windows = read_span(api, decoder, query, START, START + length, concurrency)
    return [(record.date_time, record.id) for records in windows for record in records]
