"""What all figures share: the server, processes with a clock, environments, tables, results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.server import TOKEN

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
VENVS = ROOT / "benchmarks" / ".venvs"
PEERS = ROOT / "benchmarks" / "peers"
START = datetime(2024, 1, 1)
PER_DAY = 5000
WINDOW_DAYS = 12  # of the peers: 60 000 sessions, which offsets reach
BASELINE_DAYS = 1.5  # of the baseline: fits a page
PAGE = 10_000


def say(text: str) -> None:
    """A line of progress, apart from the result on stdout."""
    print(f"==> {text}", file=sys.stderr, flush=True)


# The API


@dataclass(frozen=True)
class Api:
    """A running server and the span of its sessions."""

    url: str
    sessions: int
    days: int

    def stats(self) -> dict[str, Any]:
        """What it has done since the last question."""
        with urllib.request.urlopen(self.url, timeout=60) as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats

    def config(self, **more: Any) -> dict[str, Any]:
        """Settings of the tap that reads it all."""
        end = START + timedelta(days=self.days, seconds=-1)
        return {
            "access_token": TOKEN,
            "api_url": self.url,
            "start_date": START.isoformat(),
            "end_date": end.isoformat(),
            **more,
        }


def days(sessions: int) -> int:
    """Length of the data."""
    return max(sessions // PER_DAY, 1)


@contextmanager
def serving(
    sessions: int, *, shape: str = "daily", latency: float = 0, cache_mb: int = 0
) -> Iterator[Api]:
    """The server, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server", f"--start={START.isoformat()}"]
    command += [f"--sessions={sessions}", f"--shape={shape}", f"--days={days(sessions)}"]
    command += [f"--latency={latency}", f"--cache-mb={cache_mb}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit("The server did not start")
        yield Api(url, sessions, days(sessions))
    finally:
        process.terminate()
        process.wait(30)


# Processes


@dataclass
class Run:
    """A process from start to exit. `requests` and the `server_*` come from the server."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: int = 0
    rows: int = 0
    server_cpu_seconds: float = 0.0


def pipeline(*commands: Sequence[str], env: Mapping[str, str] | None = None) -> list[Run]:
    """Run commands, each one's stdout into the next, the last one's to nowhere.

    Raises:
        SystemExit: one failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.launch"],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        input=json.dumps(commands),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return [Run(**run) for run in json.loads(done.stdout)]


def measured(api: Api, command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a command against the server, which must have given all sessions at least once."""
    api.stats()
    [run] = pipeline(command, env=env)
    stats = api.stats()
    run.requests = stats["requests"].get("get.visitor_sessions_report", 0)
    run.rows = stats["rows"]
    run.server_cpu_seconds = stats["cpu_seconds"]
    if run.rows < api.sessions:
        raise SystemExit(f"{' '.join(command[1:4])} read only {run.rows} of {api.sessions}")
    return run


def interleaved(count: int, contenders: Mapping[str, Callable[[], Run]]) -> list[dict[str, Run]]:
    """A B C, A B C, …: what disturbs the machine for a while disturbs all of them."""
    rounds = []
    for number in range(1, count + 1):
        done = {}
        for name, contender in contenders.items():
            done[name] = contender()
            say(f"Round {number} of {count}: {name} {done[name].seconds:.2f} s")
        rounds.append(done)
    return rounds


def middle(rounds: Sequence[Mapping[str, Run]], name: str, value: str = "seconds") -> float:
    """The median over rounds of a contender's value."""
    return median(float(getattr(done[name], value)) for done in rounds)


def ratio(rounds: Sequence[Mapping[str, Run]], over: str, under: str) -> float:
    """The median of the rounds' own ratios of seconds."""
    return median(done[over].seconds / done[under].seconds for done in rounds)


# Commands and their environments


def tap(folder: Path, config: Mapping[str, Any], *arguments: str) -> list[str]:
    """The command of this tap, its config written to `folder`."""
    path = folder / f"tap-{hashlib.sha1(json.dumps(config).encode()).hexdigest()[:8]}.json"
    path.write_text(json.dumps(config))
    return [sys.executable, "-m", "tap_visitor_sessions", f"--config={path}", *arguments]


def environment(name: str) -> Path:
    """The Python of a peer's environment, made from `peers/requirements-NAME.txt`."""
    return _environment(name, (PEERS / f"requirements-{name}.txt").read_text().split("\n"))


def loader(name: str) -> Path:
    """The Python of a loader's environment, made from its line in meltano.yml."""
    loaders = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
    [line] = [one["pip_url"] for one in loaders if one["name"] == name]
    return _environment(name, line.split(" "))


def _environment(name: str, requirements: Sequence[str]) -> Path:
    folder = VENVS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "made-for"
    wanted = "\n".join(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"Making the environment of {name}")
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *filter(None, requirements)], cwd=ROOT, check=True)
        stamp.write_text(wanted)
    return python


def version(python: Path | str, package: str) -> str:
    """The version of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return f"{package} {done.stdout.strip()}"


# Results


@dataclass
class Goal:
    """What a figure is held against."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        enough = self.least is None or self.value >= self.least
        return enough and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        bound = f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}"
        return f"{'met' if self.met else 'MISSED':7}{self.name}: {self.value:.2f} ({bound})"


@dataclass
class Figure:
    """A result: printed as a table and kept as JSON."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    goals: list[Goal]
    settings: dict[str, Any] = field(default_factory=dict)
    rounds: Sequence[Mapping[str, Run]] = ()

    def show(self, *, keep: bool = True) -> None:
        """Print it and keep it."""
        print(f"\n{self.name}: " + ", ".join(f"{k} {v}" for k, v in self.settings.items()))
        print(table([self.head, *self.rows]))
        for goal in self.goals:
            print(goal)
        if not keep:
            return
        RESULTS.mkdir(exist_ok=True)
        kept = {
            "figure": self.name,
            "settings": self.settings,
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "table": [dict(zip(self.head, row, strict=True)) for row in self.rows],
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
            "rounds": [{name: asdict(run) for name, run in done.items()} for done in self.rounds],
        }
        text = json.dumps(kept, indent=1, ensure_ascii=False)
        (RESULTS / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def against(rounds: Sequence[Mapping[str, Run]], base: str, name: str) -> list[Any]:
    """A row: seconds, how many times faster than the base, requests, MB at the peak."""
    return [
        name,
        middle(rounds, name),
        ratio(rounds, base, name),
        int(middle(rounds, name, "requests")),
        round(middle(rounds, name, "peak_mb")),
    ]


def show_in_flight(
    figure: str,
    names: Mapping[int, str],
    settings: dict[str, Any],
    rounds: Sequence[Mapping[str, Run]],
    more_rows: Sequence[Sequence[Any]] = (),
    more_goals: Sequence[Goal] = (),
) -> None:
    """A figure of wall time by requests in flight: contenders by their number, 1 and 8 among
    them."""
    one, eight = names[1], names[8]
    rows = [against(rounds, one, name) for name in names.values()]
    goals = [Goal("speed with 8 in flight against 1", ratio(rounds, one, eight), least=5)]
    head = ["concurrency", "s", "x faster", "requests", "peak MB"]
    Figure(figure, head, [*rows, *more_rows], [*goals, *more_goals], settings, rounds).show()


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Plain text, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}".replace(",", " ")
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
