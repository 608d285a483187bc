"""When the requests of many customers are through: a simulation in virtual time.

Real: the tap's Pacer, and the sandbox's Meters as the server's side. Modelled: windows in flight
and emitted front to back as in `sessions/windows/pipeline.py`, over all customers of a process; a
latency for every request; a line that a process's answers share; one page decoded at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from benchmarks.harness import PAGE
from benchmarks.plan_windows import Requests
from sandbox.faults import Limits, Meters
from tap_visitor_sessions.api.client import LISTING_PAGE
from tap_visitor_sessions.api.errors import LimitExceeded
from tap_visitor_sessions.api.limits import Pacer
from tap_visitor_sessions.sessions.windows.pipeline import IN_FLIGHT_PER_SPARE

POLL = 0.2
"""Seconds after which a thread that waits for another's answer looks again."""
POLLS = 20
"""How often it looks at most while an answer comes: one can take days on a slow line."""
SAMPLE_COST = 0.45
"""Of a page of which only the times are read: download, envelope, a part of the decoding
(benchmarks/results/steps.json)."""

Key = tuple[int, int]
"""A customer's place and its request's: in this order records are written."""


@dataclass(frozen=True)
class Setup:
    """What is run, and where.

    Attributes:
        latency: Seconds per request.
        concurrency: Requests in flight of a process.
        processes: Taps that share the account, each with an equal part of the customers.
        minute_limit, day_limit: Points of the account; None: no limit.
        records_per_second: Decoded and written by a process.
        loader_per_second: Taken by the loader behind it.
        megabits: Per second, for a process's answers.
        session_bytes: Of a session on the line.
        startup: Seconds from the start of a process to its first request.
        task_startup: The same where Airflow starts it: with its own, Meltano's and the loader's.
        minute_seconds: Shortens the minute, for tests.
    """

    latency: float = 1.0
    concurrency: int = 8
    processes: int = 1
    minute_limit: int | None = None
    day_limit: int | None = None
    records_per_second: float = 50_000
    loader_per_second: float = math.inf
    megabits: float = 1000
    session_bytes: float = 2440
    startup: float = 0.3
    task_startup: float = 8.0
    minute_seconds: float = 60.0

    @property
    def windows_out(self) -> int:
        """Windows that a process holds at most."""
        return self.concurrency + max(self.concurrency // IN_FLIGHT_PER_SPARE, 1)

    def seconds(self, rows: int, *, sample: bool) -> float:
        """To take the rows of an answer; a sample is only looked at."""
        if sample:
            return rows * SAMPLE_COST / self.records_per_second
        return rows / min(self.records_per_second, self.loader_per_second)

    @property
    def seconds_per_row(self) -> float:
        """On the line."""
        return self.session_bytes * 8 / (self.megabits * 1e6)

    @property
    def poll(self) -> float:
        """Seconds between two looks."""
        return max(POLL, (self.latency + PAGE * self.seconds_per_row) / POLLS)


@dataclass(frozen=True)
class Outcome:
    """What a simulation tells.

    Attributes:
        seconds: From the start to the last record.
        points: Requests charged, those beside the reports included.
        rejected: Requests that found no point left; they are not charged.
        simulated: Requests simulated one by one; the rest goes on at their rate.
    """

    seconds: float
    points: int
    rejected: int
    simulated: int


class Simulation:
    """Virtual time: it passes from event to event.

    Args:
        customers: The requests of each; the same object may stand for several.
        exact: Charged requests after which the rate is taken as steady.
        accounts: Customers, where `customers` holds their quarters.
        group: Of so many in a row Airflow makes a task, in as many slots as there are processes,
            and hands the list of customers to each; 0: each process is one run of the tap.
        once: Requests beside, sent while others are: whose zones and account they are.
    """

    def __init__(
        self,
        setup: Setup,
        customers: Sequence[Requests],
        exact: int,
        *,
        accounts: int = 0,
        group: int = 0,
        once: int = 0,
    ) -> None:
        self.setup = setup
        self.now = 0.0
        accounts = accounts or len(customers)
        listings = 1 if accounts == 1 else 2 * math.ceil(accounts / LISTING_PAGE)
        lists = 1 if group else setup.processes
        self.points = sum(len(c.rows) for c in customers) + listings * lists + once
        self.is_whole = self.points <= exact
        self._exact = exact
        # The rhythm of days is too slow for a part of the run to show: `_with_days` adds it.
        day = setup.day_limit if self.is_whole else None
        limits = Limits(day, setup.minute_limit, minute_seconds=setup.minute_seconds)
        self.meters = Meters(limits, lambda: self.now)
        self.charged = 0
        self.rejected = 0
        self.ended = 0.0
        """When the last record of all was taken."""
        self._minutes = [(0.0, 0)]  # when a minute of the meters began, points charged by then
        self._events: list[tuple[float, int, Callable[[Key], None], Key]] = []
        self._number = 0
        if group:
            tasks: Iterator[Sequence[Requests]] = iter(
                [customers[at : at + group] for at in range(0, len(customers), group)]
            )
            begin, listings = 2 * setup.task_startup + listings * setup.latency, 0
            works = [tasks] * setup.processes
        else:
            begin = setup.startup
            works = [iter([customers[n :: setup.processes]]) for n in range(setup.processes)]
        for work in works:
            self.at(begin, Process(self, work, listings).begin, (0, 0))

    def at(self, when: float, what: Callable[[Key], None], key: Key) -> None:
        """Call `what(key)` at a time."""
        self._number += 1
        heappush(self._events, (when, self._number, what, key))

    def charge(self) -> None:
        """Take a point."""
        self.meters.charge()
        self.charged += 1
        began = self.meters.windows_began[-1]
        if began != self._minutes[-1][0]:
            self._minutes.append((began, self.charged - 1))

    def run(self) -> Outcome:
        """Simulate."""
        while self._events and (self.is_whole or self.charged < self._exact):
            self.now, _, what, key = heappop(self._events)
            what(key)
        seconds = self.ended if self.is_whole else self._extrapolated()
        return Outcome(seconds, self.points, self.rejected, self.charged)

    def _extrapolated(self) -> float:
        """Seconds of the whole, from the rate over the whole minutes of the latter half."""
        last = self._minutes[-1] if len(self._minutes) > 3 else (self.now, self.charged)
        half = min(self._minutes, key=lambda minute: abs(minute[1] - last[1] / 2))
        rate = (last[1] - half[1]) / (last[0] - half[0])
        return self._with_days(last[0] + (self.points - last[1]) / rate, rate)

    def _with_days(self, seconds: float, rate: float) -> float:
        day, limit = 86_400.0, self.setup.day_limit
        if limit is None or rate * day <= limit:
            return seconds
        days = (self.points - 1) // limit
        return days * day + (self.points - days * limit) / rate


class Process:
    """A tap: so many windows out, in the order of customers and time.

    Args:
        work: The customers of one run after the other; processes may share it.
    """

    def __init__(
        self, world: Simulation, work: Iterator[Sequence[Requests]], listings: int
    ) -> None:
        self._world = world
        self._setup = world.setup
        self._work = work
        self._customers: Sequence[Requests] = ()
        self._next_customer = 0
        self._listings = listings
        self._uncut: list[Key] = []
        self._out: dict[Key, bool] = {}  # whether it is decoded and waits for its turn
        self._ready: deque[Key] = deque()  # for a slot and for points
        self._busy = 0
        self._line_free = self._decoder_free = 0.0
        self._asleep_until = self._wakes_at = 0.0
        self._delay: float | None = None
        self._pacer = self._fresh_pacer()

    def _fresh_pacer(self) -> Pacer:
        world = self._world
        pacer = Pacer(on_daily_limit="wait", clock=lambda: world.now, sleep=self._note_delay)
        # A thread that waits for another's answer: here `_arrived` and a poll wake it.
        pacer._changed.wait = lambda timeout=None: True  # type: ignore[method-assign]
        return pacer

    def begin(self, _: Key) -> None:
        """Start a run: the listings one by one, then the customers."""
        self._customers, self._next_customer = next(self._work, ()), 0
        if self._customers:
            self._pacer, self._asleep_until = self._fresh_pacer(), 0.0
            self._fill()

    def _note_delay(self, seconds: float) -> None:
        self._delay = seconds

    def _fill(self) -> None:
        while len(self._out) < self._setup.windows_out:
            key = self._taken()
            if key is None:
                break
            self._out[key] = False
            self._ready.append(key)
        if not self._out:  # the run is over
            self._world.at(self._world.now + self._setup.task_startup, self.begin, (0, 0))
        self._send()

    def _taken(self) -> Key | None:
        """The next window to ask for."""
        if self._listings:
            return None if self._out else (-1, self._listings)
        while not self._uncut and self._next_customer < len(self._customers):
            place, self._next_customer = self._next_customer, self._next_customer + 1
            for number in self._customers[place].roots:
                heappush(self._uncut, (place, number))
        return heappop(self._uncut) if self._uncut else None

    def _send(self) -> None:
        world = self._world
        while self._ready and self._busy < self._setup.concurrency:
            if world.now < self._asleep_until:
                return
            self._delay = None
            if not self._pacer._admit():
                if self._delay is not None:
                    # The microsecond: a float may fall just short of the reset. It is more where
                    # that were less than the float can tell.
                    more = max(1e-6, world.now * 1e-12)
                    self._asleep_until = world.now + self._delay + more
                    self._wake_at(self._asleep_until)
                elif self._wakes_at <= world.now:
                    self._wake_at(world.now + self._setup.poll)
                return
            self._busy += 1
            world.at(world.now + self._setup.latency, self._answered, self._ready.popleft())

    def _wake_at(self, when: float) -> None:
        self._wakes_at = when
        self._world.at(when, self._woken, (0, 0))

    def _woken(self, _: Key) -> None:
        self._send()

    def _answered(self, key: Key) -> None:
        """The API has looked at a request, and its answer begins to come."""
        world = self._world
        kind = world.meters.exceeded()
        if kind is not None:
            meters = world.meters.read()
            problem = LimitExceeded("")
            problem.limit_type, problem.reset = kind, meters[f"{kind}_reset"]
            world.rejected += 1
            self._pacer.exceeded(problem)
            self._pacer.release(meters)
            self._busy -= 1
            self._ready.appendleft(key)
            self._send()
            return
        world.charge()
        meters = world.meters.read()
        rows = self._rows(key)
        self._line_free = max(world.now, self._line_free) + rows * self._setup.seconds_per_row

        def arrived(key: Key) -> None:
            self._pacer.release(meters)
            self._busy -= 1
            cost = self._setup.seconds(rows, sample=bool(self._parts(key)))
            self._decoder_free = max(world.now, self._decoder_free) + cost
            world.at(self._decoder_free, self._decoded, key)
            self._send()

        world.at(self._line_free, arrived, key)

    def _decoded(self, key: Key) -> None:
        place = key[0]
        self._world.ended = self._world.now
        if place < 0:
            self._listings -= 1
            del self._out[key]
        elif parts := self._parts(key):
            del self._out[key]
            for number in parts:
                heappush(self._uncut, (place, number))
        else:
            self._out[key] = True
        while self._out:
            first = min(self._out)
            if not self._out[first] or (self._uncut and self._uncut[0] < first):
                break
            del self._out[first]
        self._fill()

    def _rows(self, key: Key) -> int:
        return 0 if key[0] < 0 else self._customers[key[0]].rows[key[1]]

    def _parts(self, key: Key) -> tuple[int, ...]:
        return () if key[0] < 0 else self._customers[key[0]].parts[key[1]]
