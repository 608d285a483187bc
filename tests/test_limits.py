"""The pacer: requests stay within the points, and no wait is longer than it must be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.limits import Pacer


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
