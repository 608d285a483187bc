"""From the API into the table: the pair with default settings and as shipped, and its peers."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import (
    PAGE,
    ROOT,
    WINDOW_DAYS,
    Api,
    Figure,
    Goal,
    Run,
    environment,
    interleaved,
    loader,
    middle,
    pipeline,
    ratio,
    serving,
    tap,
    version,
)
from benchmarks.stores import SCHEMA, DuckDb, Parquet, Store, postgres

ALONE = "this tap alone"
DEFAULT, SHIPPED, BATCH = "the pair with default settings", "the pair as shipped", "the same, BATCH"
DICTS, DICTS_FAST = "dlt, JSON columns", "dlt, JSON columns, by csv or parquet"
CHILDREN = "dlt, child tables, by csv or parquet"
OURS = "our dlt source"
AIRBYTE, BASELINE = "Airbyte low-code, PyAirbyte", "baseline"
POSTGRES, DUCKDB, PARQUET = "PostgreSQL", "DuckDB", "Parquet files"
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}


@dataclass(frozen=True)
class Contender:
    """Somebody who fills a table: commands, each one's stdout into the next.

    Attributes:
        store: Where to; None for a tap alone.
        leaves: A folder of its own, emptied before each run: dlt's state would end it early.
    """

    commands: list[list[str]]
    store: Store | None = None
    leaves: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: QUIET)

    def run(self, sessions: int) -> Run:
        """Once, from nothing.

        Raises:
            SystemExit: the table holds another number of rows.
        """
        if self.store is not None:
            self.store.clear()
        if self.leaves is not None:
            shutil.rmtree(self.leaves, ignore_errors=True)
            self.leaves.mkdir()
        runs = pipeline(*self.commands, env=self.env)
        found = sessions if self.store is None else self.store.rows()
        if found != sessions:
            raise SystemExit(f"{sessions} sessions were expected in the table, {found} are there")
        # The last one ends last. CPU of all processes but the database's.
        return Run(
            runs[-1].seconds,
            sum(run.cpu_seconds for run in runs),
            max(run.peak_mb for run in runs),
            rows=found,
        )


def shipped(name: str) -> dict[str, Any]:
    """What meltano.yml sets for a loader."""
    [found] = [
        entry
        for entry in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
        if entry["name"] == name
    ]
    return dict(found["config"])


class Field:
    """All contenders, their configs written to `folder`."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._dlt, self._airbyte = str(environment("dlt")), str(environment("pyairbyte"))
        config = api.config(window_days=WINDOW_DAYS, page_size=PAGE)
        self._dlt_config = self._written("dlt", config)
        self._our_dlt = str(environment("our-dlt"))
        self._our_config = self._written("our-dlt", api.config())
        self._airbyte_config = self._written("airbyte", {**config, "num_workers": 4})

    def _written(self, name: str, config: Mapping[str, Any]) -> str:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(config))
        return str(path)

    def _tap(self, batch: str | None = None) -> list[str]:
        if batch is None:
            return tap(self._folder, self._api.config())
        encoding = {"format": batch, "compression": "gzip"}
        storage = {"root": f"file://{self._folder}/batches"}
        return tap(
            self._folder, self._api.config(batch_config={"encoding": encoding, "storage": storage})
        )

    def _pair(
        self, target: str, config: Mapping[str, Any], store: Store, batch: str | None = None
    ) -> Contender:
        path = self._written(f"{target}-{len(config)}-{batch}", config)
        executable = str(loader(target).with_name(target))
        leaves = None if batch is None else self._folder / "batches"
        return Contender([self._tap(batch), [executable, f"--config={path}"]], store, leaves)

    def _peers(self, kind: str, store: Store) -> dict[str, Contender]:
        state = self._folder / "dlt"

        def dlt(nesting: str) -> Contender:
            module = [self._dlt, "-m", "benchmarks.peers.dlt_table", self._dlt_config, str(state)]
            return Contender([[*module, nesting, kind, store.place]], store, state)

        ours = [self._our_dlt, "-m", "benchmarks.our_dlt", self._our_config]
        found = {
            OURS: Contender([[*ours, str(state), kind, store.place]], store, state),
            DICTS_FAST: dlt("dicts"),
            CHILDREN: dlt("children"),
        }
        if kind != "parquet":
            found = {DICTS: dlt("dicts-default"), **found}
            module = [self._airbyte, "-m", "benchmarks.peers.airbyte_table", self._airbyte_config]
            found[AIRBYTE] = Contender([[*module, kind, store.place]], store)
        return found

    def into_postgres(self, store: Store) -> dict[str, Contender]:
        """PostgreSQL."""
        name = "target-postgres"
        url = store.place.replace("postgresql://", "postgresql+psycopg://")
        bare = {"sqlalchemy_url": url, "default_target_schema": SCHEMA}
        fast = {**shipped(name), **bare}
        baseline = [sys.executable, "-m", "benchmarks.peers.baseline_postgres", store.place, SCHEMA]
        return {
            DEFAULT: self._pair(name, bare, store),
            SHIPPED: self._pair(name, fast, store),
            BATCH: self._pair(name, fast, store, "jsonl"),
            **self._peers("postgres", store),
            BASELINE: Contender([self._tap(), baseline], store),
        }

    def into_duckdb(self, store: Store) -> dict[str, Contender]:
        """DuckDB."""
        name = "target-duckdb"
        bare = {"path": store.place, "default_target_schema": SCHEMA}
        return {
            DEFAULT: self._pair(name, bare, store),
            SHIPPED: self._pair(name, {**shipped(name), **bare}, store),
            **self._peers("duckdb", store),
        }

    def into_parquet(self, store: Store) -> dict[str, Contender]:
        """A folder of Parquet."""
        root = {"root": f"file://{store.place}"}
        batch = {"encoding": {"format": "parquet", "compression": "gzip"}, "storage": root}
        command = tap(self._folder, self._api.config(batch_config=batch))
        return {ALONE: Contender([command], store), **self._peers("parquet", store)}

    def alone(self) -> Contender:
        """The tap, its lines thrown away."""
        return Contender([self._tap()])


