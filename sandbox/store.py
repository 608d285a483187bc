"""The sessions that the sandbox holds, ready to be served fast."""

from __future__ import annotations

import copy
import random
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sandbox.columns import COLUMNS, NUMBERS
from sandbox.faults import SHAPES, Faults
from sandbox.filters import Test

Row = dict[str, Any]


class Store:
    """Rows sorted by time, each encoded once per selection of columns. Thread-safe."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._times: list[str] = []
        self._encoded: dict[tuple[Any, ...], dict[int, bytes]] = {}
        self.replace(rows)

    def replace(self, rows: Iterable[Row]) -> None:
        """Hold these rows instead."""
        with self._lock:
            self._rows = sorted(
                ({name: row.get(name) for name in COLUMNS} for row in rows),
                key=lambda row: row["date_time"],
            )
            self._times = [row["date_time"] for row in self._rows]
            self._encoded.clear()

    def rows(self) -> list[Row]:
        """Deep copies of the rows held."""
        with self._lock:
            return copy.deepcopy(self._rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Add sessions."""
        with self._lock:
            self.replace([*self._rows, *rows])

    def delete(self, ids: Iterable[int]) -> None:
        """Delete sessions."""
        gone = set(ids)
        with self._lock:
            self.replace([row for row in self._rows if row["id"] not in gone])

    def update(self, id_: int, **columns: Any) -> None:
        """Change columns of a session."""
        with self._lock:
            self.replace([{**r, **columns} if r["id"] == id_ else r for r in self._rows])

    def find(
        self, start: str, till: str, exclusive: bool, passes: Test | None, after: bool = False
    ) -> list[Row]:
        """Rows of a span, by time; without its end (`exclusive`), without its start (`after`)."""
        with self._lock:
            first = (bisect_right if after else bisect_left)(self._times, start)
            last = (bisect_left if exclusive else bisect_right)(self._times, till)
            found = self._rows[first:last]
        return [row for row in found if passes(row)] if passes else found

    def encoded(self, rows: Sequence[Row], fields: Sequence[str], faults: Faults) -> bytes:
        """A page as a JSON array."""
        flavour = tuple(getattr(faults, name) for name in SHAPES)
        with self._lock:
            cache = self._encoded.setdefault((tuple(fields), flavour), {})
        parts = []
        for row in rows:
            part = cache.get(row["id"])
            if part is None:
                chosen = {name: row[name] for name in fields}
                if faults.reshapes:
                    chosen = faults.reshape(chosen, set(NUMBERS))
                part = cache[row["id"]] = msgspec.json.encode(chosen)
            parts.append(part)
        return b"[" + b",".join(parts) + b"]"


def ordered(rows: list[Row], sort: list[Row], faults: Faults, source: random.Random) -> list[Row]:
    """Rows in the order of an answer: none that helps, unless `sort` asks for one."""
    rows = list(rows)
    if faults.order == "shuffled":
        source.shuffle(rows)
    elif faults.order == "descending":
        rows.reverse()
    for rule in reversed(sort):
        name = rule["field"]
        rows.sort(
            key=lambda row: (row[name] is not None, row[name]),
            reverse=rule.get("order") == "desc",
        )
    return rows
