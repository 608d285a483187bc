"""dbt in an environment of its own, a database, and lanes by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import loading
import psycopg
import pytest
from feeds import feed_of
from lanes import Dlt, Lane, Meltano, PyAirbyte
from postgresql import running_postgresql
from project import Project, repository
from pyairbyte_home import pyairbyte_python
from suite import LANES, MakeLane, MakeProject


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        loading.install("target-duckdb", "target-postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgresql() as uri:
        yield uri


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in git."""
    return repository(tmp_path_factory.mktemp("git") / "checkout")


def own_database(uri: str, name: str) -> str:
    """A database of this name, empty, on the server."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    return uri.replace("/postgres?", f"/{name}?")


@pytest.fixture
def make_lane(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeLane]:
    """A lane by name, that has loaded nothing yet, and persons at random in it."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    with ExitStack() as stack:

        def make(name: str, wanderers: int = 300, seed: int = 0, kind: str = "") -> Lane:
            feed = stack.enter_context(feed_of(kind or LANES[name], wanderers, seed))
            way, place = name.split("-")
            uri = None
            if place == "postgres":
                uri = own_database(request.getfixturevalue("postgres"), way)
            folder = tmp_path / name
            if way == "dlt":
                return Dlt(feed, folder, uri)
            if way == "pyairbyte":
                if sys.version_info >= (3, 13):
                    pytest.skip("PyAirbyte wants a Python below 3.13")
                return PyAirbyte(feed, folder, pyairbyte_python(), uri)
            loader: Any
            if uri:
                loader = loading.Postgres("target-postgres", folder, "", {}, uri=uri)
            else:
                loader = loading.DuckDB("target-duckdb", folder, "", {})
            return Meltano(feed, folder, loader)

        yield make


@pytest.fixture
def make_project(tmp_path: Path, origin: Path) -> MakeProject:
    """A project of a user's own over a lane; `more` are vars of the package."""

    def make(lane: Lane, **more: Any) -> Project:
        return Project(tmp_path / "project", origin, lane, **more)

    return make