def contenders(api: Api, folder: Path, stores: Mapping[str, Store]) -> dict[str, Contender]:
    """All of them by `into: who`."""
    everyone = Field(api, folder)
    into = {
        POSTGRES: everyone.into_postgres(stores[POSTGRES]),
        DUCKDB: everyone.into_duckdb(stores[DUCKDB]),
        PARQUET: everyone.into_parquet(stores[PARQUET]),
    }
    named = {f"{where}: {who}": one for where, all_ in into.items() for who, one in all_.items()}
    return {ALONE: everyone.alone(), **named}


def goals(rounds: list[dict[str, Run]]) -> list[Goal]:
    """What the shipped pair and our dlt source are held against."""
    mine = f"{POSTGRES}: {SHIPPED}"

    def ours(where: str, who: str) -> float:
        return ratio(rounds, f"{where}: {who}", f"{where}: {OURS}")

    return [
        Goal(
            "shipped against default settings",
            ratio(rounds, f"{POSTGRES}: {DEFAULT}", mine),
            least=3.5,
        ),
        Goal("shipped against dlt's dicts", ratio(rounds, f"{POSTGRES}: {DICTS}", mine), least=1.5),
        Goal("ours by dlt against its dicts", ours(POSTGRES, DICTS), least=3),
        Goal("ours by dlt of the baseline", ours(POSTGRES, BASELINE), least=0.7),
        Goal("ours by dlt against its dicts, DuckDB", ours(DUCKDB, DICTS), least=3),
        Goal("ours by dlt against the shipped pair, DuckDB", ours(DUCKDB, SHIPPED), least=1),
        Goal("ours by dlt against its dicts, Parquet", ours(PARQUET, DICTS_FAST), least=6),
    ]


def figures(rounds: list[dict[str, Run]], sessions: int) -> list[list[Any]]:
    """A row per contender; how often the shipped pair goes into its time, and its share of what
    the baseline reaches."""
    rows = []
    for name in rounds[0]:
        where, _, who = name.partition(": ") if ": " in name else ("", "", name)
        mine = f"{where}: {ALONE if where == PARQUET else SHIPPED}"
        seconds = middle(rounds, name)
        rows.append(
            [
                where,
                who,
                seconds,
                round(sessions / seconds),
                ratio(rounds, name, mine) if where else None,
                f"{ratio(rounds, f'{where}: {BASELINE}', name):.0%}" if where == POSTGRES else "",
                middle(rounds, name, "cpu_seconds"),
                round(middle(rounds, name, "peak_mb")),
            ]
        )
    return rows


def main(options: argparse.Namespace) -> None:
    """Measure."""
    with (
        tempfile.TemporaryDirectory() as name,
        postgres() as server,
        serving(options.sessions, cache_mb=options.sessions * 8 // 1000) as api,
    ):
        folder = Path(name)
        stores: dict[str, Store] = {
            POSTGRES: server,
            DUCKDB: DuckDb(folder / "sessions.duckdb", environment("dlt")),
            PARQUET: Parquet(folder / "parquet"),
        }
        everyone = contenders(api, folder, stores)
        chosen = {n: one for n, one in everyone.items() if options.only in n}
        rounds = interleaved(
            options.rounds, {n: partial(one.run, options.sessions) for n, one in chosen.items()}
        )
    if chosen != everyone:
        return  # a look at some: not a figure
    head = ["into", "who", "s", "records/s", "shipped is x", "of the baseline", "CPU s", "peak MB"]
    settings = {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "versions": "; ".join(
            [
                version(sys.executable, "singer-sdk"),
                version(loader("target-postgres"), "meltanolabs-target-postgres"),
                version(loader("target-duckdb"), "target-duckdb"),
                version(environment("dlt"), "dlt"),
                version(environment("pyairbyte"), "airbyte"),
            ]
        ),
    }
    rows = figures(rounds, options.sessions)
    Figure("table", head, rows, goals(rounds), settings, rounds).show()
