"""How far a run is: a summary at its end, and a line on a terminal while it goes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

REDRAWN_EVERY = 0.5  # seconds
SUMMARY = (
    "Summary: %(sessions)d sessions in %(windows)d windows, %(requests)d requests, "
    "%(retries)d retries, %(seconds).1f s, %(seconds_waited).1f s of it waiting for points, "
    "%(values_lost)d values lost, bookmark %(bookmark)s, read up to %(read_until)s"
)
"""Of the figures of Progress and Client, and how far the bookmarks say that it came."""


@dataclass
class Progress:
    """What a run has done so far.

    Attributes:
        parts: Accounts to read: 1, or a partner's customers.
        parts_done: How many of them are read.
        share: How much of the span of the present one is emitted, 0..1.
    """

    parts: int = 1
    parts_done: int = 0
    share: float = 0.0
    sessions: int = 0
    windows: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0..1."""
        return min((self.parts_done + self.share) / max(self.parts, 1), 1.0)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.began

    @property
    def per_second(self) -> float:
        """Sessions per second, from the start on."""
        return self.sessions / max(self.seconds, 0.001)

    def line(self, points: str) -> str:
        """What the line on a terminal says beside its bar."""
        text = f"{_spaced(self.sessions)} sessions, {_spaced(self.per_second)}/s"
        if self.parts > 1:
            text = f"customer {min(self.parts_done + 1, self.parts)} of {self.parts}, {text}"
        return f"{text}, points left: {points}" if points else text

    def figures(self) -> dict[str, Any]:
        """The figures of the summary."""
        return {
            "sessions": self.sessions,
            "windows": self.windows,
            "seconds": round(self.seconds, 3),
            "sessions_per_second": round(self.per_second),
        }


@contextmanager
def drawn(progress: Progress, points: Callable[[], str]) -> Iterator[None]:
    """Draw the progress on stderr while the block runs, if a person watches it there."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    done = threading.Event()
    shape = "{percentage:3.0f}% |{bar:20}| {desc}, ETA {remaining}"
    with tqdm(total=1.0, bar_format=shape, file=sys.stderr, dynamic_ncols=True) as bar:

        def draw() -> None:
            bar.set_description_str(progress.line(points()), refresh=False)
            bar.n = progress.fraction
            bar.refresh()

        def keep_drawing() -> None:
            while not done.wait(REDRAWN_EVERY):
                draw()

        with logging_redirect_tqdm():
            threading.Thread(target=keep_drawing, name="progress", daemon=True).start()
            try:
                yield
            finally:
                done.set()
                draw()


def _spaced(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")
