"""Keeps requests within the points the API grants per minute and per day."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tap_visitor_sessions.api.errors import DailyLimitReached, LimitExceeded, TapError, number

LOGGER = logging.getLogger(__name__)
WINDOW = {"minute": 60.0, "day": 24 * 3600.0}
"""Seconds after which a limit's points come back at the latest."""
UNNAMED = {"minute": 60.0, "day": 12 * 3600.0}
"""Seconds to wait where no reset is named: at most two tries a window."""
_LONGEST = {"minute": 600.0, "day": 25 * 3600.0}
FEW = 20
"""Of so few points left of a day none is to be spent on what may be read for nothing."""
ALONE = 0.1
"""A share of others that is as good as none."""
SAFETY = 3.0
"""How much more than their share others may take before we notice."""
_POLL = 0.2
REMINDED_EVERY = 1500.0
"""Seconds after which a wait is told again: a host that hears nothing takes a run for dead."""


class Meter:
    """Points of one window: what is left, and the clock time at which they all come back.

    Within a window the lowest `remaining` and the earliest reset seen count, because answers
    arrive out of order and late. Points that go without a request of ours show that others
    share the account.

    After a rejection nothing goes for a second, or for longer where the API says so; after each
    further one without an answer in between at least twice as long, and until a window has passed
    since the one before it. So at most two requests are rejected a window, whatever the meters
    say; those that were under way together count as one.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.limit: int | None = None
        self.remaining: int | None = None
        self.reset_at: float | None = None
        # Until a window has been seen whole, somebody like us may be about.
        self.share = self._expected_share = 1.0
        """Points that others take for each of ours."""
        self._own = 0
        self._others_before: int | None = None  # when we joined the window
        self._proven = False  # an answer has come since the beginning, or the last rejection
        self._rejections = 0  # in a row
        self._rejected_at = 0.0
        self._closed_until = float("-inf")

    def learn(self, limits: Mapping[str, Any], now: float, in_flight: int = 0) -> None:
        """Take over the meters of an answer that arrived at `now`, while others of ours are
        still in flight."""
        self.roll(now)
        limit = number(limits.get(f"{self.kind}_limit"))
        left = number(limits.get(f"{self.kind}_remaining"))
        reset = number(limits.get(f"{self.kind}_reset"))
        if limit is not None and limit >= 1:
            self.limit = int(limit)
        if left is None or not self.limit:
            return
        self.remaining = int(left) if self.remaining is None else min(self.remaining, int(left))
        self._own += 1
        self._note_others(in_flight)
        self._expect(now + self._bounded(reset))

    def _note_others(self, in_flight: int) -> None:
        assert self.limit is not None
        assert self.remaining is not None
        others = max(self.limit - self.remaining - self._own - in_flight, 0)
        if self._others_before is None:
            self._others_before = others
        measured = max(others - self._others_before, 0) / max(self._own, 1)
        self.share = max(measured, self._expected_share)

    def exhaust(self, reset: float | None, now: float) -> None:
        """Note that the API rejected a request; it named a reset in seconds, or None."""
        self.roll(now)
        self._proven = False
        self.remaining = 0
        self._own -= 1  # not charged
        if now < self._closed_until:
            return  # it was under way already when the one before was rejected
        self._closed_until = now + min(2.0**self._rejections, _LONGEST[self.kind])
        if self._rejections:
            whole = self._rejected_at + WINDOW[self.kind]
            self._closed_until = max(self._closed_until, whole)
        self._rejections, self._rejected_at = min(self._rejections + 1, 30), now
        self._expect(now + self._bounded(reset))
        assert self.reset_at is not None
        self._closed_until = self.reset_at

    def answered(self, now: float) -> None:
        """Note that a request has ended; unless it was rejected, or sent before another was."""
        if now >= self._closed_until:
            self._proven = True
            self._rejections = 0

    def roll(self, now: float) -> None:
        """Start a new window once the reset has passed."""
        if self.reset_at is not None and now >= self.reset_at:
            self.remaining = self.limit
            self.reset_at = None
            self._own, self._others_before = 0, 0
            self._expected_share = self.share / 2  # they may have gone

    def charge(self, now: float) -> None:
        """Count a request whose fate is unknown as charged."""
        self.roll(now)
        if self.remaining:
            self.remaining -= 1
            if self.reset_at is None:  # the first of its window, which no answer has named yet
                self._expect(now + self._bounded(None))

    def capacity(self) -> float:
        """How many requests may be in flight at once: no more than there are points, beside what
        others take meanwhile. One alone where it is to show how things stand: at the beginning,
        after a rejection, first in a window and towards the end of its points where others are
        about; so that at most one is rejected.
        """
        if self.remaining == 0:
            return 0
        if not self._proven:
            return 1
        if self.remaining is None:
            return math.inf
        if self.share <= ALONE:
            return self.remaining
        if self._own <= 0:  # they may have begun the window long before us
            return 1
        return max(1, math.ceil(self.remaining / ((1 + self.share) * SAFETY)) - 1)

    def left(self) -> str:
        """What is left, for a reader; nothing when it is not known."""
        if self.limit is None or self.remaining is None:
            return ""
        return f"{self.remaining} of {self.limit} per {self.kind}"

    def wait(self, now: float) -> float:
        """Seconds until the reset."""
        return 0.0 if self.reset_at is None else max(0.0, self.reset_at - now)

    def _bounded(self, reset: float | None) -> float:
        if reset is None:
            return UNNAMED[self.kind]
        return min(reset, _LONGEST[self.kind])

    def _expect(self, reset_at: float) -> None:
        earliest = reset_at if self.reset_at is None else min(self.reset_at, reset_at)
        self.reset_at = max(earliest, self._closed_until)


class Pacer:
    """Lets a request go only while points are left, counting those in flight; thread-safe."""

    def __init__(
        self,
        *,
        on_daily_limit: str = "fail",
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._wait_for_day = on_daily_limit == "wait"
        self._stop = stop or threading.Event()
        self._clock = clock
        self._sleep = sleep or self._stop.wait
        self._changed = threading.Condition()
        self.minute = Meter("minute")
        self.day = Meter("day")
        self.in_flight = 0
        self.seconds_waited = 0.0
        self._waiting, self._waited_since = 0, 0.0
        self.on_wait: Callable[[float], None] | None = None
        """Called when points are used up, with the seconds to their reset, and again every
        REMINDED_EVERY seconds of the wait."""
        self._logged: tuple[str, float | None] | None = None
        self._logged_at = 0.0

    def acquire(self) -> None:
        """Wait until a request may go and count it as in flight.

        Raises DailyLimitReached when the day's points are used up and waiting is not wanted,
        TapError when `stop` is set meanwhile.
        """
        with self._changed:
            self._waiting += 1
            if self._waiting == 1:
                self._waited_since = self._clock()
        try:
            while not self._admit():
                pass
        finally:
            with self._changed:
                self._waiting -= 1
                if not self._waiting:  # not the sum over threads that wait together
                    self.seconds_waited += self._clock() - self._waited_since

    def release(self, limits: Mapping[str, Any] | None = None) -> None:
        """End a request; `limits` are the meters of its answer, None when it had none."""
        with self._changed:
            now = self._clock()
            self.in_flight -= 1
            for meter in (self.minute, self.day):
                if limits is None:
                    meter.charge(now)
                else:
                    meter.learn(limits, now, self.in_flight)
                meter.answered(now)
            self._changed.notify_all()

    def left(self) -> str:
        """The points left, as far as the answers have told."""
        with self._changed:
            return ", ".join(filter(None, (self.minute.left(), self.day.left())))

    def is_scarce(self) -> bool:
        """Whether few of the day's points are left."""
        with self._changed:
            return self.day.remaining is not None and self.day.remaining < FEW

    def exceeded(self, limit: LimitExceeded) -> None:
        """Note a rejection, before its request is released: all wait for the reset it names."""
        with self._changed:
            now = self._clock()
            spent = self.day.remaining == 0 and self.minute.remaining != 0
            day = limit.limit_type == "day" or (limit.limit_type is None and spent)
            meter = self.day if day else self.minute
            meter.exhaust(limit.reset, now)

    def _admit(self) -> bool:
        """Count a request in and return True, or wait a little and return False."""
        with self._changed:
            if self._stop.is_set():
                raise TapError("stopped")
            now = self._clock()
            self.minute.roll(now)
            self.day.roll(now)
            tight = min(self.day, self.minute, key=Meter.capacity)
            if self.in_flight < tight.capacity():
                self.in_flight += 1
                return True
            if tight.remaining != 0:
                # Another request's answer decides; the reset may come first.
                self._changed.wait(_POLL)
                return False
            self._refuse_day(tight, now)
            delay = tight.wait(now)
            self._log_wait(tight, delay)
        self._sleep(min(delay, REMINDED_EVERY))
        return False

    def _refuse_day(self, tight: Meter, now: float) -> None:
        if tight.kind != "day" or self._wait_for_day:
            return
        points = f" of {tight.limit} points" if tight.limit else ""
        problem = DailyLimitReached(
            f"The account's daily API limit{points} is used up; it resets in "
            f"{spelled(tight.wait(now))}. Run again after that, or set on_daily_limit to wait."
        )
        problem.reset = tight.wait(now)
        raise problem

    def _log_wait(self, meter: Meter, delay: float) -> None:
        """Log a wait once, not once per thread, and now and then while it lasts."""
        now, wait = self._clock(), (meter.kind, meter.reset_at)
        if self._logged != wait or now >= self._logged_at + REMINDED_EVERY:
            self._logged, self._logged_at = wait, now
            points = f" ({meter.limit} points)" if meter.limit else ""
            LOGGER.info(
                "The API's limit per %s%s is used up: waiting %s for its reset",
                meter.kind,
                points,
                spelled(delay),
            )
            if self.on_wait is not None:
                self.on_wait(delay)


def spelled(seconds: float) -> str:
    """Spell a duration: seconds below two minutes, else hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds + 59) // 60
    return f"{minutes // 60} h {minutes % 60:02d} min"
