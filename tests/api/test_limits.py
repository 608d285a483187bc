"""The pacer: requests stay within the points, and no wait is longer than it must be."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import LimitExceeded, TapError, error_from
from tap_visitor_sessions.api.limits import Pacer


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(limit=st.integers(1, 20), requests=st.integers(1, 80), cost=st.floats(0, 5))
def test_a_lone_process_is_never_rejected_and_waits_no_longer_than_it_must(
    limit: int, requests: int, cost: float
) -> None:
    clock = Clock()
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    began, used, minutes = 0.0, 0, 0
    for _ in range(requests):
        pacer.acquire()
        if clock.now - began >= 60:
            began, used, minutes = clock.now, 0, minutes + 1
        assert used < limit
        used += 1
        clock.now += cost
        left = max(60 - (clock.now - began), 0)
        pacer.release(
            {"minute_limit": limit, "minute_remaining": limit - used, "minute_reset": left}
        )
    assert clock.now <= requests * cost + 61 * (minutes + 1)
    assert pacer.in_flight == 0


@given(
    limit=st.integers(1, 5),
    answered=st.lists(st.booleans(), min_size=1, max_size=40),
    cost=st.floats(0, 30),
)
def test_requests_that_get_no_answer_use_up_points_but_never_for_good(
    limit: int, answered: list[bool], cost: float
) -> None:
    """An API that is gone, once its meters are known: no wait without an end, none of nothing."""
    clock = Clock()

    def sleep(seconds: float) -> None:
        assert 0 < seconds < 60.001
        clock.sleep(seconds)

    pacer = Pacer(clock=clock, sleep=sleep)
    for number, is_answered in enumerate([True, *answered]):
        pacer.acquire()
        clock.now += cost
        meters = {"minute_limit": limit, "minute_remaining": 0, "minute_reset": 60}
        pacer.release(meters if is_answered else None)
        assert clock.now <= (number + 1) * (cost + 60.001)


@settings(deadline=None)
@given(
    limit=st.integers(8, 200),
    processes=st.integers(2, 5),
    concurrency=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_processes_that_share_the_points_are_seldom_rejected(
    limit: int, processes: int, concurrency: int, seed: int
) -> None:
    """Several pacers against one meter, in simulated time: once they know of each other, a
    rejection a window each; in their first window, or where the points do not even cover what
    they all have in flight, no more than a process had in flight."""
    source, now = random.Random(seed), 0.0
    used, window = 0, 0
    pacers = [Pacer(clock=lambda: now, sleep=lambda _: None) for _ in range(processes)]
    for pacer in pacers:
        pacer._changed.wait = lambda timeout=None: True  # type: ignore[method-assign]
    out: list[list[float]] = [[] for _ in pacers]  # when the answers of each will come
    rejected: dict[tuple[int, int], int] = {}
    while window < 6:
        now += 0.05
        if now - window * 60 >= 60:
            window, used = window + 1, 0
        for number, pacer in enumerate(pacers):
            for due in [at for at in out[number] if at <= now]:
                out[number].remove(due)
                meters = {"minute_limit": limit, "minute_reset": int(60 - now % 60) + 1}
                if used < limit:
                    used += 1
                else:
                    rejected[window, number] = rejected.get((window, number), 0) + 1
                    problem = LimitExceeded("")
                    problem.limit_type, problem.reset = "minute", meters["minute_reset"]
                    pacer.exceeded(problem)
                pacer.release({**meters, "minute_remaining": limit - used})
            while len(out[number]) < concurrency and pacer._admit():
                out[number].append(now + source.uniform(0.05, 0.6))
    is_wide = limit >= 2 * processes * concurrency
    for (at, number), count in rejected.items():
        assert count <= (1 if at and is_wide else concurrency), (at, number, count)


LIES = st.one_of(
    st.none(),
    st.integers(0, 3),
    st.floats(0, 2),
    st.integers(0, 100_000),
    st.sampled_from(["0", "", -1, True, [], float("nan"), float("inf"), "59.5"]),
)


@given(
    kind=st.sampled_from(["minute", "day"]),
    limit=st.integers(1, 6),
    phase=st.floats(0, 1),
    named=st.booleans(),
    lies=st.lists(st.tuples(LIES, LIES, LIES, LIES), min_size=1, max_size=12),
    costs=st.lists(st.floats(0, 0.5), min_size=1, max_size=5),
)
def test_whatever_the_meters_say_few_requests_are_rejected(
    kind: str,
    limit: int,
    phase: float,
    named: bool,
    lies: list[tuple[Any, ...]],
    costs: list[float],
) -> None:
    """At most two a window of the limit, and never two within a second."""
    length = {"minute": 60.0, "day": 86_400.0}[kind]
    clock = Clock()
    pacer = Pacer(on_daily_limit="wait", clock=clock, sleep=clock.sleep)
    used: Counter[int] = Counter()
    rejected: list[float] = []
    for turn in range(40):
        pacer.acquire()
        window = int((clock.now + phase * length) // length)
        remaining, reset, params_reset, said_limit = lies[turn % len(lies)]
        meters = {
            f"{kind}_limit": limit if said_limit is None else said_limit,
            f"{kind}_remaining": remaining,
            f"{kind}_reset": reset,
        }
        if used[window] < limit:
            used[window] += 1
        else:
            rejected.append(clock.now)
            data = {
                "mnemonic": "limit_exceeded",
                "params": {"limit_type": kind if named or kind == "day" else None},
                "metadata": {"limits": meters},
            }
            data["params"]["reset"] = params_reset
            problem = error_from({"data": data}, "x")
            assert isinstance(problem, LimitExceeded)
            pacer.exceeded(problem)
        clock.now += costs[turn % len(costs)]
        pacer.release(meters)
    windows = Counter(int((at + phase * length) // length) for at in rejected)
    assert all(count <= 2 for count in windows.values()), rejected
    assert all(b - a > 0.999 for a, b in pairwise(rejected)), rejected


def test_waits_end_when_the_run_is_to_end() -> None:
    stop = threading.Event()
    pacer = Pacer(stop=stop)
    pacer.acquire()
    pacer.release({"minute_limit": 1, "minute_remaining": 0, "minute_reset": 60})
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(TapError):
        pacer.acquire()
    assert time.monotonic() - began < 30  # not the minute


@pytest.mark.parametrize(
    "meters",
    [
        {"minute_limit": "x", "minute_remaining": None, "minute_reset": []},
        {"minute_limit": 0, "minute_remaining": 0, "minute_reset": 5},
        {"minute_limit": 10, "minute_remaining": -3, "minute_reset": -1},
        {"minute_limit": 10, "minute_remaining": 10**9},
        {"minute_limit": True, "day_limit": {}, "day_remaining": "12"},
        {"minute_limit": float("nan"), "minute_remaining": float("inf")},
    ],
)
def test_meters_that_make_no_sense_do_not_stop_a_run(meters: dict[str, object]) -> None:
    clock = Clock()
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    for _ in range(20):
        pacer.acquire()
        pacer.release(meters)
    assert clock.now <= 60 * 20
