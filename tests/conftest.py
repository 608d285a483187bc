"""Fixtures shared by all tests, and the tally of faults for docs/faults.md."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import gate
import hypothesis
import pytest
import quick

from sandbox import Sandbox

MakeSandbox = Callable[..., Sandbox]

LENGTH = os.environ.get("TESTS_SEARCH", "")
"""Of searches: `short` in dev.py check, `gate`, `long` in dev.py faults; none for tests by name."""
SEARCH = {"short": 0.2, "gate": 0.3, "": 1, "long": 2}[LENGTH]


def examples(count: int) -> int:
    """How many a search draws, or a test kills, of so many that a day's work is worth."""
    return max(int(count * SEARCH), 1)


# How long inputs take to draw says how busy the machine is, and nothing of the tap.
hypothesis.settings.register_profile(
    "busy",
    max_examples=examples(100),
    deadline=None,
    # The gate says of a change whether it is right, the same each time; what nobody has met yet
    # the long search finds.
    derandomize=LENGTH in ("gate", "short"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# Of a mutant only whether a test fails matters, the same each time: see tests/mutants.py.
hypothesis.settings.register_profile(
    "mutants",
    parent=hypothesis.settings.get_profile("busy"),
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile(os.environ.get("TESTS_PROFILE", "busy"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries, of what runs in this process."""
    monkeypatch.setattr("tap_visitor_sessions.api.client.BACKOFF", (0.01, 0.02))
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.reader.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.reader.LONGEST_PAUSE", 0.02)


class Tally(Protocol):
    """Notes a fault that a test has injected and survived."""

    def __call__(
        self, kind: str, fault: str, *, injected: int, lost: int = 0, ends: str = "recovers"
    ) -> None: ...


@pytest.fixture
def make_sandbox() -> Iterator[MakeSandbox]:
    """Starts sandboxes on loopback that end with the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Sandbox:
            return stack.enter_context(Sandbox(**options).running())

        yield make


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Notes a fault: its `kind` (a section of docs/faults.md), what it is, how often it was
    injected, how many sessions were lost, and whether the run `recovers` or ends in a clear
    `error`. A fault that was never injected, or that lost something, fails the test."""

    def note(
        kind: str, fault: str, *, injected: int, lost: int = 0, ends: str = "recovers"
    ) -> None:
        assert injected > 0, f"{fault}: never injected"
        assert lost == 0, f"{fault}: {lost} sessions lost"
        assert ends in ("recovers", "error")
        row = {"kind": kind, "fault": fault, "injected": injected, "lost": lost, "ends": ends}
        record_property("fault", row)

    return note


quick.watch()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and quick.is_quick(item):
            item.add_marker(pytest.mark.quick)
    taken = items
    if config.getoption("--half"):
        taken = [item for item in items if "half" in item.keywords]
    elif LENGTH == "gate":
        taken = gate.of_the_gate(items)
    kept = set(taken)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


@pytest.fixture(autouse=True)
def _starts_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Unless it may."""
    before = len(quick.started)
    yield
    if request.node.get_closest_marker("quick"):
        assert quick.started[before:] == [], "name it in STARTS of tests/quick.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--half", action="store_true", help="of loaders or transform what the gate has"
    )
    parser.addoption("--faults-json", type=Path, help="write the faults injected to this file")


class _Collector:
    """Gathers the noted faults of passed tests, from xdist's workers too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            test = report.nodeid.split("[")[0]
            self._rows += [
                {**row, "test": test} for name, row in report.user_properties if name == "fault"
            ]

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._rows, indent=1, ensure_ascii=False))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--faults-json")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(path))
