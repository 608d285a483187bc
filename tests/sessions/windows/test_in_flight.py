"""Requests go in the order in which their places were taken, so many at once."""

from __future__ import annotations

import random
import threading
import time

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.sessions.windows.in_flight import InFlight, Place


@settings(max_examples=examples(40), deadline=None)
@given(
    count=st.integers(1, 4),
    left=st.lists(st.booleans(), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_whoever_came_first_goes_first_and_who_left_holds_up_nobody(
    count: int, left: list[bool], seed: int
) -> None:
    """Whatever the order in which the threads get to it; and never more than allowed at once."""
    in_flight, source = InFlight(count), random.Random(seed)
    places = [in_flight.join() for _ in left]
    entered: list[int] = []
    now, most, guard = 0, 0, threading.Lock()

    def send(number: int) -> None:
        nonlocal now, most
        if left[number]:
            places[number].leave()
            return
        with places[number]:
            with guard:
                entered.append(number)
                now += 1
                most = max(most, now)
            time.sleep(0.0005)
            with guard:
                now -= 1
        places[number].leave()

    threads = [threading.Thread(target=send, args=[n]) for n in range(len(left))]
    for thread in source.sample(threads, len(threads)):
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    stay = [number for number, gone in enumerate(left) if not gone]
    assert sorted(entered) == stay
    if count == 1:  # of those let in together either can be seen first
        assert entered == stay
    assert most <= count


def test_a_request_that_fails_makes_room() -> None:
    in_flight = InFlight(1)
    try:
        with in_flight.join():
            raise ValueError
    except ValueError:
        pass
    with in_flight.join():
        pass


def test_those_of_the_head_go_before_those_that_came_sooner() -> None:
    in_flight, entered = InFlight(1), []
    first = in_flight.join(2)

    def send(place: Place, name: str) -> None:
        with place:
            entered.append(name)

    with first:
        places = [in_flight.join(order) for order in (2, 1, 2, 1)]
        names = ["c", "a", "d", "b"]
        threads = [
            threading.Thread(target=send, args=pair) for pair in zip(places, names, strict=True)
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(10)
    assert entered == ["a", "b", "c", "d"]


def test_a_request_that_pauses_lets_others_go_and_then_goes_before_later_ones() -> None:
    in_flight, went = InFlight(1), []
    with in_flight.join():
        later = [in_flight.join(), in_flight.join()]
        with in_flight.paused(), later[0]:
            went.append("the next")
            assert in_flight.free == 0
        went.append("the first again")
        assert in_flight.free == 0
    with later[1]:
        went.append("the last")
    assert went == ["the next", "the first again", "the last"]
    assert in_flight.free == 1
    with in_flight.paused():  # nothing is held: nothing is given up
        assert in_flight.free == 1


def test_one_that_nobody_waits_for_is_not_tried_again() -> None:
    in_flight = InFlight(1)
    place = in_flight.join()
    with pytest.raises(TapError, match="Given up"), place, in_flight.paused():
        place.abandon()
    assert in_flight.free == 1
    assert in_flight.line == []
    with pytest.raises(ValueError, match="odd"), in_flight.join(), in_flight.paused():
        raise ValueError("odd")
    assert in_flight.free == 1
