"""The requests that one customer's traffic takes, by the tap's own window arithmetic."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmarks.traffic import HOUR, SHAPES
from tap_visitor_sessions.sessions.windows.windows import PageCap, Region, Window, split

START = datetime(2024, 1, 1)
DAY = timedelta(days=1)


class Traffic:
    """The times of one customer's made-up sessions from START on: `per_day` of them a day on
    average, spread as a shape of `benchmarks.traffic` says. `seconds` after START, in order."""

    def __init__(self, per_day: float, days: int, shape: str, seed: int) -> None:
        self.days = days
        self._source = random.Random(seed)
        hours = range(days * 24)
        weights = [SHAPES[shape](hour, len(hours), self._source) for hour in hours]
        picked = Counter(self._source.choices(hours, weights, k=round(per_day * days)))
        self.seconds = array("l")
        for hour, count in sorted(picked.items()):
            some = (hour * HOUR + int(HOUR * self._source.random()) for _ in range(count))
            self.seconds.extend(sorted(some))

    def count(self, start: datetime, end: datetime) -> int:
        """Sessions in `[start, end)`."""
        return bisect_left(self.seconds, _second(end)) - bisect_left(self.seconds, _second(start))

    def page(self, window: Window, most: int) -> tuple[list[datetime], int]:
        """Times of an answer for the closed span of a window, in no order, and `total_items`."""
        first = bisect_left(self.seconds, _second(window.start))
        last = bisect_right(self.seconds, _second(window.end))
        numbers = range(first, last)
        if len(numbers) > most:
            chosen = self._source.sample(numbers, most)
            return [START + timedelta(seconds=self.seconds[n]) for n in chosen], len(numbers)
        return [], len(numbers)  # it fits: nobody asks for its times


def _second(at: datetime) -> int:
    return int((at - START).total_seconds())


@dataclass
class Requests:
    """The requests of a span as a tree written down parent first, so in the order of time:
    the rows of each answer, and the requests in place of one that was too full."""

    rows: list[int] = field(default_factory=list)
    parts: list[tuple[int, ...]] = field(default_factory=list)
    roots: tuple[int, ...] = ()

    @property
    def sampled(self) -> int:
        """Rows of answers that served as a sample only."""
        return sum(rows for rows, parts in zip(self.rows, self.parts, strict=True) if parts)


def requests(traffic: Traffic, start: datetime, end: datetime, page_size: int) -> Requests:
    """The requests that the tap sends for `[start, end)`, as `sessions/windows/reader.py` does, one
    at a time.

    Raises:
        ValueError: one second holds more sessions than a page.
    """
    found = Requests()
    cap = PageCap(page_size)

    def walk(region: Region) -> tuple[int, ...]:
        parts = []
        while region:
            window = region.cut(cap.rows)
            times, total = traffic.page(window, page_size)
            number = len(found.rows)
            parts.append(number)
            found.rows.append(min(total, page_size))
            found.parts.append(())
            cap.observe(page_size, min(total, page_size), total)
            if total > page_size:
                if window.is_one_second:
                    raise ValueError(f"{total} sessions in a second do not fit a page")
                found.parts[number] = walk(split(window, total, times, cap.rows))
            elif region.density is not None:
                region.density.learn(window, traffic.count(window.start, window.end))
        return tuple(parts)

    found.roots = walk(Region(start, end))
    return found
