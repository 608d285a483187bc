"""A database for all tests of the loaders, and the loaders by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loading import HALF, HOME, Csv, DuckDB, Jsonl, Loader, Postgres, Snowflake, install, meltano
from postgresql import running_postgresql

MakeLoader = Callable[..., Loader]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if config.option.half:
            install(*HALF)
            meltano(HOME, "install", "utility", "duckdb")  # reads tables and files
        else:
            install()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgresql() as uri:
        yield uri


@pytest.fixture
def make_loader(postgres: str, tmp_path: Path) -> MakeLoader:
    """A loader by name, with settings beside the documented ones, that has loaded nothing yet."""

    def make(name: str, *, plugin: str = "", folder: str = "loader", **more: Any) -> Loader:
        where = tmp_path / folder
        match name:
            case "target-postgres":
                return Postgres(name, where, plugin, more, uri=postgres)
            case "target-snowflake":
                return Snowflake(name, where, plugin, more)
            case "target-duckdb":
                return DuckDB(name, where, plugin, more)
            case "target-jsonl":
                return Jsonl(name, where, plugin, more)
            case "target-csv":
                return Csv(name, where, plugin, more)
        raise LookupError(name)

    return make
