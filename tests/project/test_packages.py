"""The packages of the project: imports run one way, and through a package's `__init__`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from support import ROOT

NAME = "tap_visitor_sessions"
PACKAGE = ROOT / NAME
CORE = ["api", "config", "sessions"]
HOSTS = ["singer", "airbyte", "dlt"]
LAYERS = ["startup", *CORE, "doctor", *HOSTS, "__main__"]
"""Each may import itself and those before it, but a host no other."""
SUBPACKAGES = {
    "sessions": [
        ["zones", "progress"],
        ["accounts"],
        ["records"],
        ["windows"],
        ["days"],
        ["bookmarks"],
        ["refusals", "identity", "customer_zones", "recheck"],
        ["ledger"],
        ["extraction"],
        ["output"],
    ],
    "singer": [
        ["errors", "logs", "output", "storage"],
        ["state", "sync", "catalog"],
        ["maps", "batches", "sdk"],
        ["declared"],
        ["days"],
        ["stream"],
        ["tap"],
        ["cli"],
    ],
}
"""The layers within a package: each may import those before it."""
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


def modules(layer: str) -> list[Path]:
    """The modules of a layer, such as `api` or `sessions/windows`."""
    found = [*(PACKAGE / layer).rglob("*.py"), *PACKAGE.glob(f"{layer}.py")]
    assert found
    return found


def crossing(layer: str, within: str = NAME) -> Iterator[tuple[Path, str, str, str]]:
    """Imports from other layers: where they stand, the layer, the module within it, the name."""
    path_of = layer if within == NAME else f"{within.removeprefix(f'{NAME}.')}/{layer}"
    for path in modules(path_of):
        for module, name in imported(path):
            if module == within and within != NAME:  # the package as a whole: `import maps`
                yield path, name, "", ""
            elif module.startswith(f"{within}."):
                other, _, inner = module.removeprefix(f"{within}.").partition(".")
                if other != layer:
                    yield path, other, inner, name


def test_every_module_stands_in_a_package() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert packages == {*CORE, "doctor", *HOSTS}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files == {"__init__", "__main__", "startup"}


def test_imports_run_one_way() -> None:
    for number, layer in enumerate(LAYERS):
        for path, other, _, name in crossing(layer):
            assert other in LAYERS[:number], f"{path}: {other}, {name}"
            assert layer not in HOSTS or other not in HOSTS, f"{path}: {other}, {name}"


@pytest.mark.parametrize("package", SUBPACKAGES)
def test_imports_within_a_package_run_one_way(package: str) -> None:
    layers = SUBPACKAGES[package]
    names = {path.stem for path in (PACKAGE / package).iterdir() if path.stem[0] != "_"}
    assert names == {name for layer in layers for name in layer}
    for number, layer in enumerate(layers):
        before = {name for one in layers[:number] for name in one}
        for own in layer:
            for path, other, inner, name in crossing(own, f"{NAME}.{package}"):
                assert other in before, f"{path}: {other}, {name}"
                assert not inner, f"{path}: {name} from within {other}"


@pytest.mark.parametrize("package", SUBPACKAGES)
def test_an_inner_package_offers_what_others_use(package: str) -> None:
    """What others use of it stands in its `__init__`, and nothing that nobody uses."""
    inner = {path.name for path in (PACKAGE / package).iterdir() if path.is_dir()} - {"__pycache__"}
    used: dict[str, set[str]] = {name: set() for name in inner}
    for path in modules(package):
        for module, name in imported(path):
            other = module.removeprefix(f"{NAME}.{package}.")
            if other in inner and path.parent.name != other:
                used[other].add(name)
    for name in inner:
        offered = import_module(f"{NAME}.{package}.{name}").__all__
        if used[name]:
            assert set(offered) == used[name]
        else:  # imported whole
            assert set(offered) == attributes_used(package, name)


def attributes_used(package: str, name: str) -> set[str]:
    """What is used of a package that is imported whole, as in `maps.change(…)`."""
    return {
        node.attr
        for path in modules(package)
        if path.parent.name != name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    }


def test_a_package_of_the_core_is_entered_by_its_init() -> None:
    """What others use of it stands in its `__init__`, and nothing that nobody uses."""
    used: dict[str, set[str]] = {package: set() for package in CORE}
    for layer in LAYERS:
        for path, other, inner, name in crossing(layer):
            if other in CORE:
                assert not inner, f"{path}: {name} from within {other}"
                used[other].add(name)
    for package in CORE:
        offered = import_module(f"{NAME}.{package}").__all__
        assert set(offered) == used[package]
        assert len(set(offered)) == len(offered)


def test_the_core_knows_no_host() -> None:
    for path in (path for package in ("api", "sessions") for path in modules(package)):
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
