"""The rule by which `dev.py check` chooses its tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
import quick
from conftest import MakeSandbox
from support import run_process, run_tap

from sandbox import Sandbox


def at_once() -> None:
    subprocess.run([sys.executable, "--version"])


def behind_another() -> None:
    at_once()


def within() -> None:
    def inner() -> None:
        with Sandbox(sessions=0).running():
            pass

    inner()


class Kept:
    def method(self) -> None:
        run_process({}, directory=None)  # type: ignore[arg-type]


def by_a_class() -> None:
    Kept()


def nothing() -> None:
    run_tap({}, directory=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [at_once, behind_another, within, by_a_class])
def test_whoever_starts_something_is_known(function: Callable[[], None]) -> None:
    assert quick.starts(function)


def test_a_test_and_its_fixtures_are_looked_at(
    request: pytest.FixtureRequest, make_sandbox: MakeSandbox
) -> None:
    assert not quick.is_quick(request.node)
    assert not request.node.get_closest_marker("quick")


def test_a_test_that_starts_nothing_is_quick(request: pytest.FixtureRequest) -> None:
    assert not quick.starts(nothing)
    assert request.node.get_closest_marker("quick")


def test_what_is_started_all_the_same_is_noticed() -> None:
    before = len(quick.started)
    at_once()
    with socket.create_server(("127.0.0.1", 0)):
        pass
    assert {*quick.started[before:]} >= {"subprocess.Popen", "socket.bind"}
