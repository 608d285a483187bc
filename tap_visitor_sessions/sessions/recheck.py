"""Past days looked at again: how many sessions has the API of them now, and which days differ.

A count of a span says whether any of its days has changed, up to changes that leave it as it was.
Halves find the days. Whether the API counts `date_till` in is not known: a session that a count
brings along, asked for by its own second, tells.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain
from operator import attrgetter

from tap_visitor_sessions.api import ApiError
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks import Reading, StreamState
from tap_visitor_sessions.sessions.days import (
    Calendar,
    Cell,
    Counted,
    Known,
    Sum,
    Walls,
    cut_of,
    mark_of,
    packed,
    unpacked,
)
from tap_visitor_sessions.sessions.windows import LONGEST, TOO_LONG, Window
from tap_visitor_sessions.sessions.zones import SECOND, Timezone

logger = logging.getLogger("tap-visitor-sessions.recheck")

LEAST = timedelta(days=2)
"""Less holds no day but those that a run reads anyway."""
PAGES = 10
"""So many are compared by ids at once: what differs among them is read before the next are asked
for. Where a day's points end before all have been, the next run begins where this one ended."""
FEW = 3
"""Of so many days all are read again: to find the one that differs would cost no less."""
TOLD = 10
"""So many days are named in a warning."""
NOTHING = Sum()

Count = Callable[[Window], tuple[int, datetime | None]]
"""How many sessions the API counts in a closed span, and when one of them was."""
Sums = Callable[[Sequence[Walls]], dict[date, Sum]]
"""The sessions of some stretches by day, from their ids."""


