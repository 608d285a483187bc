"""Requests in flight: so many at once, and sent in the order in which their places were taken.

Of an account with few points a day the first windows must have them: what comes after is read
for nothing when the run ends before it.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class InFlight:
    """Lets so many requests go at once, first come, first served; thread-safe.

    Args:
        count: Requests in flight, 1 or more.
    """

    def __init__(self, count: int) -> None:
        self.changed = threading.Condition()
        self.free = count
        self.line: deque[Place] = deque()

    def join(self) -> Place:
        """A place at the end of the line. Whoever takes one enters it, or leaves."""
        place = Place(self)
        with self.changed:
            self.line.append(place)
        return place


class Place:
    """A place in the line: `with` waits for its turn, and the end makes room for the next."""

    def __init__(self, whole: InFlight) -> None:
        self._whole = whole

    def __enter__(self) -> None:
        whole = self._whole
        with whole.changed:
            whole.changed.wait_for(lambda: whole.free and whole.line[0] is self)
            whole.line.popleft()
            whole.free -= 1
            whole.changed.notify_all()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._whole.changed:
            self._whole.free += 1
            self._whole.changed.notify_all()

    def leave(self) -> None:
        """Give the place up; nothing happens where its turn has been."""
        whole = self._whole
        with whole.changed:
            if self in whole.line:
                whole.line.remove(self)
                whole.changed.notify_all()
