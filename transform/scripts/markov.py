"""Data-driven attribution: how many conversions would go without a channel (removal effect).

Paths make a Markov chain of first order: from a channel to the next, to a conversion or to none. A
channel's effect is the share of conversions that is lost once each way through it ends in none; the
credits of all channels are in the proportion of their effects, and add up to the conversions.

Reads CSV with the columns path, conversions and paths_without of visitor_sessions__path_summary,
writes CSV. Needs Python alone.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

BETWEEN = " > "
"""As `visitor_sessions__paths` joins channels."""
START, CONVERSION, NONE = (BETWEEN + name for name in ("start", "conversion", "none"))
"""States that no channel can be called."""
COLUMNS = ("path", "conversions", "paths_without")
Chain = Mapping[str, Mapping[str, float]]


class Paths(NamedTuple):
    """How often a path led to a conversion, and how often to none."""

    channels: tuple[str, ...]
    conversions: float
    without: float


class Effect(NamedTuple):
    """Of a channel: the share of conversions that is lost without it, its share of all effects, and
    the conversions that come to it."""

    channel: str
    removal_effect: float
    share: float
    conversions: float


def read(lines: Iterable[str]) -> list[Paths]:
    """Paths of a CSV with a header.

    Raises:
        ValueError: A column is lacking, or a number is none.
    """
    csv.field_size_limit(2**31 - 1)  # a path may be longer than the 131 072 characters of before
    rows = csv.DictReader(lines)
    lacking = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if lacking:
        raise ValueError(f"no column {', '.join(lacking)} in the first line")
    return [
        Paths(tuple(row["path"].split(BETWEEN)), *(float(row[name] or "") for name in COLUMNS[1:]))
        for row in rows
    ]


def chain(paths: Iterable[Paths]) -> Chain:
    """From each state the probability of the next one."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in paths:
        states = (START, *path.channels)
        for state, after in pairwise(states):
            counts[state][after] += path.conversions + path.without
        counts[states[-1]][CONVERSION] += path.conversions
        counts[states[-1]][NONE] += path.without
    return {
        state: {after: count / total for after, count in following.items()}
        for state, following in counts.items()
        if (total := sum(following.values()))
    }


def converting(chain: Chain, without: str = "") -> float:
    """The probability of a conversion; `without` a channel each way to it ends in none.

    Solves x = Qx + r by elimination, where x is the probability from each state, Q leads to other
    states and r to a conversion.
    """
    states = [state for state in chain if state != without]
    place = {state: number for number, state in enumerate(states)}
    lines = []
    for state in states:
        line = [0.0] * (len(states) + 1)
        line[place[state]] = 1.0
        for after, probability in chain[state].items():
            if after == CONVERSION:
                line[-1] += probability
            elif after in place:
                line[place[after]] -= probability
        lines.append(line)
    # The diagonal is never 0: from each state a path ends at last.
    for number, pivot in enumerate(lines):
        for line in lines:
            if line is not pivot and line[number]:
                factor = line[number] / pivot[number]
                line[:] = [value - factor * other for value, other in zip(line, pivot, strict=True)]
    start = place[START]
    return lines[start][-1] / lines[start][start]


def effects(paths: Iterable[Paths]) -> list[Effect]:
    """Of each channel, the greatest first.

    Raises:
        ValueError: There is no conversion.
    """
    counted = [path for path in paths if path.conversions + path.without > 0]
    conversions = sum(path.conversions for path in counted)
    if not conversions:
        raise ValueError("no path with a conversion")
    made = chain(counted)
    all_of_them = converting(made)
    lost = {
        channel: 1 - converting(made, channel) / all_of_them
        for channel in sorted({channel for path in counted for channel in path.channels})
    }
    total = sum(lost.values())
    found = [
        Effect(channel, effect, effect / total, effect / total * conversions)
        for channel, effect in lost.items()
    ]
    return sorted(found, key=lambda effect: -effect.removal_effect)


def main() -> int:
    """CSV from stdin to stdout, in UTF-8 with or without its mark."""
    for stream, encoding in ((sys.stdin, "utf-8-sig"), (sys.stdout, "utf-8")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding)
    try:
        found = effects(read(sys.stdin))
    except ValueError as error:
        print(f"markov.py: {error}", file=sys.stderr)
        return 1
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(Effect._fields)
    out.writerows((name, *(round(value, 6) for value in values)) for name, *values in found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
