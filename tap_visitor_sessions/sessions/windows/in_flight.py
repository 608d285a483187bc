"""Requests in flight: so many at once, those of the part at the head first, else in the order in
which their places were taken.

Of an account with few points a day the first windows must have them: what comes after is read
for nothing when the run ends before it.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count as counting
from types import TracebackType

from tap_visitor_sessions.api import TapError


class InFlight:
    """Lets so many requests go at once; thread-safe.

    Args:
        count: Requests in flight, 1 or more.
    """

    def __init__(self, count: int) -> None:
        self.changed = threading.Condition()
        self.free = count
        self.line: list[Place] = []
        self.present = threading.local()
        self._tickets = counting()

    def join(self, order: int = 0) -> Place:
        """A place in line. Whoever takes one enters it, or leaves.

        Args:
            order: Of the part; those of a lower one go first.
        """
        with self.changed:
            place = Place(self, (order, next(self._tickets)))
            insort(self.line, place)
        return place

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the block runs the place of this thread's request, if it has one, is another's.
        Afterwards it waits for its turn, before all that came later.

        Raises:
            TapError: nobody waits for its answer any more.
        """
        place: Place | None = getattr(self.present, "place", None)
        if place is None:
            yield
            return
        place.give_up()
        yield
        place.take_again()


class Place:
    """A place in the line: `with` waits for its turn, and the end makes room for the next."""

    def __init__(self, whole: InFlight, key: tuple[int, int]) -> None:
        self._whole = whole
        self._key = key
        self._held = self._abandoned = False

    def __lt__(self, other: Place) -> bool:
        return self._key < other._key

    def __enter__(self) -> None:
        self._wait()
        self._whole.present.place = self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._whole.present.place = None
        self.give_up()

    def _wait(self) -> None:
        whole = self._whole
        with whole.changed:
            whole.changed.wait_for(lambda: whole.free and whole.line[0] is self)
            whole.line.pop(0)
            whole.free -= 1
            self._held = True
            whole.changed.notify_all()

    def give_up(self) -> None:
        """Make room for the next; nothing happens where it has been made."""
        whole = self._whole
        with whole.changed:
            whole.free += self._held
            self._held = False
            whole.changed.notify_all()

    def take_again(self) -> None:
        """Wait for its turn once more.

        Raises:
            TapError: nobody waits for the answer any more.
        """
        if self._abandoned:
            raise TapError("Given up")
        with self._whole.changed:
            insort(self._whole.line, self)
        self._wait()

    def abandon(self) -> None:
        """Nobody waits for the answer any more: it is not tried again."""
        self._abandoned = True

    def leave(self) -> None:
        """Give the place up; nothing happens where its turn has been."""
        whole = self._whole
        with whole.changed:
            if self in whole.line:
                whole.line.remove(self)
                whole.changed.notify_all()
