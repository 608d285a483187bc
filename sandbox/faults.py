"""How the sandbox misbehaves when told to, and what it grants."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SHAPES = (
    "null_arrays",
    "null_objects",
    "numbers_as_strings",
    "single_hit_object",
    "example_spelling",
)
"""Faults that write a row differently from its plain form."""


@dataclass
class Faults:
    """Misbehaviour of the report method; all off by default. Rates are probabilities. How often
    each was injected is counted in `Sandbox.injected`, by the names that they have here."""

    short_pages: int | None = None
    short_pages_random: bool = False
    reshuffle: bool = False
    order: str = "shuffled"  # or ascending, descending
    till_exclusive: bool = False
    from_exclusive: bool = False
    null_arrays: bool = False
    null_objects: bool = False
    numbers_as_strings: bool = False
    single_hit_object: bool = False
    example_spelling: bool = False
    http_error_rate: float = 0.0
    html_200_rate: float = 0.0
    cut_body_rate: float = 0.0
    truncated_json_rate: float = 0.0
    reset_rate: float = 0.0
    internal_error_rate: float = 0.0
    wrong_id_rate: float = 0.0
    bad_utf8_rate: float = 0.0
    fail_first: int = 0
    latency: float = 0.0
    duplicate_rate: float = 0.0
    arrive: Callable[[Any, dict[str, Any]], None] | None = None
    mangle: Callable[[bytes], bytes] | None = None
    """Rewrites the raw JSON of a page's rows."""
    deprecated: bool = False
    delays: dict[str, float] = field(default_factory=dict)
    """Seconds after which a method is answered, by its name."""
    clock_behind: float | None = None
    """Seconds by which the API's clock, as its `Date` has it, is behind this machine's."""
    gzip: bool = False
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def reshapes(self) -> bool:
        """Whether rows are written differently from their plain form."""
        return any(getattr(self, name) for name in SHAPES)

    def reshaped(self, rows: list[dict[str, Any]], numbers: set[str]) -> Counter[str]:
        """In how many of the rows each other spelling makes a difference, by its name."""
        alone: dict[str, Faults] = {}
        for name in SHAPES:
            if getattr(self, name):
                alone[name] = Faults()
                setattr(alone[name], name, True)
        return Counter(
            name
            for row in rows
            for name, faults in alone.items()
            if faults.reshape(row, numbers) != row
        )

    def reshape(self, row: dict[str, Any], numbers: set[str]) -> dict[str, Any]:
        """The row as another reading of the vendor's page would write it."""
        row = dict(row)
        if self.numbers_as_strings:
            for name in numbers & set(row):
                row[name] = None if row[name] is None else str(row[name])
        if self.single_hit_object and len(row.get("hits") or []) == 1:
            row["hits"] = row["hits"][0]
        if self.null_arrays:
            row = {name: None if value == [] else value for name, value in row.items()}
        if self.null_objects:
            row = {name: None if _is_blank(value) else value for name, value in row.items()}
        if self.example_spelling:
            spelling = {"hits": "hist", "campaign_id": "camapign_id"}
            row = {spelling.get(name, name): value for name, value in row.items()}
        return row


def _is_blank(value: Any) -> bool:
    """Whether it is an object of nulls."""
    return isinstance(value, dict) and all(one is None for one in value.values())


@dataclass
class Limits:
    """Points granted; None: no limit and no meter. The seconds shorten minute and day; `hidden`
    leaves the meters out of the answers, the reset of a rejection too."""

    day: int | None = None
    minute: int | None = None
    minute_seconds: float = 60.0
    day_seconds: float = 86_400.0
    hidden: bool = False


class Meters:
    """Counts the points used. Only successful calls are charged.

    Args:
        clock: Seconds; a simulation has one of its own.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._day_used = 0
        self._minute_used = 0
        self._minute_began = self._day_began = clock()
        self.windows_began = [self._minute_began]
        """When each minute began, by the clock."""

    def exceeded(self) -> str | None:
        """`day` or `minute` when no point of it is left."""
        with self._lock:
            self._roll()
            if self.limits.day is not None and self._day_used >= self.limits.day:
                return "day"
            if self.limits.minute is not None and self._minute_used >= self.limits.minute:
                return "minute"
            return None

    def charge(self) -> None:
        """Take a point."""
        with self._lock:
            self._day_used += 1
            self._minute_used += 1

    def new_day(self) -> None:
        """All points of the day come back."""
        with self._lock:
            self._day_used, self._day_began = 0, self._clock()

    def read(self) -> dict[str, Any]:
        """The meters as an answer carries them."""
        with self._lock:
            self._roll()
            meters: dict[str, Any] = {}
            if self.limits.hidden:
                return meters
            now = self._clock()
            if self.limits.day is not None:
                meters |= {
                    "day_limit": self.limits.day,
                    "day_remaining": max(self.limits.day - self._day_used, 0),
                    "day_reset": int(self.limits.day_seconds - (now - self._day_began)) + 1,
                }
            if self.limits.minute is not None:
                left = self.limits.minute_seconds - (now - self._minute_began)
                meters |= {
                    "minute_limit": self.limits.minute,
                    "minute_remaining": max(self.limits.minute - self._minute_used, 0),
                    "minute_reset": int(left) + 1,
                }
            return meters

    def _roll(self) -> None:
        now = self._clock()
        if now - self._minute_began >= self.limits.minute_seconds:
            self._minute_began, self._minute_used = now, 0
            self.windows_began.append(now)
        if now - self._day_began >= self.limits.day_seconds:
            self._day_began, self._day_used = now, 0
