"""The report method in memory, for tests of rooms that need no HTTP."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tap_visitor_sessions.sessions.pipeline import Pipeline, Span
from tap_visitor_sessions.sessions.reader import Query, Shared, WindowReader
from tap_visitor_sessions.sessions.records import Decoder, Record

FORMAT = "%Y-%m-%d %H:%M:%S"


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
        (self.random if self.reshuffle else random.Random(self.seed)).shuffle(found)
        if params.get("sort"):
            found.sort(key=lambda row: row.get("visitor_id", 0))
        limit = min(params["limit"], self.page_cap)
        if self.moody:
            limit = self.random.randint(max(1, limit // 10), limit)
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
