"""How far an account has been read: what a run takes over from the ones before, and hands on.

Pure arithmetic on instants. A *span* is `[start, end)`: two aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pendulum

from tap_visitor_sessions.sessions.days import Begun, Calendar
from tap_visitor_sessions.sessions.zones import SECOND, Timezone, Zone

Span = tuple[datetime, datetime]
ASKED_AGAIN = timedelta(days=7)
"""After so long a column that was refused is asked for again."""
TURN = "%Y-%m-%dT%H:%M:%S.%fZ"
"""How a turn is formatted: texts in the order of time."""


def formatted(date_time: datetime) -> str:
    """An instant in UTC, to the second, as hosts spell it."""
    return f"{date_time:%Y-%m-%dT%H:%M:%SZ}"


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same instants as few spans, in order; empty ones fall away."""
    result: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return tuple(result)


def before(spans: Iterable[Span], instant: datetime) -> tuple[Span, ...]:
    """What of the spans lies before an instant."""
    return union((start, min(end, instant)) for start, end in spans)


def unread(wanted: Span, read: Sequence[Span], look_back: timedelta) -> tuple[Span, ...]:
    """What of a wanted span is to be read, in order.

    Each stretch that follows one already read begins `look_back` earlier, since sessions go on
    changing after they are first seen.

    Args:
        read: As `union` gives them.
    """
    start, end = wanted
    stretches: list[Span] = []
    at = start
    for first, last in read:
        stretches.append((at, min(first, end)))
        at = max(start, _earlier(last, look_back))
    return union([*stretches, (at, end)])


def _earlier(instant: datetime, by: timedelta) -> datetime:
    try:
        # pendulum takes a month of a duration for one of the calendar.
        moved = pendulum.instance(instant) - by
        return datetime.fromtimestamp(moved.timestamp(), timezone.utc)
    except (OverflowError, ValueError):
        return datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, order=True)
class Loaded:
    """Sessions that were loaded under a time zone which has been corrected since.

    Attributes:
        timezone: Its IANA name.
        until: Up to which wall-clock second (naive).
    """

    timezone: str
    until: datetime


@dataclass(frozen=True)
class Bookmarks:
    """How far an account has been read.

    Attributes:
        bookmark: The largest `date_time` emitted.
        read: The spans that have been read, with or without sessions in them.
        turn: When it was last read, as STATE spells it; "" when never.
        refused: Columns that its API has refused, each with when it last did.
        timezone: That of the account, as it was read; None in a state of an older version.
        loaded_under: What was loaded under other zones, in order.
        begun: What has been emitted of the last day, where days are counted.
    """

    bookmark: datetime | None = None
    read: tuple[Span, ...] = ()
    turn: str = ""
    refused: tuple[tuple[str, datetime], ...] = ()
    timezone: Timezone | None = None
    loaded_under: tuple[Loaded, ...] = ()
    begun: Begun | None = None

    @property
    def until(self) -> datetime | None:
        """How far it has been read: the later of the bookmark and the end of what was read."""
        ends = [end for _, end in self.read[-1:]]
        return max([*ends, *([self.bookmark] if self.bookmark else [])], default=None)

    def is_further_than(self, former: Bookmarks) -> bool:
        """Whether they stand for something that the former ones do not."""
        covered = union([*former.read, *self.read]) != union(former.read)
        later = self.bookmark is not None and (
            former.bookmark is None or self.bookmark > former.bookmark
        )
        return covered or later

    def taken_over(self, start: datetime, now: datetime) -> Bookmarks:
        """The bookmarks as a run can build on them.

        A bookmark without spans is of an older version: what lies between `start` and it has
        been read. What lies after `now` has not, whatever the bookmarks say.

        Args:
            start: The first instant wanted.
        """
        bookmark, read = self.bookmark, self.read
        if bookmark is not None:
            # An older version moves the bookmark on and leaves the spans as they are.
            since = read[-1][1] if read else start
            read = union([*read, (min(since, bookmark), bookmark)])
            if bookmark > now:
                bookmark = None
        return replace(self, bookmark=bookmark, read=before(read, now))

    def under(self, timezone: Timezone) -> Bookmarks:
        """The bookmarks under the zone of today.

        A setting that has been corrected means that the same wall-clock spans were asked for: they
        are carried over by the wall clock. Where the API says another zone than it did, what was
        read is right: the instants stay.
        """
        was = self.timezone
        if was is None or was.name == timezone.name or was.by == timezone.by == "api":
            return replace(self, timezone=timezone)
        old, new = was.zone, timezone.zone

        bookmark, loaded = self.bookmark, self.loaded_under
        read = union(
            (new.to_utc(old.last_wall(start)), new.to_utc(old.first_wall(end)))
            for start, end in self.read
        )
        if bookmark is not None:
            loaded = (*loaded, Loaded(was.name, old.wall(bookmark)))
            # Or it would stand for the second pass of an hour.
            bookmark = min([new.to_utc(old.wall(bookmark)), *(end for _, end in read[-1:])])
        return replace(
            self,
            bookmark=bookmark,
            read=read,
            timezone=timezone,
            loaded_under=tuple(one for one in loaded if one.timezone != timezone.name),
            begun=None,
        )

    def joined(self, other: Bookmarks) -> Bookmarks:
        """Those of two users who see the same sessions, under the same zone."""
        bookmarks = [one for one in (self.bookmark, other.bookmark) if one is not None]
        return replace(
            self,
            bookmark=max(bookmarks, default=None),
            read=union([*self.read, *other.read]),
            turn=max(self.turn, other.turn),
            refused=tuple(sorted({**dict(self.refused), **dict(other.refused)}.items())),
            loaded_under=tuple(sorted({*self.loaded_under, *other.loaded_under})),
            begun=max(
                (one for one in (self.begun, other.begun) if one),
                key=lambda one: one.until,
                default=None,
            ),
        )

    def with_emitted(self, date_time: datetime) -> Bookmarks:
        """With a bookmark that has moved on, never back."""
        if self.bookmark is not None and date_time <= self.bookmark:
            return self
        return replace(self, bookmark=date_time)

    def not_asked(self, now: datetime) -> tuple[tuple[str, datetime], ...]:
        """Of the columns refused those that it is too early to ask for again."""
        return tuple((name, at) for name, at in self.refused if now - ASKED_AGAIN < at <= now)

    def with_read(self, spans: Iterable[Span]) -> Bookmarks:
        """With further spans that have been read."""
        return replace(self, read=union([*self.read, *spans]))


