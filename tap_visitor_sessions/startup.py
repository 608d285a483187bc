"""What each command does before it imports the rest, and after: of use to the whole process."""

from __future__ import annotations

import gc
import io
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO

SELDOM = 100_000, 50, 100
"""Thresholds of the collector."""
_found: list[tuple[int, int, int]] = []
"""The thresholds before, once for each read that goes on."""
_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


class _Waiting(io.FileIO):
    """A file that waits where the other side takes nothing now, though it is set not to block:
    the flag is the pipe's, and whoever shares it can set it at any time."""

    def write(self, data: Any) -> int:
        """Write some of it; how much.

        Raises:
            OSError: stdout cannot be written to; with its name.
        """
        while True:
            try:
                count: int | None = super().write(data)
            except OSError as problem:
                if self.fileno() == 2:  # a full disk, or nobody who listens: no reason to fail
                    return memoryview(data).nbytes
                raise OSError(problem.errno, problem.strerror, "stdout") from None
            if count is not None:
                return count
            select.select([], [self], [])


def use_standard_streams() -> None:
    """Make do with the standard streams as they come: closed, set not to block, or in an encoding
    that lacks letters; and no warning of a library gets there.

    Ends the process where stdout is closed.
    """
    if not sys.warnoptions:  # before the libraries are imported: they warn then, too
        logging.captureWarnings(capture=True)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)
    if sys.stdout is None:
        if sys.stderr is not None:
            sys.stderr.write("stdout is closed: there is nowhere to write to; open it\n")
        os._exit(1)
    # What is opened next gets the number of one that is closed: a connection too.
    for number, stream in ((0, sys.stdin), (2, sys.stderr)):
        if stream is None and _is_closed(number):
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # What replaces one, as a test does, is left alone.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _waiting(stream))


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _waiting(stream: io.TextIOWrapper[Any]) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Waiting(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
    )


def flush_output() -> None:
    """Write what is held for stdout, while what goes wrong can still be said.

    Raises:
        OSError: stdout cannot be written to; Python's own attempt at the end passes over it then.
    """
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        raise


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
