"""What of a part is still to come: whatever happens to its windows, each second comes once."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.sessions.windows.agenda import Agenda, Slot
from tap_visitor_sessions.sessions.windows.in_flight import InFlight
from tap_visitor_sessions.sessions.windows.reader import Overfull, TooLong, Whole, WindowReader
from tap_visitor_sessions.sessions.windows.windows import PageCap, Region

START = datetime(2024, 1, 1)
DAY = timedelta(days=1)


class Reader:
    def __init__(self) -> None:
        self.cap = PageCap(10)


def agenda_of(*days: tuple[int, int]) -> Agenda[Any]:
    regions = [Region(START + first * DAY, START + last * DAY) for first, last in days]
    return Agenda(cast(WindowReader[Any], Reader()), regions)


@given(
    days=st.lists(st.integers(0, 200), min_size=2, max_size=6, unique=True).map(sorted),
    seed=st.integers(0, 999),
)
def test_each_second_is_taken_once_and_in_order_and_the_front_is_always_cut(
    days: list[int], seed: int
) -> None:
    source = random.Random(seed)
    spans = list(zip(days[::2], days[1::2], strict=False))
    agenda, taken = agenda_of(*spans), []
    while agenda:
        for _ in range(source.randint(1, 4)):
            agenda.cut()
        for slot in agenda.slots:
            if not slot.result.done() and source.random() < 0.5:
                slot.result.set_result(answer(slot, source))
        agenda.settle()
        agenda.cut()
        head: Slot[Any] = agenda.take()
        if not head.result.done():
            head.result.set_result(answer(head, source))
        region = head.instead()
        if region is None:
            taken.append((head.window.start, head.window.end))
        else:
            agenda.put_first(region)
    joined: list[tuple[datetime, datetime]] = []
    for start, end in taken:
        assert start < end
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    whole = [(START + first * DAY, START + last * DAY) for first, last in spans]
    assert joined == [span for span in whole if span[0] < span[1]]


def answer(slot: Slot[Any], source: random.Random) -> Whole[Any] | Overfull | TooLong:
    length = slot.window.end - slot.window.start
    if length > DAY and source.random() < 0.3:
        slot.reader.cap.too_long(slot.window)
        return TooLong()
    if length > DAY and source.random() < 0.3:
        times = [slot.window.start + length * source.random() for _ in range(10)]
        return Overfull(40, [time.replace(microsecond=0) for time in times])
    return Whole(0)


def test_behind_one_that_is_lost_nothing_is_cut() -> None:
    agenda = agenda_of((0, 300))
    slots = [agenda.cut(), agenda.cut()]
    assert slots[0] is not None
    slots[0].result.set_exception(TapError("lost"))
    agenda.settle()
    assert agenda.cut() is None
    assert agenda.take() is slots[0]


def test_what_is_dropped_is_neither_asked_for_nor_asked_for_again() -> None:
    agenda, in_flight = agenda_of((0, 300)), InFlight(1)
    running, waiting = agenda.cut(), agenda.cut()
    assert running is not None
    assert waiting is not None
    running.result.set_running_or_notify_cancel()
    running.place = in_flight.join()
    agenda.drop()
    assert not agenda
    assert waiting.result.cancelled()
    with pytest.raises(TapError, match="Given up"), running.place, in_flight.paused():
        pass
