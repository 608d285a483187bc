"""The rooms of the package: imports run one way, and through a room's front door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from support import ROOT

NAME = "tap_visitor_sessions"
PACKAGE = ROOT / NAME
CORE = ["api", "config", "sessions"]
HOSTS = ["singer", "airbyte", "dlt"]
FLOORS = ["startup", *CORE, "doctor", *HOSTS, "__main__"]
"""Each may import itself and those before it, but a host no other."""
INNER = {"Window", "Decoder", "Query", "SECOND"}
"""What a host need not know: `sessions.extraction` stands before them."""


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each import, "" for a module as a whole."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            yield from ((node.module, alias.name) for alias in node.names)


def modules(floor: str) -> list[Path]:
    found = [*(PACKAGE / floor).glob("*.py"), *PACKAGE.glob(f"{floor}.py")]
    assert found
    return found


def crossing(floor: str) -> Iterator[tuple[Path, str, str, str]]:
    """Imports from other floors: where they stand, the floor, the module within it, the name."""
    for path in modules(floor):
        for module, name in imported(path):
            if module.startswith(f"{NAME}."):
                other, _, inner = module.removeprefix(f"{NAME}.").partition(".")
                if other != floor:
                    yield path, other, inner, name


def test_every_module_stands_in_a_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert rooms == {*CORE, *HOSTS}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files == {"__init__", "__main__", "doctor", "startup"}


def test_imports_run_one_way() -> None:
    for number, floor in enumerate(FLOORS):
        for path, other, _, name in crossing(floor):
            assert other in FLOORS[:number], f"{path}: {other}, {name}"
            assert floor not in HOSTS or other not in HOSTS, f"{path}: {other}, {name}"


def test_a_room_of_the_core_is_entered_by_its_front_door() -> None:
    """What others use of it stands at its top, and nothing that nobody uses."""
    used: dict[str, set[str]] = {room: set() for room in CORE}
    for floor in FLOORS:
        for path, other, inner, name in crossing(floor):
            if other in CORE:
                assert not inner, f"{path}: {name} from within {other}"
                used[other].add(name)
    for room in CORE:
        offered = import_module(f"{NAME}.{room}").__all__
        assert set(offered) == used[room]
        assert len(set(offered)) == len(offered)


def test_the_core_knows_no_host() -> None:
    for path in (path for room in ("api", "sessions") for path in modules(room)):
        assert not any(module.startswith("singer_sdk") for module, _ in imported(path)), path


def test_hosts_know_no_window_and_no_zone() -> None:
    for host in HOSTS:
        for path, _, _, name in crossing(host):
            assert name not in INNER, f"{path}: {name}"


def test_only_the_tap_needs_the_singer_sdk() -> None:
    for path in (path for host in HOSTS[1:] for path in modules(host)):
        assert not any(module.startswith("singer_sdk") for module, _ in imported(path)), path


def test_nothing_needs_the_sandbox() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not any(module.startswith("sandbox") for module, _ in imported(path)), path
