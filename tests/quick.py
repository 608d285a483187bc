"""Which tests are quick: those that start no process and no server.

By what their code and that of their fixtures names; tests/conftest.py marks them, and fails a quick
test that starts one all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

import pytest

ROOT = Path(__file__).parent.parent
STARTS = {"subprocess", "running", "get_server", "ThreadedMotoServer", "create_server"}
"""Names by which tests start something: `running` is what a sandbox, a wire and a proxy do."""
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "socket.bind"}
"""Python's own names of it."""
started: list[str] = []
"""What this process has started so far."""


def watch() -> None:
    """Note from now on what is started."""
    sys.addaudithook(lambda event, _: started.append(event) if event in EVENTS else None)


def is_quick(item: pytest.Function) -> bool:
    """Whether a test starts nothing, as far as its code shows."""
    if {"loaders", "pyairbyte", "transform"} & {*item.path.parts}:
        return False  # suites of their own: each starts a program of others
    fixtures = (fixture[-1].func for fixture in item._fixtureinfo.name2fixturedefs.values())
    return not any(map(starts, (item.function, *fixtures)))


@cache
def starts(function: Callable[..., object]) -> bool:
    """Whether a function, or one of ours that it calls, names a way to start something."""
    seen: set[int] = set()
    left: list[object] = [function]
    while left:
        one = left.pop()
        one = getattr(one, "__wrapped__", one)  # of a decorator
        inner = getattr(getattr(one, "hypothesis", None), "inner_test", None)
        if inner is not None:
            left.append(inner)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, type) and _is_ours(sys.modules[one.__module__].__dict__):
            left += vars(one).values()
        elif isinstance(one, FunctionType) and _is_ours(one.__globals__):
            names = set(_names(one.__code__))
            found = {name: one.__globals__[name] for name in names & one.__globals__.keys()}
            ours = {name for name, value in found.items() if isinstance(value, FunctionType)}
            if (names - ours) & STARTS:
                return True
            left += found.values()
    return False


def _is_ours(module: dict[str, object]) -> bool:
    path = Path(str(module.get("__file__") or "/"))
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
