"""Where each account stands: the bookmarks of former runs and those of this one.

An account is that of a customer (its user is None), or of a partner's user.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cached_property, reduce

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    Reading,
    UserState,
    formatted,
    next_turn,
)
from tap_visitor_sessions.sessions.bookmarks.state import StreamState
from tap_visitor_sessions.sessions.days import Begun
from tap_visitor_sessions.sessions.zones import SECOND, Timezone

logger = logging.getLogger("tap-visitor-sessions.positions")

QUARTER = 89
"""Days of which a request asks at most."""
NAMED = 10
"""So many accounts are warned of by name."""


class Positions:
    """How far the accounts of one run have been read.

    Args:
        state: What former runs say; it is kept up to date.
        incremental: Whether the run goes on from where the former have stopped; else all is read
            afresh.
        looks_back: Whether it re-reads the look-back before that.
        announces_version: Whether the loader is told afterwards to drop all that the run did not
            bring.
        clock_lead: By how much this machine's clock is ahead of the API's, as far as is known.
        counts_days: Whether local days are counted, and so read whole.
    """

    def __init__(
        self,
        settings: Settings,
        state: StreamState,
        *,
        incremental: bool,
        announces_version: bool,
        looks_back: bool = True,
        clock_lead: Callable[[], timedelta] = timedelta,
        counts_days: bool = False,
    ) -> None:
        self._settings = settings
        self._counts_days = counts_days
        self._clock_lead = clock_lead
        self._state = state
        self._former_runs = state.former
        self._incremental = incremental
        self._looks_back = looks_back
        self._announces_version = announces_version
        self._readings: dict[User | None, Reading] = {}
        self._turn = state.former.latest_turn
        self._had_turn: set[User] = set()
        self._warned: set[str] = set()
        self._corrected = 0  # accounts that were warned of

    # Former runs

    @property
    def known(self) -> list[int]:
        """Partner: the users of former runs, those first that were read the furthest."""
        return [one.user_id for one in self._former_runs.known]

    @property
    def known_customers(self) -> set[int]:
        """Partner: the customers of former runs."""
        return {one.customer_id for one in self._former_runs.known if one.customer_id is not None}

    @property
    def users_of_unknown(self) -> set[int]:
        """Partner: the users of former runs of an older version, which kept no customers."""
        return {one.user_id for one in self._former_runs.known if one.customer_id is None}

    @cached_property
    def _by_user(self) -> dict[int, UserState]:
        return {known.user_id: known for known in self._former_runs.known}

    @cached_property
    def _by_customer(self) -> dict[int | None, list[UserState]]:
        whose = defaultdict(list)
        for known in self._former_runs.known:
            whose[known.customer_id].append(known)
        return whose

    def of_customer(self, user: User) -> list[UserState]:
        """What former runs say of the users of a user's customer, of those too that are gone."""
        its = {one.user_id: one for one in self._by_customer.get(user.customer_id, ())}
        for user_id in (user.user_id, *user.customer.users):
            known = self._by_user.get(user_id)
            if known is not None and known.customer_id is None:  # an older version's
                its[user_id] = known
        return list(its.values())

    def _former(self, user: User | None, timezone: Timezone, start: datetime) -> Bookmarks:
        """What a run builds on. A customer's users see the same sessions: it goes on from what
        any of them has read."""
        if user is None:
            all_ = [self._former_runs.own]
        else:
            all_ = [one.bookmarks for one in self.of_customer(user)]
        for was in {one.timezone for one in all_ if one.timezone}:
            if was.name != timezone.name and was.by == timezone.by == "api":
                logger.info(
                    "The time zone%s is %s, and was %s: what has been read stays as it is",
                    _of(user),
                    timezone.name,
                    was.name,
                )
        under = [one.under(timezone) for one in all_]
        taken = [one.taken_over(start, self._known_until(one)) for one in under]
        return reduce(Bookmarks.joined, taken, Bookmarks(timezone=timezone))

    def in_turn(self, users: Iterable[User]) -> list[User]:
        """Who was read the longest ago comes first, so that with whatever points a day has each
        has its turn; before them those never read, by id."""
        never = datetime.min.replace(tzinfo=timezone.utc)

        def place(user: User) -> tuple[str, datetime, int]:
            all_ = [one.bookmarks for one in self.of_customer(user)]
            # An older version kept no turns: those that it has read come after the never read.
            until = max((one.until for one in all_ if one.until), default=never)
            return max((one.turn for one in all_), default=""), until, user.user_id

        return sorted(users, key=place)

    # This run

    @property
    def _now(self) -> datetime:
        """The API's time at which the run began: later sessions are still to come."""
        return self._settings.now - self._clock_lead()

    def opened(self, user: User | None, timezone: Timezone) -> Reading:
        """What is to be read of an account, and its bookmarks from here on.

        Raises:
            ConfigError: by the account's clock `end_date` is earlier than `start_date`.
        """
        settings, zone = self._settings, timezone.zone
        start, end = settings.start.value, settings.end.value if settings.end else self._now
        first = zone.first_wall(start) if start.tzinfo else start
        last = zone.last_wall(end) if end.tzinfo else end
        if settings.end and first > last:
            raise ConfigError(
                "end_date", f"earlier than start_date{_of(user)}, by the clock of {timezone.name}"
            )
        # In the second pass of an hour the last second is the hour's end, which is still to come.
        now = min(self._now, end + SECOND) if end.tzinfo else self._now
        bookmarks = self._former(user, timezone, zone.to_utc(first))
        reading = Reading(
            bookmarks,
            first,
            last + SECOND,
            zone,
            now,
            settings.lookback if self._looks_back else timedelta(0),
            afresh=not self._incremental,
            emitted_is_read=not self._looks_back,
            whole_days=self._counts_days and self._looks_back,
        )
        if not self._counts_days:
            reading.bookmarks = replace(reading.bookmarks, begun=None)
        self._readings[user] = reading
        self._keep(user)
        whose = _of(user)
        spans = ", then ".join(f"from {a} to {b - SECOND}" for a, b in reading.stretches)
        logger.info("Reading sessions%s %s", whose, spans or "of no time")
        self._warn_of_span(reading, whose)
        if self._incremental:
            self._warn_of_corrections(reading, timezone, whose)
        return reading

    def _known_until(self, former: Bookmarks) -> datetime:
        """Up to where bookmarks can be built on."""
        if self._looks_back or former.bookmark is None:
            return self._now
        # What has been emitted must not come again, whatever our clock says.
        return max(self._now, former.bookmark + SECOND)

    def _warn_of_span(self, reading: Reading, whose: str) -> None:
        """Warn where the span wanted and the one read before do not go together."""
        settings, bookmarks = self._settings, reading.bookmarks
        start, end = reading.span
        if start > self._now:
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

    def _warn_of_corrections(self, reading: Reading, timezone: Timezone, whose: str) -> None:
        """Warn of sessions that lie in the table under a zone that has been corrected since."""
        for one in reading.bookmarks.loaded_under:
            self._corrected += 1
            if self._corrected > NAMED:
                continue
            was = Timezone(one.timezone, "setting").zone
            off = abs(was.to_utc(one.until) - timezone.zone.to_utc(one.until))
            days = max((reading.span[1] - reading.span[0]) / timedelta(days=1), 1)
            logger.warning(
                "Sessions%s up to %s by the account's clock were loaded under the time zone %s, "
                "which is now %s: their times are %g hours off. Load them anew by a full refresh, "
                "or a run without the state, of this account, at %d points or more (one a "
                "quarter, and one for each further %d sessions)",
                whose,
                one.until,
                one.timezone,
                timezone.name,
                round(off / timedelta(hours=1), 2),
                math.ceil(days / QUARTER),
                self._settings.page_size,
            )

    def end(self) -> None:
        """Warn of what was not named."""
        if self._corrected > NAMED:
            logger.warning(
                "So were those of %d more accounts loaded under a time zone that has been "
                "corrected: their state names them in loaded_under",
                self._corrected - NAMED,
            )

    def _warn_once(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("%s %s", what, message)

    def emitted(
        self, user: User | None, date_time: datetime, *, whole_second: bool = False
    ) -> None:
        """All sessions up to this one have been written, and perhaps all of its second."""
        self._reading(user).emitted(date_time, whole_second=whole_second)
        self._keep(user)

    def finished(self, user: User | None, wall: datetime) -> None:
        """All sessions filed before a wall-clock second have been written."""
        self._reading(user).finished(wall)
        self._keep(user)

    def counted(self, user: User | None, begun: Callable[[datetime], Begun]) -> None:
        """Note what has been emitted of the day that is being written.

        Args:
            begun: Says it, given the instant up to which all has been read.
        """
        reading = self._readings[user]
        if reading.at is not None:
            day = begun(reading.at)
            if reading.comes_again:  # else the next run would count it twice
                day = replace(day, sessions=None)
            reading.bookmarks = replace(reading.bookmarks, begun=day)
            self._keep(user)

    def _reading(self, user: User | None) -> Reading:
        """That of an account; its first answer may have told more of the API's time."""
        reading = self._readings[user]
        reading.now = min(reading.now, self._now)
        return reading

    def take_turn(self, user: User | None) -> None:
        """A partner's customer has had its turn in this run: it has cost points, or has ended."""
        if user is None or user in self._had_turn:
            return
        self._had_turn.add(user)
        self._turn = next_turn(self._turn)
        if user in self._readings:
            reading = self._readings[user]
            reading.bookmarks = replace(reading.bookmarks, turn=self._turn)
            self._keep(user)
        else:  # it could not be opened: what former runs say stays
            known = self._by_user.get(user.user_id)
            former = known.bookmarks if known else Bookmarks()
            self._state.keep(user, replace(former, turn=self._turn))

    def refused(self, user: User | None, columns: tuple[tuple[str, datetime], ...]) -> None:
        """The account's API refuses these columns, each since when it last did, and no others."""
        reading = self._readings[user]
        if reading.bookmarks.refused != columns:
            reading.bookmarks = replace(reading.bookmarks, refused=columns)
            self._keep(user)

    def replaced(self, user: User | None) -> None:
        """Another user of the customer is read in the place of this one."""
        self._readings.pop(user, None)

    def completed(self, user: User | None) -> None:
        """All that was wanted of an account has been written."""
        reading = self._readings[user]
        if not self._incremental and all(
            reading.span[0] <= start for start, _ in reading.bookmarks.read
        ):
            # What was loaded under another zone has been loaded anew.
            left = [one for one in reading.bookmarks.loaded_under if not reading.covers(one.until)]
            reading.bookmarks = replace(reading.bookmarks, loaded_under=tuple(left))
            self._keep(user)

    def version_activated(self) -> None:
        """From here on the loader holds no more than what this run has read, of the accounts that
        it has read: no bookmark may stand for more."""
        for user, reading in self._readings.items():
            start, end = reading.span
            bookmark = reading.bookmarks.bookmark
            if bookmark is not None and not start <= bookmark < end:
                bookmark = None
            only = replace(reading.bookmarks, bookmark=bookmark, read=(), loaded_under=())
            only = only.with_read([reading.span])
            reading.bookmarks = only.taken_over(start, self._now)
            self._keep(user)
        if self._settings.is_partner:
            self._state.keep_only({user.user_id for user in self._readings if user})

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
        self._state.keep(user, self._readings[user].bookmarks)


def _of(user: User | None) -> str:
    return f" of {user}" if user else ""
