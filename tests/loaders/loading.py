"""The loaders of meltano.yml, each in an environment that Meltano made, set as docs/loaders.md
says; what they have loaded, and what they should have."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from oracle import as_emitted
from psycopg.rows import dict_row
from support import ROOT, Run, run_tap

from sandbox import Sandbox, make_sessions

HOME = ROOT / ".venv-loaders"
HERE = Path(__file__).parent
DOCS = ROOT / "docs/loaders.md"
HALF = ("target-postgres", "target-duckdb", "target-jsonl", "target-csv")
"""Of the gate's half."""
ZONE = "Europe/Moscow"
NESTED = ["hits", "communications", "segments", "visitor_custom_properties"]
CAMPAIGN = "integrated_campaign_data"
ODD = (
    "q\"uo'te\\ back, comma; tab\t new\nline\r\nCRLF {} [] %s %(x)s :x $1 🚗👩‍👩‍👧 ﷺ \u2028 é \x00."
)
LONG = "https://shop.example/" + "я" * 200_000

OTHERS = {
    "pipelinewise-target-postgres": ("pipelinewise-target-postgres==2.1.2", "target-postgres"),
    "plinxore-target-s3": ("plinxore-target-s3==0.1.7", "target-s3"),
    "target-s3-jsonl": ("target-s3-jsonl==2.0.1", "target-s3-jsonl"),
}
"""Loaders that the page tells of and meltano.yml has not: what to install, and their command."""

Row = dict[str, Any]


class Documented:
    """What docs/loaders.md says of a loader."""

    def __init__(self, name: str) -> None:
        text = DOCS.read_text(encoding="utf-8")
        self._section = next(part for part in text.split("\n## ") if part.startswith(f"{name}\n"))

    def blocks(self, language: str) -> list[str]:
        """Its blocks of code in a language."""
        return re.findall(rf"```{language}\n(.*?)```", self._section, re.DOTALL)

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of meltano.yml."""
        [block] = self.blocks("yaml")
        [entry] = yaml.safe_load(block)
        return dict(entry)

    @property
    def sql(self) -> dict[str, str]:
        """Blocks of SQL by the comment that they begin with."""
        titled = [block for block in self.blocks("sql") if block.startswith("-- ")]
        return {block.split("\n")[0].removeprefix("-- "): block for block in titled}


def project() -> dict[str, Any]:
    """meltano.yml with the documented settings, and the variants that only tests need."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    found["plugins"]["extractors"][0]["pip_url"] = f"-e {ROOT}"
    loaders = {loader["name"]: loader for loader in found["plugins"]["loaders"]}
    for name, loader in loaders.items():
        entry = Documented(name).entry
        loader |= {key: entry[key] for key in ("config", "env") if key in entry}
    variants = [
        ("target-snowflake", "fakesnow", "fakesnow>=0.12.1,<0.13"),
        ("target-postgres", "parquet", "pyarrow"),
    ]
    for name, variant, more in variants:
        found["plugins"]["loaders"].append(
            {
                "name": f"{name}-{variant}",
                "inherit_from": name,
                "pip_url": f"{loaders[name]['pip_url']} {more}",
            }
        )
    for name, (pip_url, executable) in OTHERS.items():
        plugin = {"name": name, "pip_url": pip_url, "executable": executable}
        found["plugins"]["loaders"].append({**plugin, "namespace": name.replace("-", "_")})
    found["plugins"]["utilities"] = [
        {"name": name, "namespace": name, "pip_url": pip_url, "executable": executable}
        for name, pip_url, executable in (
            ("duckdb", "duckdb>=1.4", "duckdb"),
            ("moto", "moto[s3,server]>=5.2,<6", "moto_server"),
        )
    ]
    return found


