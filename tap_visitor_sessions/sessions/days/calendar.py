"""The local days of an account, as spans of its wall clock and of time.

A session's day is that of its `date_time` in the account's zone, so that a query on the table finds
the same. The clock can change at midnight: inside a gap what is filed late in the evening is read
as the instant of the change, which is of the next day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tap_visitor_sessions.sessions.zones import SECOND, Zone

ONE = timedelta(days=1)
Walls = tuple[datetime, datetime]
"""A span `[start, end)` of naive wall-clock seconds."""


@dataclass(frozen=True)
class Cell:
    """A local day, or what of it is read.

    Attributes:
        start: Its first wall-clock second, naive, and
        end: the one after its last.
        is_whole: Whether it is all of the day.
    """

    date: date
    start: datetime
    end: datetime
    is_whole: bool


class Calendar:
    """The local days of a zone."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._past: dict[datetime, datetime] = {}

    def day(self, instant: datetime) -> date:
        """The day of a session's `date_time`."""
        return self._zone.wall(instant).date()

    def of_wall(self, wall: datetime) -> date:
        """The day of a session that is filed under a wall-clock second."""
        return self.day(self._zone.to_utc(wall))

    def starts(self, day: date) -> datetime:
        """The instant at which a day begins."""
        return self._zone.to_utc(datetime.combine(day, time.min))

    def first_wall(self, day: date) -> datetime:
        """The first wall-clock second whose sessions are of a day: of the evening before, where
        the clock skips midnight."""
        return self._zone.wall(self.starts(day) - SECOND) + SECOND

    def is_over(self, day: date, now: datetime) -> bool:
        """Whether at an instant no further session can be filed under a day."""
        past = self._past.get(now)  # measured: it takes longer than all else about a day
        if past is None:
            past = self._past[now] = self._zone.first_wall(now)
        return past >= self.first_wall(day + ONE)

    def reaches_end(self, cell: Cell) -> bool:
        """Whether a cell ends where its day does."""
        return cell.end >= self.first_wall(cell.date + ONE)

    def cells(self, stretches: Iterable[Walls]) -> Iterator[Cell]:
        """The days of some stretches, in order."""
        for start, end in stretches:
            day = self.of_wall(start)
            first = self.first_wall(day)
            while first < end:
                after = self.first_wall(day + ONE)
                if first < after and start < after:  # a day that a zone skips has no length
                    is_whole = start <= first and after <= end
                    yield Cell(day, max(start, first), min(end, after), is_whole)
                day, first = day + ONE, after

    def widened(self, stretches: Sequence[Walls], first: datetime, end: datetime) -> list[Walls]:
        """Stretches of whole days, as far as they lie in `[first, end)`."""
        return [
            (
                min(start, max(first, self.first_wall(self.of_wall(start)))),
                max(till, min(end, self.first_wall(self.of_wall(till - SECOND) + ONE))),
            )
            for start, till in stretches
        ]
