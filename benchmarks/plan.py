"""What it costs to load the sessions of many customers: points, hours, memory.

python3 dev.py plan --customers 2000 --years 3 --per-day 5000 --minute-limit 60 --latency 1

A simulation, not a formula. The windows of a few made-up customers are cut by the tap's own
arithmetic (plan_windows.py), which gives their requests; then the requests of all customers
pass in virtual time by the tap's own pacer and the sandbox's meters (plan_time.py). Speed and
memory of a process are those measured in benchmarks/results.

With several values of --minute-limit or --latency, a table of all their combinations.

With --pool the DAGs of orchestrate/airflow: so many runs at once, a task for each quarter of a
customer in the first load, and for --group-size customers in a daily run; each takes
--task-startup seconds before its first request, and none asks for the list of customers.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from benchmarks.harness import PAGE, RESULTS, say, table
from benchmarks.plan_time import SAMPLE_COST, Outcome, Setup, Simulation
from benchmarks.plan_windows import DAY, START, Requests, Traffic, requests
from benchmarks.traffic import SHAPES

EXACT = 2_000_000
"""Requests simulated one by one; a comparison makes do with ROUGH."""
ROUGH = 200_000
SAMPLED_SESSIONS = 10_000_000
"""Sessions that the made-up customers have together, about."""


@dataclass(frozen=True)
class Measured:
    """What benchmarks/results say of a process.

    Attributes:
        records_per_second: Read, decoded and written.
        loader_per_second: By tap and target-postgres, as shipped, into the table.
        session_bytes: Of the average session.
        windows: Windows out in which the following were measured.
        full_mb: Peak memory with full pages, at full speed.
        full_window_mb: More for each window more.
        light_mb: Peak memory with answers of next to no rows.
        light_window_mb: More for each window more.
    """

    records_per_second: int
    loader_per_second: int
    session_bytes: float
    windows: int
    full_mb: float
    full_window_mb: float
    light_mb: float
    light_window_mb: float

    def memory(self, setup: Setup, page: int) -> float:
        """MB that a process takes at most, where answers have up to `page` rows."""
        more = setup.windows_out - self.windows
        full = self.full_mb + more * self.full_window_mb
        light = self.light_mb + more * self.light_window_mb
        return light + (full - light) * min(page / PAGE, 1)


def measured() -> Measured:
    """From benchmarks/results."""

    def kept(name: str) -> dict[str, Any]:
        figure: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
        return figure

    tap = next(r for r in kept("throughput")["table"] if r["contender"] == "this tap")
    pair = next(
        row
        for row in kept("table")["table"]
        if row["into"] == "PostgreSQL" and row["who"] == "the pair as shipped"
    )
    sizes = [row for row in kept("memory")["table"] if row["host"] == "the tap"]
    peak = max(sizes, key=lambda row: int(row["sessions"]))["peak MB"]

    def growth(name: str, few: int, many: int) -> tuple[float, float]:
        """Peak with `many` requests in flight, and MB for each window more than with `few`."""
        rows = {r["concurrency"]: r["peak MB"] for r in kept(name)["table"]}
        peaks = {count: rows[f"{count} in flight"] for count in (few, many)}
        windows = [Setup(concurrency=count).windows_out for count in (few, many)]
        return peaks[many], (peaks[many] - peaks[few]) / (windows[1] - windows[0])

    default, eight = Setup(concurrency=4).windows_out, Setup(concurrency=8).windows_out
    light_at_eight, light_window_mb = growth("customers", 1, 8)
    return Measured(
        records_per_second=tap["records/s"],
        loader_per_second=pair["records/s"],
        session_bytes=kept("steps")["settings"]["MB a page"] * 1e6 / PAGE,
        windows=default,
        full_mb=peak,
        full_window_mb=growth("latency", 4, 8)[1],
        light_mb=light_at_eight - (eight - default) * light_window_mb,
        light_window_mb=light_window_mb,
    )


@dataclass(frozen=True)
class Load:
    """What is to be read: the requests of each customer, or of each of its quarters (an object may
    stand for several).

    Attributes:
        accounts: Customers, where `customers` holds their quarters.
        group: How many of them make a task of Airflow; 0: none does.
        once: Requests beside: whose account it is, and in a first load each customer's zone.
    """

    customers: Sequence[Requests]
    sessions: int
    accounts: int = 0
    group: int = 0
    once: int = 0

    @cached_property
    def requests(self) -> int:
        """Report requests of all customers."""
        return sum(len(customer.rows) for customer in self.customers)

    @cached_property
    def rows(self) -> int:
        """Rows of all answers."""
        return sum(sum(customer.rows) for customer in self.customers)

    @cached_property
    def sampled(self) -> int:
        """Of these, rows of pages that served as a sample only."""
        return sum(customer.sampled for customer in self.customers)

    @cached_property
    def page(self) -> int:
        """Rows of the largest answer."""
        return max(max(customer.rows) for customer in self.customers)

    def least(self, page_size: int) -> int:
        """Pages that the sessions fill, each customer's for itself; one where there are none."""
        count = self.accounts or len(self.customers)
        return count * max(math.ceil(self.sessions / count / page_size), 1)


