"""The planner foretells what the tap does: its requests, held against real runs, and its seconds,
held against figures that were taken on a quiet machine."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import ROOT, run_tap

from benchmarks import harness, plan
from benchmarks.plan_time import Setup, Simulation
from benchmarks.plan_windows import DAY, START, Requests, Traffic, requests
from sandbox import Faults, Limits, Sandbox, make_sessions
from tap_visitor_sessions.config.schema import stream_schema

DAYS, PER_DAY, PAGE = 60, 200, 500
LOOPBACK = 1e6  # megabits
OTHERS = sorted(stream_schema()["properties"].keys() - {"id", "date_time"})
MINUTE = 2.0  # seconds that the sandbox calls a minute


def rows_of(traffic: Traffic, first_id: int = 1) -> list[dict[str, Any]]:
    """Light sessions at the traffic's times."""
    [base] = make_sessions(1)
    base |= {"hits": [], "communications": []}
    times = [START + timedelta(seconds=second) for second in traffic.seconds]
    return [{**base, "id": first_id + n, "date_time": f"{at}"} for n, at in enumerate(times)]


def config_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": START.isoformat(),
        "end_date": (START + DAYS * DAY - timedelta(seconds=1)).isoformat(),
        "page_size": PAGE,
        "exclude_columns": OTHERS,
        **more,
    }


def foretold(seed: int) -> tuple[Traffic, Requests]:
    traffic = Traffic(PER_DAY, DAYS, "daily", seed)
    return traffic, requests(traffic, START, START + DAYS * DAY, PAGE)