@dataclass(frozen=True)
class UserState:
    """What former runs say of a partner's user: whose bookmarks, and which."""

    user_id: int
    customer_id: int | None
    bookmarks: Bookmarks


@dataclass(frozen=True)
class FormerState:
    """What former runs say.

    Attributes:
        own: The bookmarks of a customer's account.
        known: Of a partner's users, those first that were read the furthest.
    """

    own: Bookmarks = Bookmarks()
    known: Sequence[UserState] = ()

    @property
    def latest_turn(self) -> str:
        """The last turn that any of the users has had."""
        return max((one.bookmarks.turn for one in self.known), default="")


class Reading:
    """The reading of one account: what is wanted of it, and its bookmarks as it goes.

    Args:
        bookmarks: Of former runs, as `Bookmarks.taken_over` gives them.
        first: The first wall-clock second wanted.
        end: The wall-clock second after the last one wanted.
        zone: Whose wall clock.
        now: The instant (UTC) that the run takes for now: later ones have not been read,
            whatever the API was asked for.
        afresh: Whether all is wanted, read or not.
        emitted_is_read: Whether later ones have been, too, once they are emitted: they must not
            come again, even where the API's clock is ahead.
        whole_days: Whether each local day of which some is read is read whole.
    """

    def __init__(
        self,
        bookmarks: Bookmarks,
        first: datetime,
        end: datetime,
        zone: Zone,
        now: datetime,
        look_back: timedelta,
        *,
        afresh: bool = False,
        emitted_is_read: bool = False,
        whole_days: bool = False,
    ) -> None:
        self.bookmarks = bookmarks
        self._zone, self.now = zone, now
        self.first, self.end = first, end
        self._emitted_is_read = emitted_is_read
        self.at: datetime | None = None
        """Up to which instant this run has read, as the bookmarks say."""
        self._latest: datetime | None = None  # of what this run has emitted
        # Inside a gap of the clock all seconds are one instant: the last one is counted in.
        behind = max(zone.to_utc(end), zone.to_utc(end - SECOND) + SECOND)
        self.span: Span = (zone.to_utc(first), behind)
        self.afresh = afresh
        self._wanted = unread(self.span, () if afresh else bookmarks.read, look_back)
        walls = [
            (
                first if start == self.span[0] else zone.first_wall(start),
                # What is read from `till` on may begin inside a gap, and leave out its seconds.
                end
                if till == self.span[1]
                else max(zone.last_wall(till - SECOND) + SECOND, zone.wall(till)),
            )
            for start, till in self._wanted
        ]
        if whole_days:
            walls = Calendar(zone).widened(union(walls), first, end)
        self.stretches: tuple[tuple[datetime, datetime], ...] = union(walls)
        """What to ask for: naive wall-clock spans `[start, end)`, in order."""

    @property
    def comes_again(self) -> bool:
        """Whether of what has been emitted some lies behind `at`: the next run reads it again."""
        return self.at is not None and self._latest is not None and self._latest >= self.at

    def covers(self, wall: datetime) -> bool:
        """Whether the span wanted reaches as far as a wall-clock second."""
        return self._zone.to_utc(wall) < self.span[1]

    def emitted(self, date_time: datetime, *, whole_second: bool = False) -> None:
        """All sessions up to this one have been emitted, and all of its second or perhaps not."""
        self.bookmarks, self._latest = self.bookmarks.with_emitted(date_time), date_time
        self._reached(date_time + SECOND if whole_second else date_time)

    def finished(self, wall: datetime) -> None:
        """All sessions filed before a wall-clock second have been emitted."""
        self._reached(self._zone.to_utc(wall))

    def _reached(self, instant: datetime) -> None:
        latest, bookmark = self.now, self.bookmarks.bookmark
        if self._emitted_is_read and bookmark is not None:
            latest = max(latest, bookmark + SECOND)
        self.at = min(instant, latest)
        self.bookmarks = self.bookmarks.with_read(before(self._wanted, self.at))


def next_turn(last: str) -> str:
    """Now, as a turn is formatted: later than the last one given, whatever the clock says."""
    at = datetime.now(timezone.utc)
    try:
        before = datetime.strptime(last, TURN).replace(tzinfo=timezone.utc)
        at = max(at, before + timedelta(microseconds=1))
    except (ValueError, OverflowError):
        pass
    return at.strftime(TURN)