@dataclass(frozen=True)
class Loads:
    """The first load, and a daily run on its busiest day of the week, with its sessions read
    again for the look-back."""

    backfill: Load
    daily: Load
    daily_points: float
    """Report requests of a daily run, mean over the week."""


def loads(options: argparse.Namespace) -> Loads:
    """Make up customers and cut their windows."""
    days = round(options.years * 365)
    silent = round(options.customers * options.silent)
    count: int = options.customers - silent
    nobody = Traffic(0, days, options.shape, seed=options.seed)
    kinds: int = max(min(count, 30, SAMPLED_SESSIONS // max(round(options.per_day * days), 1)), 1)
    end = START + days * DAY
    lookback = timedelta(days=options.lookback)
    spans = _quarters(end) if options.pool else [(START, end)]
    backfill: list[list[Requests]] = []
    sessions = 0
    daily: list[list[tuple[Requests, int]]] = [[] for _ in range(7)]
    for kind in range(kinds):
        traffic = Traffic(options.per_day, days, options.shape, seed=options.seed + kind)
        backfill.append([requests(traffic, a, b, options.page_size) for a, b in spans])
        sessions += traffic.count(START, end)
        for ago, runs in enumerate(daily):
            till = end - ago * DAY
            since = max(till - DAY - lookback, START)
            found = requests(traffic, since, till, options.page_size)
            runs.append((found, traffic.count(since, till)))

    # Their windows once; then, since STATE says how far they have been read, the look-back.
    still_all = [requests(nobody, a, b, options.page_size) for a, b in spans]
    still_daily = requests(nobody, max(end - DAY - lookback, START), end, options.page_size)

    def shared(total: int) -> int:
        return round(total / kinds * count)

    def of_day(runs: Sequence[tuple[Requests, int]]) -> Load:
        whole = [*(runs[i % kinds][0] for i in range(count)), *[still_daily] * silent]
        group, once = (options.group_size, 1) if options.pool else (0, 0)
        return Load(whole, shared(sum(total for _, total in runs)), group=group, once=once)

    first = [*(backfill[i % kinds] for i in range(count)), *[still_all] * silent]
    days_of_week = [of_day(runs) for runs in daily]
    return Loads(
        Load(
            [piece for pieces in first for piece in pieces],
            shared(sessions),
            accounts=options.customers,
            group=1 if options.pool else 0,
            once=options.customers + 1 if options.customers > 1 else 0,
        ),
        max(days_of_week, key=lambda run: (run.requests, run.sessions)),
        sum(run.requests for run in days_of_week) / len(days_of_week),
    )


def _quarters(end: datetime) -> list[tuple[datetime, datetime]]:
    """[START, end) cut at the quarters of the year, as the DAGs do."""
    found, at = [], START
    while at < end:
        year, month = divmod(at.year * 12 + (at.month - 1) // 3 * 3 + 3, 12)
        after = min(datetime(year, month + 1, 1), end)
        found.append((at, after))
        at = after
    return found


def bounds(setup: Setup, load: Load, points: int) -> dict[str, float]:
    """Seconds that each bound alone asks for, were the others none."""
    decoded = load.rows - load.sampled * (1 - SAMPLE_COST)
    tasks = _tasks(load)
    found = {
        "latency": points * setup.latency / (setup.concurrency * setup.processes),
        "network": load.rows * setup.seconds_per_row / setup.processes,
        "decoding": decoded / setup.records_per_second / setup.processes,
    }
    if setup.loader_per_second < math.inf:
        taken = load.rows - load.sampled
        found["loading"] = taken / setup.loader_per_second / setup.processes
    if tasks:
        found["task start-up"] = tasks * setup.task_startup / setup.processes
    if setup.minute_limit:
        minutes = (points - 1) // setup.minute_limit
        found["minute limit"] = minutes * setup.minute_seconds
    if setup.day_limit:
        found["day limit"] = (points - 1) // setup.day_limit * 86_400.0
    return found


def _tasks(load: Load) -> int:
    """Tasks of Airflow."""
    return math.ceil(len(load.customers) / load.group) if load.group else 0


def bottleneck(setup: Setup, load: Load, points: int) -> str:
    """The bound that asks for most."""
    found = bounds(setup, load, points)
    return max(found, key=lambda name: found[name])


def simulated(setup: Setup, load: Load, exact: int = EXACT) -> Outcome:
    """Let it run in virtual time."""
    beside = {"accounts": load.accounts, "group": load.group, "once": load.once}
    return Simulation(setup, load.customers, exact, **beside).run()


# What is shown


def spelled(seconds: float) -> str:
    """A duration that a planner can read."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 3600:,.0f} h ({seconds / 86_400:.1f} days)".replace(",", " ")


def markdown(rows: Sequence[Sequence[object]]) -> str:
    """A table of a page of the docs."""
    lines = ["| " + " | ".join(_text(cell) for cell in row) + " |" for row in rows]
    rule = "| --- |" + " --: |" * (len(rows[0]) - 1)
    return "\n".join([lines[0], rule, *lines[1:]])


def _text(cell: object) -> str:
    return f"{cell:,}".replace(",", " ") if isinstance(cell, int) else str(cell)


def overview(setup: Setup, found: Loads, page_size: int, figures: Measured) -> list[list[Any]]:
    """The rows of the plan for one setup."""
    both = {"backfill": found.backfill, "a daily run": found.daily}
    outcomes = {name: simulated(setup, load) for name, load in both.items()}

    def row(name: str, values: Sequence[Any]) -> list[Any]:
        return [name, *values]

    limits = {name: bounds(setup, load, outcomes[name].points) for name, load in both.items()}
    points = [o.points for o in outcomes.values()]
    rows = [
        row("", list(both)),
        row("sessions", [load.sessions for load in both.values()]),
        row("points (requests)", points),
        row(
            "requests, x the least pages",
            [f"{x.requests / x.least(page_size):.2f}" for x in both.values()],
        ),
        row("requests of a daily run, mean of a week", ["", round(found.daily_points)]),
    ]
    if found.backfill.group:
        rows.append(row("tasks of Airflow", [_tasks(load) for load in both.values()]))
    if setup.day_limit:
        rows.append(row("days of points", [math.ceil(p / setup.day_limit) for p in points]))
    rows.append(
        row("data read, GB", [round(x.rows * setup.session_bytes / 1e9) for x in both.values()])
    )
    for bound in limits["backfill"]:
        rows.append(row(f"time by {bound} alone", [spelled(b[bound]) for b in limits.values()]))
    rows += [
        row("time in all", [spelled(o.seconds) for o in outcomes.values()]),
        row("bottleneck", [bottleneck(setup, x, outcomes[n].points) for n, x in both.items()]),
        row("refused for points", [o.rejected for o in outcomes.values()]),
        row(
            "peak memory of a process, MB",
            [round(figures.memory(setup, x.page)) for x in both.values()],
        ),
    ]
    return rows


def scaled(setup: Setup, found: Loads, figures: Measured) -> list[list[Any]]:
    """What more processes, or machines of one process each, change."""
    head = ["processes", "backfill", "bottleneck", "a daily run", "refused", "memory in all, MB"]
    rows: list[list[Any]] = [head]
    for factor in (1, 2, 4, 8):
        more = replace(setup, processes=setup.processes * factor)
        if more.processes > len(found.backfill.customers):
            break
        backfill = simulated(more, found.backfill, ROUGH)
        daily = simulated(more, found.daily, ROUGH)
        memory = more.processes * figures.memory(more, found.backfill.page)
        rows.append(
            [
                more.processes,
                spelled(backfill.seconds),
                bottleneck(more, found.backfill, backfill.points),
                spelled(daily.seconds),
                f"{100 * backfill.rejected / backfill.simulated:.1f} %",
                round(memory),
            ]
        )
    return rows


def grid(setups: Sequence[Setup], found: Loads) -> list[list[Any]]:
    """A row for each combination of a minute limit and a latency."""
    rows: list[list[Any]] = [
        ["points a minute", "latency", "backfill", "bottleneck", "a daily run", "bottleneck"]
    ]
    for setup in setups:
        row: list[Any] = [setup.minute_limit or "no limit", f"{setup.latency:g} s"]
        for load in (found.backfill, found.daily):
            outcome = simulated(setup, load, ROUGH)
            row += [spelled(outcome.seconds), bottleneck(setup, load, outcome.points)]
        rows.append(row)
    return rows


def parser(figures: Measured) -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="dev.py plan", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = found.add_argument
    whole, number = partial(_number, int), partial(_number, float)
    add("--customers", type=whole(1, 1_000_000), default=2000)
    add("--years", type=number(7 / 365, 100), default=3.0, help="of sessions to load at first")
    add(
        "--per-day",
        type=number(0, 10_000_000, above=True),
        default=5000,
        help="sessions of a customer a day, on average",
    )
    limit = whole(0, 1_000_000_000)
    add("--minute-limit", type=limit, nargs="+", default=[60], help="points; 0: no limit")
    add("--day-limit", type=limit, default=3000, help="points; 0: no limit")
    seconds = number(0, 3600)
    add("--latency", type=seconds, nargs="+", default=[1.0], help="seconds per request")
    add("--concurrency", type=whole(1, 64), default=8, help="requests in flight of a process")
    add(
        "--processes",
        type=whole(1, 10_000),
        default=1,
        help="taps, each with a part of the customers",
    )
    add(
        "--pool",
        type=whole(0, 10_000),
        default=0,
        help="slots of Airflow's pool, in place of --processes; 0: without Airflow",
    )
    add(
        "--group-size",
        type=whole(1, 1_000_000),
        default=1,
        help="with --pool: customers of a task of a daily run",
    )
    add(
        "--task-startup",
        type=seconds,
        default=8.0,
        help="with --pool: seconds of a task before its first request",
    )
    add("--page-size", type=whole(1, PAGE), default=PAGE)
    add("--lookback", type=number(0, 3650), default=1.0, help="days that a daily run reads again")
    add("--shape", choices=SHAPES, default="daily", help="how sessions spread over time")
    add(
        "--silent",
        type=number(0, 1),
        default=0.0,
        help="share of the customers without a session, 0 to less than 1",
    )
    add("--seed", type=int, default=1)
    rate = partial(number, most=1e12)
    add("--records-per-second", type=rate(0, above=True), default=figures.records_per_second)
    add(
        "--loader-per-second",
        type=rate(0),
        default=figures.loader_per_second,
        help="sessions that a loader takes; 0: files, or none",
    )
    add("--session-bytes", type=number(0, 1_000_000), default=round(figures.session_bytes))
    add(
        "--megabits",
        type=rate(0.001),
        default=1000.0,
        help="per second, of a process",
    )
    add("--markdown", action="store_true", help="tables for a page")
    return found


N = TypeVar("N", int, float)


def _number(
    kind: type[N], least: float, most: float = math.inf, *, above: bool = False
) -> Callable[[str], N]:
    """What argparse makes a number of, and refuses by the option's name."""

    def read(text: str) -> N:
        try:
            value: N | None = kind(text)
        except ValueError:
            value = None
        fits = value is not None and math.isfinite(value) and least <= value <= most
        if value is None or not fits or (above and value == least):
            kinds = "a whole number" if kind is int else "a number"
            bound = f"above {least:g}" if above else f"{least:g} or more"
            upto = f", {most:,.0f} at most" if most < math.inf else ""
            raise argparse.ArgumentTypeError(f"{kinds} is wanted, {bound}{upto}, not {text[:40]}")
        return value

    return read


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, simulate and print."""
    figures = measured()
    command = parser(figures)
    options = command.parse_args(arguments)
    if round(options.customers * (1 - options.silent)) < 1:
        command.error("argument --silent: one customer at least has sessions")
    if options.processes > options.customers:
        command.error("argument --processes: no more of them than customers")
    if options.pool and options.processes > 1:
        command.error("argument --processes: --pool takes its place")
    if options.per_day / 86_400 > options.page_size:
        command.error("argument --page-size: a second's sessions must fit a page")
    options.processes = options.pool or options.processes
    shown = markdown if options.markdown else table
    setups = [
        Setup(
            latency=latency,
            concurrency=options.concurrency,
            processes=options.processes,
            task_startup=options.task_startup,
            minute_limit=limit or None,
            day_limit=options.day_limit or None,
            records_per_second=options.records_per_second,
            loader_per_second=options.loader_per_second or math.inf,
            megabits=options.megabits,
            session_bytes=options.session_bytes,
        )
        for limit in options.minute_limit
        for latency in options.latency
    ]
    say("Cutting the windows of some customers")
    try:
        found = loads(options)
    except ValueError as problem:
        command.error(f"argument --page-size: {problem}")
    say("Letting the requests of all customers run in virtual time")
    print(
        f"{options.customers} customers x {options.years:g} years x {options.per_day:g} "
        f"sessions a day; {options.concurrency} in flight of {options.processes} "
        f"{'slot(s) of a pool' if options.pool else 'process(es)'}\n"
    )
    if len(setups) > 1:
        print(shown(grid(setups, found)))
        return
    print(shown(overview(setups[0], found, options.page_size, figures)))
    print("\nMore processes, or machines of one process each; no number of them moves a limit:\n")
    print(shown(scaled(setups[0], found, figures)))


if __name__ == "__main__":
    main()
