"""Wall clock of an account <-> UTC, so that order never goes back.

The API speaks naive wall-clock times. Read as UTC they must not decrease as the wall
clock increases, or the stream would go back at a DST change. So a wall time that occurs
twice is read as the first, and one that never occurs (inside a gap) as the instant of
the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pendulum

if TYPE_CHECKING:
    from datetime import tzinfo

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
LONGEST_FOLD = 26
"""Hours that a clock can be set back at once: from +14:00 to -12:00."""
UTC = timezone.utc


class Zone:
    """A time zone as the API's wall clock sees it. Not shared between threads by need:
    the cache is only ever added to."""

    def __init__(self, tz: tzinfo) -> None:
        self._tz = tz
        self._fixed: dict[int, timedelta | None] = {}

    def to_utc(self, wall: datetime) -> datetime:
        """The instant (aware, UTC) at which a naive wall-clock time is read."""
        ordinal = wall.toordinal()
        try:
            offset = self._fixed[ordinal]
        except KeyError:
            offset = self._fixed[ordinal] = self._offset_of_day(wall)
        if offset is None:
            return self._to_utc_exactly(wall)
        return (wall - offset).replace(tzinfo=UTC)

    def first_wall(self, instant: datetime) -> datetime:
        """The earliest wall-clock second, naive, at which a session of `instant` or later
        can be filed: in the first pass of a repeated hour, the second pass's beginning."""
        # At the very end of a gap: sessions filed inside the gap are read as this instant.
        earliest = min(self.wall(instant), self.wall(instant - SECOND) + SECOND)
        for hours in range(LONGEST_FOLD):
            low, high = instant + hours * HOUR, instant + (hours + 1) * HOUR
            if self._offset_at(high) < self._offset_at(low):
                earliest = min(earliest, self.wall(self._change_between(low, high)))
        return earliest

    def last_wall(self, instant: datetime) -> datetime:
        """The latest wall-clock second, naive, at which a session read as `instant` or
        earlier can be filed: in the second pass of a repeated hour, the hour's end."""
        aware = instant.astimezone(self._tz).replace(microsecond=0)
        wall = aware.replace(tzinfo=None)
        if aware.fold == 0:
            return wall
        first = self._to_utc_exactly(wall)
        change = self._change_between(first, instant)
        return self.wall(change - SECOND)

    def differs_from(self, other: Zone, since: datetime, until: datetime) -> datetime | None:
        """The first of the instants, a day apart, at which the two clocks differ; None where
        they agree, as those of two names of one zone do."""
        at = since
        while at <= until:
            if at.astimezone(self._tz).utcoffset() != at.astimezone(other._tz).utcoffset():
                return at
            at += timedelta(days=1)
        return None

    def wall(self, instant: datetime) -> datetime:
        """What the clock shows at an instant, naive, in whole seconds."""
        return instant.astimezone(self._tz).replace(microsecond=0, tzinfo=None, fold=0)

    def _offset_at(self, instant: datetime) -> timedelta:
        offset = instant.astimezone(self._tz).utcoffset()
        assert offset is not None
        return offset

    def _offset(self, wall: datetime, fold: int) -> timedelta:
        offset = wall.replace(tzinfo=self._tz, fold=fold).utcoffset()
        assert offset is not None
        return offset

    def _offset_of_day(self, wall: datetime) -> timedelta | None:
        """The day's one offset, or None where it changes (or the calendar ends)."""
        day = datetime(wall.year, wall.month, wall.day)
        try:
            # A midnight that occurs twice, or never, is read as both sides of the change.
            start, end = self._offset(day, 0), self._offset(day + timedelta(days=1), 1)
        except OverflowError:
            return None
        return start if start == end else None

    def _to_utc_exactly(self, wall: datetime) -> datetime:
        before, after = self._offset(wall, 0), self._offset(wall, 1)
        instant = (wall - before).replace(tzinfo=UTC)
        if after > before:  # a gap: this wall time never occurs
            return self._change_between((wall - after).replace(tzinfo=UTC), instant)
        return instant

    def _change_between(self, low: datetime, high: datetime) -> datetime:
        """The first whole second in (low, high] with another offset than `low`."""
        base = self._offset_at(low)
        lo, hi = int(low.timestamp()), int(high.timestamp())
        while hi - lo > 1:
            mid = (lo + hi) // 2
            same = datetime.fromtimestamp(mid, self._tz).utcoffset() == base
            lo, hi = (mid, hi) if same else (lo, mid)
        return datetime.fromtimestamp(hi, UTC)


@dataclass(frozen=True)
class Timezone:
    """The time zone of an account.

    Attributes:
        name: Its IANA name.
        by: Who says so: a setting, or the API.
    """

    name: str
    by: Literal["setting", "api"]

    @cached_property
    def zone(self) -> Zone:
        """Its clock."""
        return Zone(pendulum.timezone(self.name))
