"""How sessions spread over time: the shapes that the figures are taken on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta

HOUR = 3600


def _daily(hour: int, hours: int, source: random.Random) -> float:
    """Quiet nights, busy noons, slow weekends."""
    day = 0.15 + max(0.0, math.sin((hour % 24 - 5) / 19 * math.pi)) ** 2
    return day * (0.55 if hour // 24 % 7 >= 5 else 1.0)


def _steady(hour: int, hours: int, source: random.Random) -> float:
    return 1.0


def _bursty(hour: int, hours: int, source: random.Random) -> float:
    """One hour in fifty holds as much as two hundred others."""
    return 200.0 if source.random() < 0.02 else 1.0


def _growing(hour: int, hours: int, source: random.Random) -> float:
    """Fifty times as much at the end as at the start."""
    return math.exp(math.log(50) * hour / hours)


SHAPES: dict[str, Callable[[int, int, random.Random], float]] = {
    "daily": _daily,
    "steady": _steady,
    "bursty": _bursty,
    "growing": _growing,
}


def times(count: int, shape: str, start: datetime, days: int) -> list[bytes]:
    """`count` wall-clock times in [start, start + days), in order, as the API writes them."""
    source = random.Random(shape)
    hours = days * 24
    weights = [SHAPES[shape](hour, hours, source) for hour in range(hours)]
    picked = source.choices(range(hours), weights, k=count)
    seconds = sorted(hour * HOUR + int(HOUR * source.random()) for hour in picked)
    dates = [f"{start + timedelta(days=day):%Y-%m-%d} ".encode() for day in range(days)]
    clock = [
        f"{second // HOUR:02}:{second // 60 % 60:02}:{second % 60:02}".encode()
        for second in range(24 * HOUR)
    ]
    return [dates[second // (24 * HOUR)] + clock[second % (24 * HOUR)] for second in seconds]
