"""The rooms of the package: imports run one way."""

from __future__ import annotations

import ast
from pathlib import Path

from support import ROOT

PACKAGE = ROOT / "tap_visitor_sessions"
HOSTS = ["singer", "airbyte"]
ROOMS = ["api", "config", "sessions", *HOSTS]
FLOORS = ["startup", "api", "config", "sessions", "doctor", *HOSTS, "__main__"]
"""Each may import itself and those before it, but a host no other."""


def imported(path: Path) -> set[str]:
    """The dotted names that a module imports, `from x import y` as `x.y`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_stands_in_a_room() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"} == {
        *ROOMS
    }
    assert {path.stem for path in PACKAGE.glob("*.py")} == {
        "__init__",
        "__main__",
        "doctor",
        "startup",
    }


def test_imports_run_one_way() -> None:
    for number, floor in enumerate(FLOORS):
        modules = [*(PACKAGE / floor).glob("*.py"), *PACKAGE.glob(f"{floor}.py")]
        assert modules
        for path in modules:
            for name in imported(path):
                for other in FLOORS[number + 1 :]:
                    assert not name.startswith(f"tap_visitor_sessions.{other}"), f"{path}: {name}"


def test_the_core_knows_no_host() -> None:
    for room in ("api", "sessions"):
        for path in (PACKAGE / room).glob("*.py"):
            assert not any(name.startswith("singer_sdk") for name in imported(path)), path


INNER = ["windows", "pipeline", "in_flight", "zones", "customers", "standing"]
"""What a host need not know: `sessions.extraction` stands before them."""


def test_hosts_know_no_window_and_no_zone_and_not_each_other() -> None:
    for host in HOSTS:
        forbidden = [f"sessions.{inner}" for inner in INNER]
        forbidden += [other for other in HOSTS if other != host]
        for path in (PACKAGE / host).glob("*.py"):
            for name in imported(path):
                for other in forbidden:
                    assert not name.startswith(f"tap_visitor_sessions.{other}"), f"{path}: {name}"


def test_the_airbyte_source_needs_no_singer_sdk() -> None:
    for path in (PACKAGE / "airbyte").glob("*.py"):
        assert not any(name.startswith("singer_sdk") for name in imported(path)), path


def test_nothing_needs_the_sandbox() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.startswith("sandbox") for name in imported(path)), path