def test_a_silent_customer_costs_its_windows_once_and_then_one_request_a_day(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    options = plan.parser(plan.measured()).parse_args(
        ["--customers", "4", "--silent", "0.75", "--years", "0.5", "--per-day", "1"]
    )
    found = plan.loads(options)
    quiet = plan.loads(
        plan.parser(plan.measured()).parse_args(
            ["--customers", "1", "--years", "0.5", "--per-day", "1"]
        )
    )
    days = round(0.5 * 365)
    sandbox = make_sandbox(rows=[], timezone="UTC")
    end = (START + days * DAY - timedelta(seconds=1)).isoformat()
    first = run_tap(config_of(sandbox, end_date=end), directory=tmp_path)
    once = len(sandbox.reports)
    assert once == (found.backfill.requests - quiet.backfill.requests) / 3
    later = (START + (days + 1) * DAY - timedelta(seconds=1)).isoformat()
    run_tap(config_of(sandbox, end_date=later), state=first.state, directory=tmp_path)
    assert len(sandbox.reports) == once + 1
    assert (found.daily.requests - quiet.daily.requests) / 3 == 1
    assert found.backfill.sessions == quiet.backfill.sessions


@pytest.mark.parametrize("concurrency", [1, 4])
def test_requests_under_latency_are_those_of_a_real_run(
    concurrency: int, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    traffic, expected = foretold(seed=concurrency)
    sandbox = make_sandbox(rows=rows_of(traffic), faults=Faults(latency=0.02))
    setup = Setup(latency=1, concurrency=concurrency, megabits=LOOPBACK)
    outcome = Simulation(setup, [expected], plan.EXACT).run()
    run = run_tap(config_of(sandbox, concurrency=concurrency), directory=tmp_path)
    print(outcome, len(sandbox.calls))
    assert len({record["id"] for record in run.records}) == DAYS * PER_DAY
    assert outcome.points == pytest.approx(len(sandbox.calls), rel=0.1)
    # As many at once as are allowed, but for the first few, which show how large a span may be.
    rounds = outcome.points / concurrency
    assert rounds <= outcome.seconds <= rounds + 2 + (concurrency > 1) * concurrency


def test_the_time_under_a_minute_limit_is_that_of_the_windows_of_a_real_run(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    traffic, expected = foretold(seed=7)
    sandbox = make_sandbox(
        rows=rows_of(traffic),
        limits=Limits(minute=13, minute_seconds=MINUTE),
    )
    setup = Setup(
        latency=0.01, concurrency=4, megabits=LOOPBACK, minute_limit=13, minute_seconds=MINUTE
    )
    outcome = Simulation(setup, [expected], plan.EXACT).run()
    run = run_tap(config_of(sandbox, concurrency=4), directory=tmp_path)
    assert run.code == 0, run.stderr
    print(outcome, len(sandbox.calls))
    assert plan.bottleneck(setup, plan.Load([expected], 0), outcome.points) == "minute limit"
    assert outcome.rejected == sum(call.mnemonic is not None for call in sandbox.calls) == 0
    assert outcome.points == pytest.approx(len(sandbox.calls), rel=0.1)
    # All but the last are waited for; a reset is told in whole seconds.
    waits = math.ceil(len(sandbox.calls) / 13) - 1
    assert waits * MINUTE <= outcome.seconds <= waits * (MINUTE + 1) + MINUTE


def test_requests_of_a_partner_are_those_of_a_real_run(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """Four customers, whose requests are in flight together."""
    kinds = [foretold(seed) for seed in range(4)]
    sandbox = make_sandbox(
        partner={100 + n: [n + 1] for n in range(4)},
        rows_by_user={n + 1: rows_of(t, 1 + n * 10**6) for n, (t, _) in enumerate(kinds)},
    )
    setup = Setup(latency=1, concurrency=8, megabits=LOOPBACK)
    outcome = Simulation(setup, [r for _, r in kinds], plan.EXACT).run()
    config = config_of(
        sandbox, account_type="partner", timezone="Europe/Moscow", concurrency=setup.concurrency
    )
    run = run_tap(config, directory=tmp_path)
    print(outcome, len(sandbox.calls))
    assert run.code == 0, run.stderr
    assert len({record["id"] for record in run.records}) == 4 * DAYS * PER_DAY
    assert outcome.points == pytest.approx(len(sandbox.calls), rel=0.1)
    rounds = outcome.points / setup.concurrency
    assert rounds <= outcome.seconds <= 2 * rounds


def test_the_latency_benchmark_is_retold() -> None:
    """500 000 sessions, a second per request: requests and seconds as they were measured."""
    figure = json.loads((ROOT / "benchmarks/results/latency.json").read_text())
    days = figure["settings"]["sessions"] // 5000
    traffic = Traffic(5000, days, "daily", seed=1)
    expected = requests(traffic, START, START + days * DAY, 10_000)
    for row in figure["table"]:
        assert len(expected.rows) == pytest.approx(row["requests"], rel=0.05)
        setup = Setup(concurrency=int(row["concurrency"].split()[0]), megabits=LOOPBACK)
        outcome = Simulation(setup, [expected], plan.EXACT).run()
        assert outcome.seconds == pytest.approx(row["s"], rel=0.1), row


def test_the_benchmark_of_customers_is_retold() -> None:
    """500 customers of 200 sessions: their requests, seconds and memory as measured."""
    figure = json.loads((ROOT / "benchmarks/results/customers.json").read_text())
    settings, figures = figure["settings"], plan.measured()
    each = settings["sessions each"]
    traffic = Traffic(each / 30, 30, "daily", seed=1)
    customers = [requests(traffic, START, START + 30 * DAY, 10_000)] * settings["customers"]
    of_all = [row for row in figure["table"] if row["concurrency"].endswith(" in flight")]
    assert len(of_all) == 2
    for row in of_all:
        setup = Setup(
            concurrency=int(row["concurrency"].split()[0]),
            latency=settings["seconds per request"],
            megabits=LOOPBACK,
        )
        assert sum(len(customer.rows) for customer in customers) == row["requests"]
        seconds = plan.simulated(setup, plan.Load(customers, 0)).seconds
        assert seconds == pytest.approx(row["s"], rel=0.2), row
        assert figures.memory(setup, each) == pytest.approx(row["peak MB"], rel=0.15), row


@pytest.mark.parametrize("concurrency", [1, 4, 8])
def test_the_memory_foretold_is_no_less_than_what_was_measured(concurrency: int) -> None:
    table = json.loads((ROOT / "benchmarks/results/latency.json").read_text())["table"]
    peaks = {int(row["concurrency"].split()[0]): row["peak MB"] for row in table}
    memory = plan.measured().memory(Setup(concurrency=concurrency), harness.PAGE)
    assert peaks[concurrency] <= memory <= peaks[concurrency] * 1.5


@pytest.mark.thinned
@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize(("minute", "latency"), [(60, 1), (400, 0.5), (None, 1)])
def test_a_part_simulated_tells_the_whole(
    minute: int | None, latency: float, processes: int
) -> None:
    customers = [foretold(1)[1]] * 600
    setup = Setup(minute_limit=minute, latency=latency, processes=processes)
    whole = Simulation(setup, customers, plan.EXACT).run()
    part = Simulation(setup, customers, 8000).run()
    assert part.simulated == 8000 < whole.simulated == whole.points == part.points
    assert part.seconds == pytest.approx(whole.seconds, rel=0.02)


def test_a_part_simulated_tells_the_days_of_a_day_limit() -> None:
    customers = [foretold(1)[1]] * 600
    setup = Setup(minute_limit=60, latency=0.3, day_limit=5000)
    whole = Simulation(setup, customers, plan.EXACT).run()
    part = Simulation(setup, customers, 8000).run()
    assert whole.points // 5000 == 5
    assert part.seconds == pytest.approx(whole.seconds, rel=0.02)
    assert plan.bottleneck(setup, plan.Load(customers, 0), whole.points) == "day limit"


def test_no_run_is_faster_than_its_bounds_and_more_processes_move_no_limit() -> None:
    load = plan.Load([foretold(seed)[1] for seed in range(8)] * 20, 8 * 20 * DAYS * PER_DAY)
    for limit, name in ((30, "minute limit"), (None, "latency")):
        seconds = []
        for processes in (1, 4):
            setup = Setup(minute_limit=limit, processes=processes, concurrency=2)
            outcome = plan.simulated(setup, load)
            assert plan.bottleneck(setup, load, outcome.points) == name
            assert outcome.seconds >= max(plan.bounds(setup, load, outcome.points).values())
            seconds.append(outcome.seconds)
        ratio = seconds[0] / seconds[1]
        assert ratio == pytest.approx(1 if limit else 4, rel=0.1)


def test_the_command_prints_a_plan_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--customers=40", "--years=0.1", "--per-day=300"]
    plan.main([*small, "--day-limit=100", "--minute-limit=20"])
    shown = capsys.readouterr().out
    assert "points (requests)" in shown
    assert "day limit" in shown
    assert "processes" in shown
    plan.main([*small, "--minute-limit", "20", "0", "--latency", "1", "3", "--markdown"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4
    assert "no limit" in table[-1]


def test_with_a_pool_each_task_costs_its_reports_and_its_start() -> None:
    def outcome(*more: str, daily: bool) -> tuple[plan.Load, Setup, float, int]:
        given = ["--customers=24", "--years=0.5", "--per-day=100", *more]
        options = plan.parser(plan.measured()).parse_args(given)
        load = plan.loads(options).daily if daily else plan.loads(options).backfill
        setup = Setup(processes=options.pool or 1, concurrency=1, latency=1, task_startup=8)
        found = plan.simulated(setup, load)
        return load, setup, found.seconds, found.points

    _, _, _, alone = outcome(daily=True)
    for group, tasks in ((1, 24), (5, 5)):
        load, setup, seconds, points = outcome("--pool=2", f"--group-size={group}", daily=True)
        assert points == alone + 1 == 24 + 3  # whose account it is
        assert plan.bounds(setup, load, points)["task start-up"] == tasks * 8 / 2
        rounds = math.ceil(tasks / 2)
        assert rounds * 8 + 24 / 2 <= seconds <= (rounds + 2) * 8 + 24 / 2 + group + 2
    load, *_, points = outcome("--pool=2", daily=False)
    # Half a year from January on; and once whose account it is, and each customer's zone.
    assert len(load.customers) == 2 * 24
    assert points == load.requests + 2 + 1 + 24
    assert load.sessions == 24 * 100 * round(0.5 * 365)


@pytest.mark.parametrize(
    "extreme",
    [
        ["--per-day=0.001"],  # nobody has a session
        ["--per-day=0.5"],  # nobody has one on most days
        ["--megabits=0.001", "--session-bytes=1000000"],
        ["--latency=3600", "--minute-limit=1"],
        ["--records-per-second=1e-9", "--loader-per-second=1e-9"],
    ],
)
def test_the_least_and_the_most_that_is_taken_comes_to_an_end(
    extreme: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan.main(["--customers=3", "--years=0.02", *extreme])
    assert "time in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--customers=0"], "--customers"),
        (["--customers=-5"], "--customers"),
        (["--customers=two"], "--customers"),
        (["--years=0"], "--years"),
        (["--years=nan"], "--years"),
        (["--years=inf"], "--years"),
        (["--per-day=0"], "--per-day"),
        (["--per-day=-1"], "--per-day"),
        (["--minute-limit=-1"], "--minute-limit"),
        (["--minute-limit", "60", "-1"], "--minute-limit"),
        (["--day-limit=-1"], "--day-limit"),
        (["--latency=-1"], "--latency"),
        (["--latency=nan"], "--latency"),
        (["--latency=inf"], "--latency"),
        (["--concurrency=0"], "--concurrency"),
        (["--concurrency=65"], "--concurrency"),
        (["--processes=0"], "--processes"),
        (["--processes=9", "--customers=3"], "--processes"),
        (["--processes=2", "--pool=2"], "--processes"),
        (["--pool=-1"], "--pool"),
        (["--group-size=0"], "--group-size"),
        (["--task-startup=-1"], "--task-startup"),
        (["--page-size=10001"], "--page-size"),
        (["--page-size=0"], "--page-size"),
        (["--page-size=1", "--per-day=1000000"], "--page-size"),
        (["--lookback=-1"], "--lookback"),
        (["--silent=1"], "--silent"),
        (["--silent=-0.1"], "--silent"),
        (["--silent=2"], "--silent"),
        (["--records-per-second=0"], "--records-per-second"),
        (["--loader-per-second=-1"], "--loader-per-second"),
        (["--session-bytes=-1"], "--session-bytes"),
        (["--session-bytes=1e12"], "--session-bytes"),
        (["--megabits=0"], "--megabits"),
        (["--megabits=1e-9"], "--megabits"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    wrong: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        plan.main(wrong)
    assert ended.value.code == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert f"argument {named}" in line
