"""The ledger: how many sessions of each local day a run has emitted, handed to the host as rows.

A day is handed over once its sessions have been written, and before the bookmarks pass it: so it
never claims more than has been written, and none is left out by a run that ends early.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tap_visitor_sessions.config import ACCOUNT, READ_AT, Settings, days_schema
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks import Reading, StreamState
from tap_visitor_sessions.sessions.days import Begun, Calendar, Counted, DayCounts, Tally, Walls
from tap_visitor_sessions.sessions.recheck import Recheck
from tap_visitor_sessions.sessions.zones import Timezone

logger = logging.getLogger("tap-visitor-sessions.ledger")

Day = Any
"""A msgspec.Struct with an attribute per column of `visitor_session_days`."""
WriteDays = Callable[[Sequence[Day]], None]
LARGEST_SHIFT = timedelta(hours=26)
"""Between two zones: from UTC-12 to UTC+14."""


class Ledger:
    """The days of the accounts of one run.

    Args:
        write: Takes days that have been read, to write them at once; None where nobody wants them.
        state: Remembers past days.
        rereads: Whether past days that differ are read again.
        remembers: Whether a later run is to know of the days of this one.
    """

    def __init__(
        self,
        settings: Settings,
        write: WriteDays | None,
        state: StreamState,
        *,
        rereads: bool = True,
        remembers: bool = True,
    ) -> None:
        self._settings, self._write = settings, write
        self._filter = filter_hash(settings.filter)
        self.recheck = Recheck(
            settings,
            state,
            self._filter,
            rereads=rereads,
            remembers=remembers,
            has_rows=write is not None,
        )
        self.is_on = write is not None or self.recheck.is_on
        self._accounts: dict[User | None, _Account] = {}
        schema = days_schema(
            is_partner=settings.is_partner, has_account=settings.account is not None
        )
        self._row: Any = msgspec.defstruct("Day", list(schema["properties"]), gc=False)
        self._has_told = False

    def opened(self, user: User | None, timezone: Timezone, reading: Reading) -> None:
        """An account is going to be read."""
        if self.is_on:
            self._accounts[user] = _Account(timezone, reading, self._filter)
            self.recheck.opened(user, timezone, reading)
            self._tell(user, reading)

    def opened_again(self, user: User | None, stretches: Sequence[Walls]) -> None:
        """Some days of an account are going to be read again."""
        account = self._accounts[user]
        account.is_again = True
        account.counts = DayCounts(account.calendar, stretches)

    def is_again(self, user: User | None) -> bool:
        """Whether what is read of an account is past days, which move no bookmark."""
        return self.is_on and self._accounts[user].is_again

    def tally(self, user: User | None, records: Sequence[Any]) -> Tally | None:
        """A window's records by day. Safe to call from several threads."""
        if not self.is_on:
            return None
        calendar = self._accounts[user].calendar
        return Tally.of(records, calendar, with_digest=self.recheck.by_ids)

    def take(self, user: User | None, tally: Tally | None) -> None:
        """A window comes next."""
        if tally is not None:
            self._accounts[user].counts.take(tally)

    def emitted(self, user: User | None, date_time: datetime, sessions: int) -> None:
        """So many more have been written, up to this `date_time`."""
        if self.is_on:
            self._end(user, self._accounts[user].counts.emitted(date_time, sessions))

    def finished(self, user: User | None, wall: datetime) -> None:
        """All sessions filed before a wall-clock second have been written."""
        if self.is_on:
            self._end(user, self._accounts[user].counts.finished(wall))

    def begun(self, user: User | None) -> Callable[[datetime], Begun]:
        """Says what has been emitted of the day that is being written, up to an instant."""
        counts = self._accounts[user].counts
        has_rows = self._write is not None
        return lambda until: replace(
            counts.begun(until), filter_hash=self._filter, has_rows=has_rows
        )

    def check_columns(self, names: Collection[str]) -> None:
        """Warn where the rows do not say what the ledger is to be compared with."""
        if self._write is not None and READ_AT not in names:
            logger.warning(
                "visitor_session_days is selected, and the column read_at is not: sessions that "
                "are gone at the vendor cannot be told from the others, and a query that compares "
                "read_at with the days takes those for gone that are there. Select both"
            )

    def _end(self, user: User | None, days: Sequence[Counted]) -> None:
        if days and self._write is not None:
            self._write([self._made(user, day) for day in days])
        for day in days:
            self.recheck.note(user, day)

    def _made(self, user: User | None, day: Counted) -> Day:
        account = self._accounts[user]
        is_over = account.calendar.is_over(day.cell.date, account.reading.now)
        # Under the zone of before, sessions of other days lie in the table on this one.
        is_clear = day.cell.start > account.shifted_until
        values: Mapping[str, Any] = {
            "date": day.cell.date,
            "sessions": day.sum.sessions,
            "complete": day.cell.is_whole and is_over and is_clear,
            "read_at": day.read_at,
            "timezone": account.timezone.name,
            "filter_hash": self._filter,
            ACCOUNT: self._settings.account,
            "customer_id": getattr(user, "customer_id", None),
            "user_id": getattr(user, "user_id", None),
        }
        return self._row(**{name: values[name] for name in self._row.__struct_fields__})

    def _tell(self, user: User | None, reading: Reading) -> None:
        """Warn, once, of what the rows of former runs do not say."""
        bookmarks, begun = reading.bookmarks, reading.bookmarks.begun
        if self._write is None or self._has_told or not bookmarks.read or not reading.stretches:
            return
        has_rows = begun is not None and begun.has_rows
        is_same = begun is not None and begun.filter_hash == self._filter
        first = self.recheck.first(user) or reading.stretches[-1][0]
        if not has_rows and first <= reading.first:
            return  # a recheck brings the rows of all
        self._has_told = not (has_rows and is_same)
        if has_rows and not is_same:
            logger.warning(
                "The setting filter is another than in the last run: on days that are read again "
                "the sessions that it leaves out look as if they were gone (filter_hash of "
                "visitor_session_days tells the days apart)"
            )
        elif self._has_told:
            logger.warning(
                "visitor_session_days begins with %s: of the days before it, which have been read, "
                "it has no rows. A longer lookback_window, once, or a full refresh gives them",
                first.date(),
            )


class _Account:
    """An account that is read."""

    def __init__(self, timezone: Timezone, reading: Reading, filter_: str | None) -> None:
        self.timezone, self.reading, self.is_again = timezone, reading, False
        self.calendar = Calendar(timezone.zone)
        loaded = () if reading.afresh else reading.bookmarks.loaded_under
        self.shifted_until = max(
            (one.until + LARGEST_SHIFT for one in loaded), default=datetime.min
        )
        begun = reading.bookmarks.begun
        begins = reading.stretches[0][0] if reading.stretches else None
        if begun is not None and (
            begins is None
            or timezone.zone.to_utc(begins) != begun.until
            or begun.filter_hash != filter_
        ):
            begun = None
        self.counts = DayCounts(self.calendar, reading.stretches, begun)


def filter_hash(given: Mapping[str, Any] | None) -> str | None:
    """Tells two filters apart; None without one."""
    if given is None:
        return None
    text = msgspec.json.encode(given, order="sorted")
    return hashlib.sha256(text).hexdigest()[:16]
