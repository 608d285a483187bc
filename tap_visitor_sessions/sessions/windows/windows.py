"""Which span to ask for next: pure arithmetic on naive wall-clock times, no I/O.

A *window* is a span `[start, end)` of which one request fetches all sessions. A *region* is
a stretch not yet cut into windows. A region of unknown density is asked for whole (up to the
API's longest span): it fits in one page, or the page is a sample of it, and the sample
tells where to cut.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SECOND = timedelta(seconds=1)
LONGEST = timedelta(days=89)
"""A span at most: within three calendar months from any day, and within the 90 days of others."""
SHORTEST = timedelta(days=1)
"""A span that is refused as too long is halved, down to this."""
# Weight of the assumption that sessions come evenly: bounds what a skewed sample can spoil.
EVENLY = 0.02
# A sample with fewer hits per page than this says too little: cut coarsely, so that the
# sample of each part has GOOD_HITS_PER_PAGE, if a part is then worth a sample of its own.
MIN_HITS_PER_PAGE = 48
GOOD_HITS_PER_PAGE = 100
MIN_PAGES_PER_PART = 8
HANDFUL = 5


@dataclass(frozen=True)
class Window:
    """A span `[start, end)` in whole wall-clock seconds."""

    start: datetime
    end: datetime

    @property
    def is_one_second(self) -> bool:
        """Whether it cannot be split further."""
        return self.end - self.start <= SECOND

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M:%S} .. {self.end:%Y-%m-%d %H:%M:%S}"


def furthest_end(start: datetime, longest: timedelta = LONGEST) -> datetime:
    """The end of the longest span that is asked for from `start`."""
    try:
        return start + longest
    except OverflowError:
        return datetime.max.replace(microsecond=0)


class Density:
    """How many sessions to expect where, from a sample of a window's sessions.

    Args:
        window: The sampled window.
        total: Sessions in the window.
        times: Wall-clock times of the sampled sessions, in the order they came.
    """

    def __init__(self, window: Window, total: int, times: Sequence[datetime]) -> None:
        start = window.start
        seconds = [(time - start).total_seconds() for time in times]
        self._start = start
        self._length = max((window.end - start).total_seconds(), 1.0)
        self._total = total
        self._hits = sorted(seconds)
        # Sessions that came in order of time are no sample: they are one end of the window.
        # (A handful of times is in order by chance, and so is one time repeated.)
        in_order = (
            len(seconds) < total
            and len(set(seconds)) > HANDFUL
            and self._hits in (seconds, seconds[::-1])
        )
        self._evenly = 1.0 if in_order or not seconds else EVENLY
        self._scale = 1.0

    def expected(self, start: datetime, end: datetime) -> float:
        """Sessions expected in `[start, end)`."""
        lo, hi = (start - self._start).total_seconds(), (end - self._start).total_seconds()
        hits = bisect_left(self._hits, hi) - bisect_left(self._hits, lo)
        share = (1 - self._evenly) * hits / max(len(self._hits), 1)
        share += self._evenly * (hi - lo) / self._length
        return self._total * share * self._scale

    def target(self, page: int) -> float:
        """Sessions to aim for in a window, so that it seldom exceeds a page of `page`."""
        sampled = min(len(self._hits) / self._total, 1.0)
        hits = max(sampled * page, 1.0)
        part = page * page / GOOD_HITS_PER_PAGE
        if hits < MIN_HITS_PER_PAGE and part >= MIN_PAGES_PER_PART * page:
            return part
        spread = math.sqrt((1 - sampled) / hits)
        return page * min(max(0.99 - 2 * spread, 0.5), 0.98)

    def learn(self, window: Window, count: int) -> None:
        """Correct the level when a window held far fewer sessions than expected."""
        expected = self.expected(window.start, window.end)
        if expected < 1:
            return
        ratio = count / expected
        if ratio < 0.5:
            self._scale = max(self._scale * max(ratio * 1.5, 0.1), 1e-4)
        elif ratio > 1:
            self._scale = min(self._scale * ratio, 1.0)


class Region:
    """A stretch `[start, end)` from which windows are cut, front to back."""

    def __init__(self, start: datetime, end: datetime, density: Density | None = None) -> None:
        self.start = start
        self.end = end
        self.density = density

    def __bool__(self) -> bool:
        return self.start < self.end

    def cut(self, page: int, longest: timedelta = LONGEST) -> Window:
        """Take the next window off the front; `page` is the rows that a page can hold."""
        end = min(self.end, furthest_end(self.start, longest))
        if self.density is not None:
            end = self._fitting_end(self.density, page, end)
        window = Window(self.start, end)
        self.start = end
        return window

    def _fitting_end(self, density: Density, page: int, limit: datetime) -> datetime:
        """The latest whole second up to which `page` rows are expected; one second at least."""
        target = density.target(page)
        low, high = 1, max(int((limit - self.start).total_seconds()), 1)
        while low < high:
            middle = (low + high + 1) // 2
            if density.expected(self.start, self.start + middle * SECOND) <= target:
                low = middle
            else:
                high = middle - 1
        return self.start + low * SECOND


def split(window: Window, total: int, times: Sequence[datetime], page: int) -> Region:
    """A region in place of a window that turned out to hold `total` > `page` sessions."""
    region = Region(window.start, window.end, Density(window, total, times))
    first = Region(window.start, window.end, region.density).cut(page)
    if first.end >= window.end:
        # The sample claims that all fits, which is known to be wrong: halve. But where all
        # of it lies at the end, which is counted in, only the last second can be at fault.
        middle = window.start + (window.end - window.start) // 2
        if times and min(times) >= window.end:
            middle = window.end - SECOND
        middle = middle.replace(microsecond=0)
        return Region(window.start, window.end, _Halving(window, middle, total))
    return region


class _Halving(Density):
    """Cuts at one given place: the way out when a sample misleads."""

    def __init__(self, window: Window, middle: datetime, total: int) -> None:
        super().__init__(window, total, [])
        self._middle = middle

    def expected(self, start: datetime, end: datetime) -> float:
        crosses = start < self._middle < end
        return math.inf if crosses else 0.0


class PageCap:
    """What the server is ready to answer at once: so many rows of a span of such a length.

    A page shorter than both what was asked and what there is shows the server's cap. The
    same length twice is a firm cap; lengths that vary are a mood, so it is tested upwards.
    Safe to use from several threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._longest = 0  # page ever seen
        self._last_short: int | None = None
        self._firm = False
        self.rows = limit
        self.longest = LONGEST
        self.is_proven = False
        """Whether a short page has been seen that more rows followed: else it may be that the
        server counts rows that it does not give."""

    def observe(self, asked: int, got: int, available: int) -> None:
        """Learn from a page of `got` rows, asked for `asked`, with `available` to be had."""
        self._longest = max(self._longest, got)
        if got >= min(asked, available):
            if got > self.rows or (not self._firm and got * 2 > self.rows):
                self.rows = min(max(got, self.rows) * 2, self._limit)
        elif got > 0:
            self._firm = got == self._last_short
            self._last_short = got
            self.rows = min(self._longest, self._limit)

    def too_long(self, window: Window) -> bool:
        """Learn that the server refuses a span as too long; whether a shorter one is worth it."""
        half = (window.end - window.start) // 2
        self.longest = max(min(self.longest, timedelta(days=half.days)), SHORTEST)
        return window.end - window.start > SHORTEST
