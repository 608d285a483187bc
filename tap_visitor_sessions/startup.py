"""What each command does before it imports the rest, and after."""

from __future__ import annotations

import gc
import os
import signal


def end_at_once_on_signals() -> None:
    """Until the host takes over nothing has been written, so there is nothing to say."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: os._exit(128 + n))


def collect_seldom() -> None:
    """Records hold no cycles: the collector finds nothing, and looking costs a tenth of a run."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