def write_project(folder: Path, content: dict[str, Any]) -> None:
    """A Meltano project, with what Meltano is to know of the loaders."""
    (folder / "meltano.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    known = folder / "plugins/loaders"
    shutil.rmtree(known, ignore_errors=True)
    shutil.copytree(ROOT / "plugins/loaders", known)


def meltano(folder: Path, *arguments: str, **env: str) -> None:
    """Run Meltano in a project."""
    spoken([str(Path(sys.executable).with_name("meltano")), *arguments], cwd=folder, env=env)


def spoken(
    command: list[str],
    text: str = "",
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """What a command that must succeed writes to stdout."""
    done = subprocess.run(
        command,
        input=text,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def each(*names: str) -> list[Any]:
    """Loaders as parameters of a test, those of the gate's half marked."""
    return [pytest.param(name, marks=pytest.mark.half) if name in HALF else name for name in names]


def install(*loaders: str) -> None:
    """Have Meltano make the environments of these loaders, or of all plugins, unless they are
    there and up to date."""
    HOME.mkdir(exist_ok=True)
    write_project(HOME, project())
    if loaders:
        return meltano(HOME, "install", "loader", *loaders)
    for kind in ("loaders", "utilities"):
        meltano(HOME, "install", "--plugin-type", kind)
    return None


def programs(kind: str, plugin: str) -> Path:
    """The folder of a plugin's programs; kind is `loaders` or `utilities`."""
    return HOME / ".meltano" / kind / plugin / "venv/bin"


@dataclass
class Loader:
    """A loader, and a folder of its own to load into.

    `plugin` is its environment, where that is a variant of the one in meltano.yml. `more` are
    settings beside the documented ones.
    """

    name: str
    folder: Path
    plugin: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "output").mkdir(parents=True, exist_ok=True)
        self.docs = Documented(self.name)
        self.env: dict[str, str] = self.docs.entry.get("env", {})
        self.bin = programs("loaders", self.plugin or self.name)
        self.config = {**self.docs.entry["config"], **self.more}
        (self.folder / "config.json").write_text(json.dumps(self.config))

    @property
    def command(self) -> list[str]:
        return [str(self.bin / self.name), "--config", str(self.folder / "config.json")]

    def run(self, messages: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command,
            input=messages,
            cwd=self.folder,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
        )

    def load(self, run: Run) -> None:
        """Load what a run of the tap wrote; the last STATE must come back."""
        done = self.run(run.stdout)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        assert json.loads(done.stdout.strip().split("\n")[-1]) == run.state

    def query(self, sql: str) -> list[Row]:
        """The rows of a statement in the database."""
        raise NotImplementedError

    def type_of(self, column: str) -> str:
        """The type of a column of the table, as the database names it."""
        [found] = self.query(
            "SELECT data_type FROM information_schema.columns "
            f"WHERE lower(table_name) = 'visitor_sessions' AND lower(column_name) = '{column}'"
        )
        [kind] = found.values()
        return str(kind)

    def table(self) -> dict[int, Row]:
        """The table's rows by id, as `expected` gives them. No id twice."""
        rows = self.query("SELECT * FROM visitor_sessions")
        assert len({row["id"] for row in rows}) == len(rows)
        return {int(row["id"]): self.as_read(row) for row in rows}

    def as_read(self, row: Row) -> Row:
        """A row of the table as the API's rows are put, without the loader's own columns."""
        row = {name: value for name, value in row.items() if not name.startswith("_sdc_")}
        row["date_time"] = utc(row["date_time"])
        for name in (*NESTED, CAMPAIGN):
            if isinstance(row.get(name), str):
                row[name] = json.loads(row[name])
        return row

    def as_kept(self, row: Row) -> Row:
        """A row that the tap emits, as this loader is known to keep it."""
        return row

    def expected(self, rows: list[Row]) -> dict[int, Row]:
        """The table that the API's rows should make, by id."""
        return {row["id"]: self.as_kept(without_nul(as_emitted(row, ZONE))) for row in rows}


@dataclass
class Postgres(Loader):
    """`uri` is the database's."""

    uri: str = ""

    def __post_init__(self) -> None:
        self.more["sqlalchemy_url"] = self.uri.replace("postgresql://", "postgresql+psycopg://")
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
        super().__post_init__()

    def query(self, sql: str) -> list[Row]:
        with psycopg.connect(self.uri, row_factory=dict_row) as connection:
            connection.execute("SET search_path = analytics")
            return connection.execute(sql.encode()).fetchall()

    def execute(self, sql: str) -> None:
        """Run a statement."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(sql.encode())


@dataclass
class Snowflake(Loader):
    """On fakesnow."""

    def __post_init__(self) -> None:
        self.plugin = "target-snowflake-fakesnow"
        self.more["password"] = "none"
        super().__post_init__()
        shim = [str(self.bin / "python"), str(HERE / "fakesnow_run.py"), str(self.folder)]
        self._shim = shim

    @property
    def command(self) -> list[str]:
        return [*self._shim, self.name, "--config", str(self.folder / "config.json")]

    def query(self, sql: str) -> list[Row]:
        sql = sql.replace("FROM visitor_sessions", "FROM analytics.visitor_sessions")
        found: list[Row] = json.loads(spoken([*self._shim, self.config["database"]], sql))
        return found


@dataclass
class DuckDB(Loader):
    """Read with a current DuckDB, whichever one the loader has."""

    database = "output/sessions.duckdb"

    def query(self, sql: str) -> list[Row]:
        python = programs("utilities", "duckdb") / "python"
        command = [str(python), str(HERE / "duckdb_run.py"), self.database]
        found: list[Row] = json.loads(spoken(command, sql, cwd=self.folder))
        return found

    def as_kept(self, row: Row) -> Row:
        return {name: None if value == "" else value for name, value in row.items()}


@dataclass
class Jsonl(DuckDB):
    """Files of lines, put into a view by the documented SQL."""

    def lines(self) -> list[Row]:
        """All lines, as they stand."""
        path = self.folder / "output/visitor_sessions.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def query(self, sql: str) -> list[Row]:
        super().query(self.docs.sql["The latest of each session"])
        return super().query(sql)

    def table(self) -> dict[int, Row]:
        return {int(row["id"]): self.as_read(row) for row in self.lines()}

    def as_kept(self, row: Row) -> Row:
        return row


@dataclass
class Csv(Jsonl):
    """A file of each run."""

    def lines(self) -> list[Row]:
        csv.field_size_limit(10**9)
        rows: list[Row] = []
        for path in sorted((self.folder / "output").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows += list(csv.DictReader(file))
        return rows

    def as_read(self, row: Row) -> Row:
        row = dict(row)
        row["date_time"] = utc(row["date_time"])
        return {name: json.loads(v) if name in NESTED else v for name, v in row.items()}

    def as_kept(self, row: Row) -> Row:
        campaign = row[CAMPAIGN] or {}
        kept = {name: value for name, value in row.items() if name != CAMPAIGN}
        for member in MEMBERS:
            kept[f"{CAMPAIGN}__{member}"] = campaign.get(member)
        for name, value in kept.items():
            if name.endswith("__old_banner_ids") and value is not None:
                value = json.dumps(value, separators=(",", ":"))
            kept[name] = value if name in NESTED else "" if value is None else str(value)
        return kept


_SCHEMA = json.loads((ROOT / "schemas/visitor_sessions.json").read_text(encoding="utf-8"))
MEMBERS = list(_SCHEMA["properties"][CAMPAIGN]["properties"])


def without_nul(value: Any) -> Any:
    """The tap puts U+FFFD in the place of NUL, which no database takes."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name: without_nul(item) for name, item in value.items()}
    return value


def utc(at: str | datetime) -> str:
    """A time of a database, in UTC, as the tap writes it."""
    text = str(at).replace(" ", "T").removesuffix("+00:00").removesuffix("Z")
    return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def sessions(count: int = 400) -> list[Row]:
    """Sessions of May 2024, among them hostile ones: the first, the last, and some between."""
    rows = sorted(make_sessions(count, seed=5), key=lambda row: (row["date_time"], row["id"]))
    call = {"communication_type": "call", "communication_id": 9, "ext_id": ODD}
    full: Row = {
        "referrer": ODD,
        "search_query": "",
        "campaign_name": "NULL",
        "utm_term": "\\N",
        "utm_content": "null",
        "utm_source": '"',
        "utm_medium": "'",
        "source_name": "  spaced  ",
        "visitor_id": 2**63 - 1,
        "hits": [_hit(ODD), _hit(LONG), _hit(""), dict.fromkeys(_hit("")), _hit("6")],
        "segments": [
            {"segment_name": ODD, "segment_id": 3},
            {"segment_name": None, "segment_id": None},
        ],
        "visitor_custom_properties": [
            {"property_name": ODD, "property_value": "🚗"},
            {"property_name": "empty", "property_value": ""},
        ],
        "communications": [
            {**call, "communication_date_time": rows[0]["date_time"]},
            {
                **call,
                "communication_type": "chat",
                "communication_date_time": rows[-1]["date_time"],
            },
        ],
        CAMPAIGN: {
            **dict.fromkeys(MEMBERS, ODD),
            **dict.fromkeys(
                ["current_banner_id", "group_id", "auditory_id", "yandex_region_id"], 7
            ),
            "old_banner_ids": [1, 2**53 + 1],
        },
    }
    del full[CAMPAIGN]["banner_id"]
    empty: Row = {name: None for name in rows[0] if name not in ("id", "date_time")}
    empty |= {name: [] for name in NESTED}
    many = [_hit(str(number)) for number in range(3000)]
    for at in (0, count // 2, count - 1):
        rows[at].update(full)
    for at in (1, count - 2):
        rows[at].update(empty)
    for at in (2, count - 3):
        rows[at].update(hits=many, hits_count=len(many))
    return rows


def tap(
    sandbox: Sandbox,
    folder: Path,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """A run of the tap up to the last session: what a next run reads again lies before it."""
    config = {
        "access_token": "sandbox-token",
        "api_url": sandbox.url,
        "start_date": "2024-05-01",
        "end_date": max(row["date_time"] for row in sandbox.rows()).replace(" ", "T"),
        **settings,
    }
    return run_tap(config, state=state, catalog=catalog, directory=folder).check()


def change(sandbox: Sandbox) -> None:
    """Sessions go on: two of the last day, the hostile one among them."""
    newest = sorted(sandbox.rows(), key=lambda row: (row["date_time"], row["id"]))
    hit = {"hit_time": "late", "hit_duration": "00:00:09", "hit_url": "https://shop.example/ы"}
    sandbox.update(newest[-4]["id"], duration=99_999, hits=[hit], hits_count=1)
    sandbox.update(newest[-1]["id"], hits=[*newest[-1]["hits"], hit], segments=[])


def _hit(url: str) -> Row:
    return {"hit_time": "2024-05-03 10:00:00", "hit_duration": "00:01:09", "hit_url": url}


def _seconds(duration: str | None) -> int | None:
    if duration is None:
        return None
    hours, minutes, seconds = map(int, duration.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def pages(rows: list[Row]) -> list[Row]:
    return [
        {
            "id": row["id"],
            "position": position,
            "hit_time": hit["hit_time"],
            "seconds": _seconds(hit["hit_duration"]),
            "hit_url": hit["hit_url"],
        }
        for row in rows
        for position, hit in enumerate(row["hits"], start=1)
    ]


def communications(rows: list[Row]) -> list[Row]:
    return [
        {
            "id": row["id"],
            "channel": row["channel"],
            "type": item["communication_type"],
            "communication_id": item["communication_id"],
            "at": item["communication_date_time"],
            "ext_id": item["ext_id"],
        }
        for row in rows
        for item in row["communications"]
    ]


def channels(rows: list[Row]) -> list[Row]:
    found: dict[str | None, Row] = {}
    for row in rows:
        one = found.setdefault(
            row["channel"], {"channel": row["channel"], "sessions": 0, "with_call_or_chat": 0}
        )
        one["sessions"] += 1
        kinds = {item["communication_type"] for item in row["communications"]}
        one["with_call_or_chat"] += bool(kinds & {"call", "chat"})
    return list(found.values())


def keywords(rows: list[Row]) -> list[Row]:
    found: dict[tuple[str, str | None], Row] = {}
    for row in rows:
        system, keyword = row[CAMPAIGN].get("adv_system"), row[CAMPAIGN].get("keyword")
        if system is not None:
            one = found.setdefault(
                (system, keyword), {"adv_system": system, "keyword": keyword, "sessions": 0}
            )
            one["sessions"] += 1
    return list(found.values())


ANSWERS: dict[str, Callable[[list[Row]], list[Row]]] = {
    "One row per page seen": pages,
    "One row per communication": communications,
    "Sessions, and those with a call or chat, by channel": channels,
    "Sessions by advertising system and keyword": keywords,
}
"""Block of SQL in docs/loaders.md -> its rows, from rows that the tap emits."""