class Recheck:
    """The past days of the accounts of one run.

    Args:
        state: Remembers them.
        rereads: Whether those that differ are read again; else days are remembered alone.
        remembers: Whether they are to be remembered.
        has_rows: Whether the days that are read are written as rows, too.
    """

    def __init__(
        self,
        settings: Settings,
        state: StreamState,
        filter_hash: str | None,
        *,
        rereads: bool = True,
        remembers: bool = True,
        has_rows: bool = True,
    ) -> None:
        self._settings, self._state, self._filter = settings, state, filter_hash
        self._rereads, self._has_rows = rereads, has_rows
        self.is_on = settings.recheck is not None and remembers
        self.by_ids = self.is_on and settings.recheck_depth == "ids"
        self._accounts: dict[User | None, _Remembered] = {}
        self._counts_till: bool | None = None
        self._unknown = 0
        if remembers:  # without the setting nobody keeps them up to date: they are forgotten
            state.take_days()
        window = settings.recheck
        if self.is_on and rereads and window is not None and window < LEAST:
            logger.warning(
                "recheck_window: within %s lies no day but those that are read anyway: none is "
                "looked at again. Take P3D or more",
                settings.recheck_window,
            )

    def opened(self, user: User | None, timezone: Timezone, reading: Reading) -> None:
        """An account is going to be read."""
        if self.is_on:
            mark, known = self._known(user, timezone)
            self._accounts[user] = _Remembered(Calendar(timezone.zone), reading, mark, known)

    def _known(self, user: User | None, timezone: Timezone) -> tuple[str, Known]:
        """The mark of an account's days, and what is known of them. Where rows are wanted, days
        that were counted without one are not known: what has changed on them would never be
        written."""
        what = (timezone.name, self._filter, "ids" if self.by_ids else None)
        with_rows, without = mark_of(*what), mark_of(*what, "no rows")
        known = [
            unpacked(self._state.days_of(user), mark, with_digests=self.by_ids)
            for mark in ([with_rows] if self._has_rows else [with_rows, without])
        ]
        return with_rows if self._has_rows else without, max(known, key=lambda one: len(one.days))

    def first(self, user: User | None) -> datetime | None:
        """From which wall-clock second on the days of an account are looked at; None if none is."""
        account = self._accounts.get(user)
        return self._first_wall(account) if account is not None and self._rereads else None

    def note(self, user: User | None, counted: Counted) -> None:
        """A day has been read and written."""
        account = self._accounts.get(user)
        if account is not None:
            account.note(counted)

    def stretches(
        self, user: User | None, count: Count, sums: Sums, is_scarce: Callable[[], bool]
    ) -> Iterator[list[Walls]]:
        """What of an account is to be read again: spans of its wall clock, each of whole days, as
        far as they are wanted. All at once, or, where few points are left, each day as soon as it
        is found: a search that the points end has then come further than the one before.

        Raises:
            TapError: the API cannot be asked.
        """
        if not self._rereads:
            return
        account = self._accounts[user]
        cells = account.past(self._first_wall(account))
        known = [cell for cell in cells if account.knows(cell)]
        found = [cell for cell in cells if not account.knows(cell)]
        whose = f" of {user}" if user else ""
        if found:
            self._unknown += 1
            if self._unknown == 1:
                logger.warning(
                    "recheck_window: of %d days%s the state remembers no count: they are read "
                    "again, once, at a point for each page of them%s",
                    len(found),
                    whose,
                    " (and so for other customers)" if user else "",
                )
        differing = 0
        for some in self._differing(account, known, count, sums):
            differing += len(some)
            found += some
            if found and (self.by_ids or is_scarce()):
                yield _joined(found)
                found = []
        if differing:
            logger.info(
                "Recheck%s: %d of %d days differ from what was read, and are read again",
                whose,
                differing,
                len(known),
            )
        if found:
            yield _joined(found)

    def _differing(
        self, account: _Remembered, known: Sequence[Cell], count: Count, sums: Sums
    ) -> Iterator[list[Cell]]:
        """The days that the API has otherwise than they are remembered, some at a time."""
        turn = bisect_left([cell.date for cell in known], account.known.next or date.min)
        for some in (known[turn:], known[:turn]):
            for group in self._pages(account, some) if self.by_ids else _groups(some):
                account.begin_with(group[0].date)  # should the points end here
                if self.by_ids:
                    yield self._by_ids(account, group, sums)
                else:
                    for cell in self._by_count(account, group, count):
                        yield [cell]
        account.begin_with(None)

    def _pages(self, account: _Remembered, cells: Sequence[Cell]) -> Iterator[list[Cell]]:
        """Days whose ids are compared at once."""
        most, group, sessions = PAGES * self._settings.page_size, list[Cell](), 0
        for cell in cells:
            more = account.known.days[cell.date].sessions
            if group and sessions + more > most:
                yield group
                group, sessions = [], 0
            group.append(cell)
            sessions += more
        if group:
            yield group

    def completed(self, user: User | None) -> None:
        """All days of an account have been looked at: what is to be remembered, and told."""
        account = self._accounts.get(user)
        if account is None:
            return
        self.keep(user)
        del self._accounts[user]
        if account.fewer:
            named = ", ".join(
                f"{day} ({now}, were {was})" for day, was, now in account.fewer[:TOLD]
            )
            more = f" and {len(account.fewer) - TOLD} more" if len(account.fewer) > TOLD else ""
            logger.warning(
                "Days%s have fewer sessions than before: %s%s: deleted at the vendor, or the key "
                "sees less",
                f" of {user}" if user else "",
                named,
                more,
            )
            account.fewer.clear()

    def keep(self, user: User | None) -> None:
        """What is known of an account's days so far is remembered."""
        account = self._accounts[user]
        first = account.calendar.of_wall(self._first_wall(account))
        form = packed(account.known.since(first), account.mark, with_digests=self.by_ids)
        self._state.keep_days(user, form)

    def end(self) -> None:
        """The run ends: the state holds all that is remembered."""
        if self.is_on:
            for user in self._accounts:
                self.keep(user)
            self._state.put_days()

    def _first_wall(self, account: _Remembered) -> datetime:
        """The first day of the window, or of what is wanted."""
        assert self._settings.recheck is not None
        calendar, reading = account.calendar, account.reading
        try:
            since = reading.now - self._settings.recheck.as_timedelta()
        except OverflowError:
            return reading.first
        return max(calendar.first_wall(calendar.day(since)), reading.first)

    def _by_ids(self, account: _Remembered, cells: Sequence[Cell], sums: Sums) -> list[Cell]:
        now = sums(_joined(cells))
        return [
            cell for cell in cells if now.get(cell.date, NOTHING) != account.known.days[cell.date]
        ]

    def _by_count(
        self, account: _Remembered, cells: Sequence[Cell], count: Count
    ) -> Iterator[Cell]:
        """Those of some days that follow each other that differ, each as soon as it is found."""
        days = account.known.days

        def expected(some: Sequence[Cell]) -> int:
            return sum(days[cell.date].sessions for cell in some)

        def counted(some: Sequence[Cell]) -> tuple[int, datetime | None]:
            end = some[-1].end - (0 if self._counts_till is False else 1) * SECOND
            return count(Window(some[0].start, end))

        def differ(some: Sequence[Cell], total: int) -> Iterator[Cell]:
            if total == expected(some):
                return
            if len(some) == 1 or not total:
                yield from [cell for cell in some if total or days[cell.date].sessions]
                return
            half = len(some) // 2
            left, _ = counted(some[:half])
            is_found = False
            for cell in chain(differ(some[:half], left), differ(some[half:], total - left)):
                is_found = True
                yield cell
            if not is_found:  # sessions came or went in between
                yield from some

        try:
            total, at = counted(cells)
        except ApiError as problem:
            if problem.mnemonic != TOO_LONG or len(cells) == 1:
                raise
            half = len(cells) // 2
            yield from self._by_count(account, cells[:half], count)
            yield from self._by_count(account, cells[half:], count)
            return
        if self._counts_till is None and total:
            wanted, at_last = expected(cells), days[cells[-1].date].at_last
            if total == wanted and not at_last:
                return
            # Sessions of the last second hide as many that came or went, until it is known
            # whether they are among those that were counted.
            if at is None or (len(cells) <= FEW and total not in (wanted, wanted - at_last)):
                yield from cells
                return
            self._counts_till = count(Window(at, at))[0] > 0
            if not self._counts_till:
                total, _ = counted(cells)
        yield from differ(cells, total)


