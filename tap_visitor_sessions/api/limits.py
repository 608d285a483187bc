"""Keeps requests within the points the API grants per minute and per day."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tap_visitor_sessions.api.errors import DailyLimitReached, LimitExceeded, TapError, number

LOGGER = logging.getLogger(__name__)
MINUTE_RESET = 60.0
"""Seconds to wait when a rejection for the minute's points names no reset."""
DAY_RESET = 3600.0
"""Seconds to wait when a rejection for the day's points names no reset."""
_LONGEST = {"minute": 600.0, "day": 25 * 3600.0}
_SHORTEST = 1.0
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

    def learn(self, limits: Mapping[str, Any], now: float, in_flight: int = 0) -> None:
        """Take over the meters of an answer that arrived at `now`, while others of ours are
        still in flight."""
        self.roll(now)
        limit = number(limits.get(f"{self.kind}_limit"))
        left = number(limits.get(f"{self.kind}_remaining"))
        reset = number(limits.get(f"{self.kind}_reset"))
        if limit:
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
        self.remaining = 0
        self._own -= 1  # not charged
        # At least a second: a reset rounded down to 0 must not become a busy loop.
        self._expect(now + max(_SHORTEST, self._bounded(reset)))

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

    def free(self, in_flight: int) -> bool:
        """Whether one more request fits beside those in flight, and beside what others take
        meanwhile: first in a window and towards the end of its points a request goes alone, so
        that at most one is rejected.
        """
        if self.remaining is None:
            return True
        if in_flight and self.share > ALONE:
            is_fresh = self._own > 0  # they may have begun the window long before us
            return is_fresh and self.remaining > (in_flight + 1) * (1 + self.share) * SAFETY
        return self.remaining > in_flight

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
            return MINUTE_RESET if self.kind == "minute" else DAY_RESET
        return min(reset, _LONGEST[self.kind])

    def _expect(self, reset_at: float) -> None:
        self.reset_at = reset_at if self.reset_at is None else min(self.reset_at, reset_at)


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
        # One request goes alone until the first answer shows the meters, and after a rejection.
        self._probing = True
        self._told: tuple[str, float | None] | None = None
        self._told_at = 0.0

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
            if self._rejected is None or now >= self._rejected:
                self._rejected = None
                self._probing = False
            self._changed.notify_all()

    def left(self) -> str:
        """The points left, as far as the answers have told."""
        with self._changed:
            return ", ".join(filter(None, (self.minute.left(), self.day.left())))

    def exceeded(self, limit: LimitExceeded) -> None:
        """Note a rejection, before its request is released: all wait for the reset it names."""
        with self._changed:
            now = self._clock()
            spent = self.day.remaining == 0 and self.minute.remaining != 0
            day = limit.limit_type == "day" or (limit.limit_type is None and spent)
            meter = self.day if day else self.minute
            meter.exhaust(limit.reset, now)
            self._rejected = meter.reset_at
            self._probing = True

    _rejected: float | None = None

    def _admit(self) -> bool:
        """Count a request in and return True, or wait a little and return False."""
        with self._changed:
            if self._stop.is_set():
                raise TapError("stopped")
            now = self._clock()
            self.minute.roll(now)
            self.day.roll(now)
            tight = next((m for m in (self.day, self.minute) if not m.free(self.in_flight)), None)
            if tight is None and not (self._probing and self.in_flight):
                self.in_flight += 1
                return True
            if tight is not None and tight.remaining == 0:
                self._refuse_day(tight, now)
                delay = tight.wait(now)
                self._tell(tight, delay)
            elif tight is None or self.in_flight:
                # Another request's answer decides; the reset may come first.
                self._changed.wait(_POLL)
                return False
            else:
                delay = tight.wait(now)
        self._sleep(min(delay, REMINDED_EVERY))
        return False

    def _refuse_day(self, tight: Meter, now: float) -> None:
        if tight.kind != "day" or self._wait_for_day:
            return
        points = f" of {tight.limit} points" if tight.limit else ""
        problem = DailyLimitReached(
            f"The account's daily API limit{points} is used up; it resets in "
            f"{_spell(tight.wait(now))}. Run again after that, or set on_daily_limit to wait."
        )
        problem.reset = tight.wait(now)
        raise problem

    def _tell(self, meter: Meter, delay: float) -> None:
        """Log a wait once, not once per thread, and now and then while it lasts."""
        now, wait = self._clock(), (meter.kind, meter.reset_at)
        if self._told != wait or now >= self._told_at + REMINDED_EVERY:
            self._told, self._told_at = wait, now
            points = f" ({meter.limit} points)" if meter.limit else ""
            LOGGER.info(
                "The API's limit per %s%s is used up: waiting %s for its reset",
                meter.kind,
                points,
                _spell(delay),
            )
            if self.on_wait is not None:
                self.on_wait(delay)


def _spell(seconds: float) -> str:
    """Spell a duration: seconds below two minutes, else hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds + 59) // 60
    return f"{minutes // 60} h {minutes % 60:02d} min"
