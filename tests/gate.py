"""What of a test of many cases the gate runs: `dev.py faults`, each night, runs all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from zlib import crc32

import pytest

SHARE = 3
"""Of a test marked `thinned` each case in so many is taken."""


def of_the_gate(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Of a test marked `thinned` some of the cases; of one marked `one_host` each case, through
    one of its hosts, in turn."""
    seen: Counter[object] = Counter()
    hosts: dict[str, list[pytest.Item]] = defaultdict(list)
    taken = []
    for item in items:
        where = item.nodeid.split("[")[0]
        if "one_host" in item.keywords and isinstance(item, pytest.Function):
            host = item.callspec.params["host"].name
            hosts[where + item.callspec.id.replace(host, "", 1)].append(item)
            continue
        if "thinned" in item.keywords:
            seen[where] += 1
            if seen[where] % SHARE != 1:
                continue
        taken.append(item)
    return [*taken, *(of[crc32(case.encode()) % len(of)] for case, of in hosts.items())]
