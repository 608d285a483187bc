"""What of a part is still to come: windows in flight, and regions from which others are cut."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tap_visitor_sessions.sessions.windows.in_flight import Place
from tap_visitor_sessions.sessions.windows.reader import Overfull, TooLong, Whole, WindowReader
from tap_visitor_sessions.sessions.windows.windows import Region, Window, split

logger = logging.getLogger("tap-visitor-sessions.pipeline")

T = TypeVar("T")


@dataclass
class Slot(Generic[T]):
    """A window being fetched, and the region it was cut from.

    Attributes:
        place: Of its requests in line; None before it is in one.
    """

    reader: WindowReader[T]
    window: Window
    region: Region
    place: Place | None = None
    result: Future[Whole[T] | Overfull | TooLong] = field(default_factory=Future)

    @property
    def is_lost(self) -> bool:
        """Whether it has failed."""
        return self.result.done() and self.result.exception() is not None

    def instead(self) -> Region | None:
        """The region to put in its place, where it cannot be read as one; else None."""
        result = self.result.result()
        if isinstance(result, TooLong):
            return Region(self.window.start, self.window.end, self.region.density)
        if isinstance(result, Overfull):
            logger.debug("%s holds %d sessions: split", self.window, result.total)
            return split(self.window, result.total, result.times, self.reader.cap.rows)
        return None


class Agenda(Generic[T]):
    """The windows and regions of a part, front to back, apart from each other. None of the regions
    is used up: where one comes to the front, a window is cut from it."""

    def __init__(self, reader: WindowReader[T], regions: Iterable[Region]) -> None:
        self._reader = reader
        self._items: deque[Region | Slot[T]] = deque(filter(None, regions))

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def slots(self) -> list[Slot[T]]:
        """Its windows in flight, or waiting for their turn."""
        return [item for item in self._items if isinstance(item, Slot)]

    def settle(self) -> None:
        """Put regions in place of the windows that turned out too full, or too long."""
        for place, item in enumerate(self._items):
            if isinstance(item, Slot) and item.result.done() and not item.is_lost:
                region = item.instead()
                if region is not None:
                    self._items[place] = region

    def cut(self) -> Slot[T] | None:
        """The next window to ask for; None when there is none, or what comes after is lost."""
        for place, item in enumerate(self._items):
            if isinstance(item, Region):
                cap = self._reader.cap
                slot = Slot(self._reader, item.cut(cap.rows, cap.longest), item)
                if item:
                    self._items.insert(place, slot)
                else:
                    self._items[place] = slot
                return slot
            if item.is_lost:
                return None
        return None

    def take(self) -> Slot[T]:
        """The window at the front, which is then no longer in it. It has been cut before."""
        head = self._items.popleft()
        assert isinstance(head, Slot), "the front has not been cut"
        return head

    def put_first(self, region: Region) -> None:
        """Put a region in place of the window that has been taken."""
        self._items.appendleft(region)

    def drop(self) -> None:
        """Forget all of it: what is not yet in flight is never asked for, nor asked for again."""
        for slot in self.slots:
            slot.result.cancel()
            if slot.place is not None:
                slot.place.abandon()
        self._items.clear()
