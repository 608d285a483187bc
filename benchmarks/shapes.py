"""What deviates or is asked for, against the clean run: seconds and memory, in one run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.harness import Api, Figure, Goal, Run, interleaved, measured, middle, serving, tap
from benchmarks.odd import NAMES
from tap_visitor_sessions.config import STREAM

CLEAN = "clean"
DEVIATES, ASKED = 1.4, 2.0
"""Most times the clean run's seconds: of values that deviate, and of what a user asks for."""
MEMORY = 1.25
KEY = "a key for the benchmark"
HASHED = ["visitor_ip_address"]
PERSONAL = ["visitor_ip_address", "ua_client_id", "ym_client_id", "person_id", "hits.hit_url"]


@dataclass(frozen=True)
class Shape:
    """A way to run the tap.

    Attributes:
        goal: Most times the clean run's seconds; None: it is only shown.
        more: Settings.
        odd: A name of `odd.ODD`: how the sessions deviate.
        deselected: A member that is left out.
    """

    goal: float | None
    more: Mapping[str, Any] = field(default_factory=dict)
    odd: str = ""
    deselected: str = ""

    def command(self, api: Api, folder: Path) -> list[str]:
        """The tap that runs so."""
        config = api.config(**self.more)
        if self.odd:
            config["api_url"] += f"/{NAMES.index(self.odd)}"
        arguments = []
        if self.deselected:
            path = folder / "catalog.json"
            path.write_text(msgspec.json.encode(without(self.deselected)).decode())
            arguments.append(f"--catalog={path}")
        return tap(folder, config, *arguments)


def without(member: str) -> dict[str, Any]:
    """A catalog that leaves a member of an array out."""
    column, _, name = member.partition(".")
    path = ["properties", column, "items", "properties", name]
    metadata = [
        {"breadcrumb": [], "metadata": {"selected": True}},
        {"breadcrumb": path, "metadata": {"selected": False}},
    ]
    return {"streams": [{"tap_stream_id": STREAM, "stream": STREAM, "metadata": metadata}]}


def shapes() -> dict[str, Shape]:
    """All of them, the clean one first."""
    return {
        CLEAN: Shape(None),
        **{name: Shape(DEVIATES, odd=name) for name in NAMES},
        "hits.hit_url deselected": Shape(ASKED, deselected="hits.hit_url"),
        "flattened": Shape(ASKED, {"flattening_enabled": True, "flattening_max_depth": 1}),
        "one column hashed": Shape(ASKED, {"hash_columns": HASHED, "hash_key": KEY}),
        "four columns and all hits hashed": Shape(
            ASKED, {"hash_columns": PERSONAL, "hash_key": KEY}
        ),
        "a stream map of one column": Shape(
            None, {"stream_maps": {STREAM: {"visitor_ip_address": "md5(visitor_ip_address)"}}}
        ),
    }


def times(rounds: Sequence[Mapping[str, Run]], name: str, value: str) -> float:
    """The median of the rounds' own ratios of a value against the clean run."""
    found = (float(getattr(done[name], value) / getattr(done[CLEAN], value)) for done in rounds)
    return median(found)


def figures(rounds: Sequence[Mapping[str, Run]], sessions: int) -> list[list[Any]]:
    """The rows of the table."""
    return [
        [
            name,
            middle(rounds, name),
            round(sessions / middle(rounds, name)),
            times(rounds, name, "seconds"),
            times(rounds, name, "cpu_seconds"),
            round(middle(rounds, name, "peak_mb")),
            times(rounds, name, "peak_mb"),
        ]
        for name in rounds[0]
    ]


def goals(rounds: Sequence[Mapping[str, Run]]) -> list[Goal]:
    """What each is held against."""
    found = []
    everyone = shapes()
    for name in rounds[0]:
        shape = everyone[name]
        if shape.goal is not None:
            found.append(
                Goal(f"{name}: x seconds", times(rounds, name, "seconds"), most=shape.goal)
            )
        if name != CLEAN:
            found.append(Goal(f"{name}: x memory", times(rounds, name, "peak_mb"), most=MEMORY))
    return found


def main(options: argparse.Namespace) -> None:
    """Measure."""
    everyone = shapes()
    chosen = {n: s for n, s in everyone.items() if n == CLEAN or options.only in n}
    cache_mb = options.sessions * 3 // 1000 * len(NAMES)
    with (
        tempfile.TemporaryDirectory() as name,
        serving(options.sessions, cache_mb=cache_mb) as api,
    ):
        runs: dict[str, Callable[[], Run]] = {}
        for who, shape in chosen.items():
            folder = Path(name) / str(len(runs))
            folder.mkdir()
            runs[who] = partial(measured, api, shape.command(api, folder))
            if who == CLEAN or shape.odd:
                runs[who]()  # the server renders each page before the clock starts
        rounds = interleaved(options.rounds, runs)
    head = ["shape", "s", "records/s", "x s", "x CPU", "peak MB", "x MB"]
    settings = {"sessions": options.sessions, "rounds": options.rounds}
    rows = figures(rounds, options.sessions)
    Figure("shapes", head, rows, goals(rounds), settings, rounds).show(keep=not options.only)
