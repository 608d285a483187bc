"""How many sessions of each local day have been emitted."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any

from tap_visitor_sessions.sessions.days.calendar import ONE, Calendar, Cell
from tap_visitor_sessions.sessions.zones import SECOND, UTC

_BITS = 64
_MASK = (1 << _BITS) - 1
_time = attrgetter("date_time")


def digest_of(ids: Iterable[int]) -> int:
    """Eight bytes that tell two sets of ids apart; those of two sets without a common id add up."""
    total: int = 0
    for one in ids:
        hashed = hashlib.blake2b(b"%d" % one, digest_size=_BITS // 8).digest()
        total += int.from_bytes(hashed, "big")
    return total & _MASK


@dataclass(frozen=True)
class Sum:
    """Sessions of a day.

    Attributes:
        at_last: How many of them are of its last second.
        digest: Of their ids; 0 where nobody asks for it.
    """

    sessions: int = 0
    at_last: int = 0
    digest: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.sessions + other.sessions,
            self.at_last + other.at_last,
            (self.digest + other.digest) & _MASK,
        )


@dataclass(frozen=True)
class Tally:
    """The sessions of a window, by day.

    Attributes:
        read_at: Before any of them was finished, and after the run began.
    """

    days: Sequence[tuple[date, Sum]]
    read_at: datetime

    @classmethod
    def of(cls, records: Sequence[Any], calendar: Calendar, *, with_digest: bool = False) -> Tally:
        """That of finished records, sorted by `date_time`."""
        found: list[tuple[date, Sum]] = []
        at = 0
        while at < len(records):
            day = calendar.day(records[at].date_time)
            ends = calendar.starts(day + ONE)
            end = max(bisect_left(records, ends, at, key=_time), at + 1)
            at_last = end - bisect_left(records, ends - SECOND, at, end, key=_time)
            digest = digest_of(one.id for one in records[at:end]) if with_digest else 0
            found.append((day, Sum(end - at, at_last, digest)))
            at = end
        now = datetime.now(UTC)
        return cls(found, min((getattr(one, "read_at", now) for one in records), default=now))


@dataclass(frozen=True)
class Counted:
    """A day that has been written, as far as it was read.

    Attributes:
        read_at: No later than its sessions were read.
    """

    cell: Cell
    sum: Sum
    read_at: datetime


@dataclass(frozen=True)
class Begun:
    """What former runs have emitted of a day, where they have emitted all before an instant.

    Attributes:
        sessions: Those of the day; None where not all of it was read.
        read_at: When its first sessions were read.
        filter_hash: Under which filter; None without one.
        has_rows: Whether the days before it have been written as rows.
    """

    until: datetime
    sessions: int | None
    read_at: datetime
    filter_hash: str | None = None
    has_rows: bool = True


@dataclass
class _Held:
    sum: Sum = field(default_factory=Sum)
    read_at: datetime | None = None


class DayCounts:
    """The days of one read of an account, counted as its sessions are written.

    Args:
        stretches: What is read: wall-clock spans `[start, end)`, in order.
        begun: What has been emitted of the day within which the read begins.
    """

    def __init__(
        self,
        calendar: Calendar,
        stretches: Iterable[tuple[datetime, datetime]],
        begun: Begun | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calendar, self._clock = calendar, clock
        self._cells: Iterator[Cell] = calendar.cells(stretches)
        self._cell = next(self._cells, None)
        self._held: dict[date, _Held] = {}
        self._turns_at: datetime | None = None  # when the day of what is emitted ends
        self._open = 0
        self._last: Counted | None = None
        if begun is not None and begun.sessions is not None and self._cell is not None:
            self._cell = replace(
                self._cell,
                start=calendar.first_wall(self._cell.date),
                is_whole=calendar.reaches_end(self._cell),
            )
            self._held[self._cell.date] = _Held(Sum(begun.sessions), begun.read_at)
            self._open = begun.sessions

    def begun(self, until: datetime) -> Begun:
        """What has been emitted of the day that is being written, up to an instant."""
        sessions: int | None
        if self._cell is not None:
            cell, sessions, held = self._cell, self._open, self._held.get(self._cell.date)
            read_at = held and held.read_at
        elif self._last is not None and not self._calendar.reaches_end(self._last.cell):
            cell, read_at = self._last.cell, self._last.read_at
            sessions = self._last.sum.sessions
        else:
            return Begun(until, 0, self._clock())
        if cell.start > self._calendar.first_wall(cell.date):
            sessions = None
        return Begun(until, sessions, read_at or self._clock())

    def take(self, tally: Tally) -> None:
        """The sessions of a window come next."""
        for day, found in tally.days:
            held = self._held.setdefault(day, _Held())
            held.sum += found
            held.read_at = min(held.read_at or tally.read_at, tally.read_at)

    def emitted(self, date_time: datetime, sessions: int) -> list[Counted]:
        """So many more have been written, up to one of this `date_time`; the days that ended
        before it."""
        self._open += sessions
        if self._turns_at is not None and date_time < self._turns_at:
            return []
        day = self._calendar.day(date_time)
        self._turns_at = self._calendar.starts(day + ONE)
        return self._ended(lambda cell: cell.date < day)

    def finished(self, wall: datetime) -> list[Counted]:
        """All that is filed before a wall-clock second has been written; the days that end there
        or before."""
        return self._ended(lambda cell: cell.end <= wall)

    def _ended(self, has_ended: Callable[[Cell], bool]) -> list[Counted]:
        found = []
        while self._cell is not None and has_ended(self._cell):
            held = self._held.pop(self._cell.date, None) or _Held()
            self._open -= held.sum.sessions
            self._last = Counted(self._cell, held.sum, held.read_at or self._clock())
            found.append(self._last)
            self._cell = next(self._cells, None)
        return found
