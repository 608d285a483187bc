"""What each command does before it imports the rest, and after: of use to the whole process."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

SELDOM = 100_000, 50, 100
"""Thresholds of the collector."""
_found: list[tuple[int, int, int]] = []
"""The thresholds before, once for each read that goes on."""
_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def end_at_once_on_signals(end: Callable[[int], object] | None = None) -> None:
    """Until the host takes over nothing has been written, so there is nothing to say.

    Args:
        end: Ends the process for a signal of this number; else by its exit code.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: end(n) if end else os._exit(128 + n))


def end_by_signal(number: int) -> NoReturn:
    """End the process as the signal does where nobody heeds it, so that whoever has started it
    sees that it was ended from outside. Call it in the main thread."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # the first process of a container outlives signals


def collect_seldom() -> None:
    """Records hold no cycles: the collector finds nothing, and looking costs a tenth of a run."""
    gc.freeze()
    gc.set_threshold(*SELDOM)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """The same for a while, in a process that is not ours."""
    # Reads of several accounts may overlap: the last to end puts back what the first found.
    _found.append(_found[0] if _found else gc.get_threshold())
    gc.set_threshold(*map(max, zip(_found[0], SELDOM, strict=True)))
    try:
        yield
    finally:
        before = _found.pop()
        if not _found:
            gc.set_threshold(*before)


def share_one_heap() -> None:
    """Threads to come take memory from one heap, where the C library is glibc.

    By its own rule each has one of its own, and each of these grows to the largest answer that
    its thread has seen: a quarter of the memory of a run, and a twentieth of its time.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        # ImportError: a Python built without libffi has no ctypes.
        with suppress(ImportError, AttributeError, OSError, TypeError):
            import ctypes

            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
