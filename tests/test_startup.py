"""What commands and sources do to their process."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys

import pytest
from support import ROOT

from tap_visitor_sessions.startup import SELDOM, collecting_seldom, share_one_heap

HEAPS = """
import ctypes, threading
from tap_visitor_sessions.startup import share_one_heap
share_one_heap()
def fetch():
    held.append(bytearray(100_000))
    together.wait()
held, together = [], threading.Barrier(4)
threads = [threading.Thread(target=fetch) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


def heaps(**environment: str) -> int:
    """How many glibc has made in a process of four threads."""
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", HEAPS],
        cwd=ROOT,
        env={**env, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr.count("Arena ")


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="no glibc"
)
def test_threads_share_one_heap_unless_the_user_says_otherwise() -> None:
    assert heaps() == 1
    assert heaps(MALLOC_ARENA_MAX="8") > 1


@pytest.mark.parametrize("lacks", [None, object()], ids=["no ctypes", "no mallopt"])
def test_where_there_is_no_such_heap_nothing_happens(
    lacks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setitem(sys.modules, "ctypes", lacks)
    share_one_heap()


def test_reads_that_overlap_give_the_collector_back_in_any_order() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        first, second = collecting_seldom(), collecting_seldom()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert gc.get_threshold() == SELDOM
        second.__exit__(None, None, None)
        assert gc.get_threshold() == (700, 10, 10)
    finally:
        gc.set_threshold(*before)


def test_a_process_that_is_not_ours_gets_its_collector_back() -> None:
    before = gc.get_threshold()
    try:
        for theirs in ((700, 10, 10), (10**6, 1, 1)):
            gc.set_threshold(*theirs)
            with collecting_seldom():
                assert gc.get_threshold() == tuple(map(max, zip(theirs, SELDOM, strict=True)))
            assert gc.get_threshold() == theirs
    finally:
        gc.set_threshold(*before)