class _Remembered:
    """An account that is read, and what is known of its days."""

    def __init__(self, calendar: Calendar, reading: Reading, mark: str, known: Known) -> None:
        self.calendar, self.reading, self.mark = calendar, reading, mark
        self.known = known
        self.fewer: list[tuple[date, int, int]] = []
        self._read: set[date] = set()

    def note(self, counted: Counted) -> None:
        """A day has been read."""
        cell, found = counted.cell, counted.sum
        if not self._is_all(cell):
            self.known.drop(cell.date)
            return
        if self.knows(cell) and found.sessions < (was := self.known.days[cell.date].sessions):
            self.fewer.append((cell.date, was, found.sessions))
        self.known.take(cell, found)
        self._read.add(cell.date)

    def begin_with(self, day: date | None) -> None:
        """With which day the next run is to begin to look at them."""
        self.known = replace(self.known, next=day)

    def past(self, first: datetime) -> list[Cell]:
        """The days from a wall-clock second on that this run has not read."""
        cells = self.calendar.cells([(first, self.reading.end)])
        return [cell for cell in cells if self._is_all(cell) and cell.date not in self._read]

    def knows(self, cell: Cell) -> bool:
        """Whether it is known how many sessions a day has within a cell."""
        return cell.date in self.known.days and self.known.cut.get(cell.date) == cut_of(cell)

    def _is_all(self, cell: Cell) -> bool:
        """Whether it is all that is wanted of a day, and the day is over."""
        calendar, reading = self.calendar, self.reading
        return (
            cell.start <= max(calendar.first_wall(cell.date), reading.first)
            and (calendar.reaches_end(cell) or cell.end >= reading.end)
            and calendar.is_over(cell.date, reading.now)
        )


def _groups(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Days that follow each other, each group within the API's longest span."""
    group: list[Cell] = []
    for cell in cells:
        if group and (cell.start != group[-1].end or cell.end - group[0].start > LONGEST):
            yield group
            group = []
        group.append(cell)
    if group:
        yield group


def _joined(cells: Iterable[Cell]) -> list[Walls]:
    found: list[Walls] = []
    for cell in sorted(cells, key=attrgetter("start")):
        if found and found[-1][1] == cell.start:
            found[-1] = (found[-1][0], cell.end)
        else:
            found.append((cell.start, cell.end))
    return found
