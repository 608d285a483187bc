"""Where each account stands: the bookmarks of former runs and those of this one.

An account is that of a customer (its user is None), or of a partner's user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cached_property

from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    FormerState,
    Reading,
    formatted,
    next_turn,
)
from tap_visitor_sessions.sessions.zones import SECOND, Zone

logger = logging.getLogger("tap-visitor-sessions.positions")

Keep = Callable[[User | None, Bookmarks], None]
"""Puts the bookmarks of an account into the host's state."""


class Positions:
    """How far the accounts of one run have been read.

    Args:
        keep: Called whenever bookmarks have moved.
        incremental: Whether the run goes on from where the former have stopped; else all is read
            afresh.
        looks_back: Whether it re-reads the look-back before that.
        announces_version: Whether the loader is told afterwards to drop all that the run did not
            bring.
    """

    def __init__(
        self,
        settings: Settings,
        former: FormerState,
        keep: Keep,
        *,
        incremental: bool,
        announces_version: bool,
        looks_back: bool = True,
    ) -> None:
        self._settings = settings
        self._former_runs = former
        self._save = keep
        self._incremental = incremental
        self._looks_back = looks_back
        self._announces_version = announces_version
        self._readings: dict[User | None, Reading] = {}
        self._turn = former.latest_turn
        self._said: set[str] = set()

    # FormerState runs

    @property
    def known(self) -> list[int]:
        """Partner: the users of former runs."""
        return [one.user_id for one in self._former_runs.known]

    @cached_property
    def _by_user(self) -> dict[int, Bookmarks]:
        return {known.user_id: known.bookmarks for known in self._former_runs.known}

    @cached_property
    def _by_customer(self) -> dict[int, Bookmarks]:
        whose = {known.customer_id: known.bookmarks for known in reversed(self._former_runs.known)}
        return {
            customer: bookmarks for customer, bookmarks in whose.items() if customer is not None
        }

    def _former(self, user: User | None) -> Bookmarks:
        if user is None:
            return self._former_runs.own
        own = self._by_user.get(user.user_id)
        if own is None and self._settings.user_ids is None:
            # A customer's users see the same sessions: go on where the one before has stopped.
            own = self._by_customer.get(user.customer_id)
        return own or Bookmarks()

    def in_turn(self, users: Iterable[User]) -> list[User]:
        """Who was read the longest ago comes first, so that with whatever points a day has each
        has its turn; before them those never read, by id."""
        never = datetime.min.replace(tzinfo=timezone.utc)

        def place(user: User) -> tuple[str, datetime, int]:
            bookmarks = self._former(user)
            # An older version kept no turns: those that it has read come after the never read.
            return bookmarks.turn, bookmarks.until or never, user.user_id

        return sorted(users, key=place)

    # This run

    def opened(self, user: User | None, zone: Zone) -> Reading:
        """What is to be read of an account, and its bookmarks from here on."""
        settings = self._settings
        start, end = settings.start.value, settings.end.value if settings.end else settings.now
        first = zone.first_wall(start) if start.tzinfo else start
        last = zone.last_wall(end) if end.tzinfo else end
        former = self._former(user)
        bookmarks = former.taken_over(zone.to_utc(first), self._known_until(former))
        reading = Reading(
            bookmarks,
            first,
            last + SECOND,
            zone,
            settings.now,
            settings.lookback if self._looks_back else timedelta(0),
            afresh=not self._incremental,
            emitted_is_read=not self._looks_back,
        )
        self._readings[user] = reading
        self._keep(user)
        whose = f" of {user}" if user else ""
        spans = ", then ".join(f"from {a} to {b - SECOND}" for a, b in reading.stretches)
        logger.info("Reading sessions%s %s", whose, spans or "of no time")
        self._tell_of_span(reading, whose)
        return reading

    def _known_until(self, former: Bookmarks) -> datetime:
        """Up to where bookmarks can be built on."""
        if self._looks_back or former.bookmark is None:
            return self._settings.now
        # What has been emitted must not come again, whatever our clock says.
        return max(self._settings.now, former.bookmark + SECOND)

    def _tell_of_span(self, reading: Reading, whose: str) -> None:
        """Warn where the span wanted and the one read before do not go together."""
        settings, bookmarks = self._settings, reading.bookmarks
        start, end = reading.span
        if start > settings.now:
            self._warn_once("start_date", "lies in the future: there are no sessions to read yet")
        elif self._incremental and settings.end and bookmarks.until and end < bookmarks.until:
            self._warn_once(
                "end_date",
                f"lies before {formatted(bookmarks.until)}, up to which the sessions{whose} have "
                "been read: those are not read again. To read a span again, run with a state of "
                "its own, or a full refresh",
            )
        if self._announces_version and any(a < start or b > end for a, b in bookmarks.read):
            self._warn_once(
                "ACTIVATE_VERSION",
                f"follows, and sessions{whose} from {formatted(bookmarks.read[0][0])} to "
                f"{formatted(bookmarks.read[-1][1])} have been loaded before: the loader drops "
                "those outside of start_date and end_date",
            )

    def _warn_once(self, what: str, message: str) -> None:
        if what not in self._said:
            self._said.add(what)
            logger.warning("%s %s", what, message)

    def emitted(
        self, user: User | None, date_time: datetime, *, whole_second: bool = False
    ) -> None:
        """All sessions up to this one have been written, and perhaps all of its second."""
        self._readings[user].emitted(date_time, whole_second=whole_second)
        self._keep(user)

    def finished(self, user: User | None, wall: datetime) -> None:
        """All sessions filed before a wall-clock second have been written."""
        self._readings[user].finished(wall)
        self._keep(user)

    def take_turn(self, user: User | None) -> None:
        """A partner's customer has had its turn in this run."""
        if user is not None and user in self._readings:
            self._turn = next_turn(self._turn)
            reading = self._readings[user]
            reading.bookmarks = replace(reading.bookmarks, turn=self._turn)
            self._keep(user)

    def refused(self, user: User | None, columns: tuple[tuple[str, datetime], ...]) -> None:
        """The account's API refuses these columns, each since when it last did, and no others."""
        reading = self._readings[user]
        if reading.bookmarks.refused != columns:
            reading.bookmarks = replace(reading.bookmarks, refused=columns)
            self._keep(user)

    def version_activated(self) -> None:
        """From here on the loader holds no more than the spans of this run."""
        for user, reading in self._readings.items():
            start, end = reading.span
            bookmark = reading.bookmarks.bookmark
            if bookmark is not None and bookmark >= end:
                bookmark = None  # it would stand for what has been dropped
            only = replace(reading.bookmarks, bookmark=bookmark, read=()).with_read([reading.span])
            reading.bookmarks = only.taken_over(start, self._settings.now)
            self._keep(user)

    def reached(self) -> dict[str, str | None]:
        """How far the run came: a partner's, where the customer stands that is furthest behind."""
        all_ = [reading.bookmarks for reading in self._readings.values()]
        latest = [one.bookmark for one in all_ if one.bookmark]
        untils = [one.until for one in all_ if one.until]
        return {
            "bookmark": formatted(min(latest)) if latest else None,
            "read_until": formatted(min(untils)) if untils else None,
        }

    def _keep(self, user: User | None) -> None:
        self._save(user, self._readings[user].bookmarks)
