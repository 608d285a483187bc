"""Loaders that docs/loaders.md tells of and meltano.yml has not: what arrives in each."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pyarrow.parquet as pq
import pytest
from loading import (
    CAMPAIGN,
    OTHERS,
    ZONE,
    Row,
    change,
    programs,
    sessions,
    tap,
    utc,
    without_nul,
)
from oracle import as_emitted
from psycopg.rows import dict_row
from support import ROOT, Run, table_rows

from sandbox import Sandbox

MakeSandbox = Callable[..., Sandbox]
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "sessions"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20240501/us-east-1/s3/aws4_request"}
"""moto asks for a signature and looks at none."""
FLAT = {"flattening_enabled": True, "flattening_max_depth": 1}


class Store:
    """S3, as moto plays it; empty."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ask("PUT", f"/{BUCKET}")
        for name in self._names():
            self.ask("DELETE", f"/{BUCKET}/{quote(name)}")

    def ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=SIGNED, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            found: bytes = answer.read()
        return found

    def _names(self) -> list[str]:
        return re.findall("<Key>(.*?)</Key>", self.ask("GET", f"/{BUCKET}?list-type=2").decode())

    def files(self) -> dict[str, bytes]:
        return {name: self.ask("GET", f"/{BUCKET}/{quote(name)}") for name in self._names()}


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(programs("utilities", "moto") / "moto_server"), "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                Store(url)
                break
            except URLError:
                time.sleep(0.1)
        yield url
        server.terminate()


@pytest.fixture
def store(moto: str) -> Store:
    return Store(moto)


def load(name: str, config: Row, run: Run, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "loader.json"
    path.write_text(json.dumps(config))
    command = [str(programs("loaders", name) / OTHERS[name][1]), "--config", str(path)]
    env = {**os.environ, **KEYS, "NO_PROXY": "*", "no_proxy": "*"}
    return subprocess.run(
        command, input=run.stdout, cwd=folder, env=env, capture_output=True, text=True
    )


def loaded(name: str, config: Row, run: Run, folder: Path) -> None:
    done = load(name, config, run, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.strip().split("\n")[-1]) == run.state


def wanted(sandbox: Sandbox) -> dict[int, Row]:
    return {row["id"]: without_nul(as_emitted(row, ZONE)) for row in sandbox.rows()}


def as_pipelinewise(row: Row) -> Row:
    """As this loader keeps texts: an empty one is null, a control character is written out."""

    def kept(text: str) -> str | None:
        written = json.dumps(text, ensure_ascii=False)[1:-1]
        return written.replace('\\"', '"').replace("\\\\", "\\") or None

    return {name: kept(value) if isinstance(value, str) else value for name, value in row.items()}


def test_pipelinewise_target_postgres_makes_the_same_table_in_whatever_zone(
    postgres: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    [host] = parse_qs(urlsplit(postgres).query)["host"]
    config = {"host": host, "port": 5432, "user": "postgres", "password": "-"}
    config |= {"dbname": "postgres", "default_target_schema": "pipelinewise"}
    zone = f"{postgres}&options=-c%20timezone%3DAmerica/New_York"

    def table() -> dict[int, Row]:
        with psycopg.connect(zone, row_factory=dict_row) as connection:
            rows = connection.execute("SELECT * FROM pipelinewise.visitor_sessions").fetchall()
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            row |= {"date_time": utc(row["date_time"])}
        return {int(row["id"]): row for row in rows}

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS pipelinewise CASCADE")
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    first = tap(sandbox, tmp_path)
    loaded("pipelinewise-target-postgres", config, first, tmp_path)
    assert table() == {id_: as_pipelinewise(row) for id_, row in wanted(sandbox).items()}
    change(sandbox)
    loaded("pipelinewise-target-postgres", config, tap(sandbox, tmp_path, first.state), tmp_path)
    assert table() == {id_: as_pipelinewise(row) for id_, row in wanted(sandbox).items()}


def s3_parquet(store: Store) -> Row:
    aws = {"aws_region": "us-east-1", "aws_bucket": BUCKET, "aws_endpoint_override": store.url}
    place = {"cloud_provider_type": "aws", "aws": aws}
    return {"format": {"format_type": "parquet"}, "cloud_provider": place, "prefix": "made"}


@pytest.mark.parametrize("settings", [{"array_schema": "typed"}, FLAT], ids=["typed", "flat"])
def test_plinxore_target_s3_writes_parquet_of_typed_or_flat_records(
    settings: Row, store: Store, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    run = tap(sandbox, tmp_path, **settings)
    loaded("plinxore-target-s3", s3_parquet(store), run, tmp_path)
    [(name, content)] = store.files().items()
    assert name.startswith("made/visitor_sessions/")
    path = tmp_path / "one.parquet"
    path.write_bytes(content)
    assert len(pq.read_table(io.BytesIO(content))) == 400
    found = {row["id"]: row for row in table_rows(path)}
    if settings == FLAT:
        assert found == {record["id"]: record for record in run.records}
        assert all(isinstance(json.loads(row["hits"]), list) for row in found.values())
        return
    # An empty object is null there.
    want = {id_: {**row, CAMPAIGN: row[CAMPAIGN] or None} for id_, row in wanted(sandbox).items()}
    assert found == want


def test_plinxore_target_s3_says_no_to_arrays_announced_as_json(
    store: Store, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    run = tap(make_sandbox(rows=sessions(), timezone=ZONE), tmp_path)
    done = load("plinxore-target-s3", s3_parquet(store), run, tmp_path)
    assert done.returncode != 0
    assert "bookmarks" not in done.stdout
    assert store.files() == {}


def test_target_s3_jsonl_writes_each_record_as_it_is(
    store: Store, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    run = tap(sandbox, tmp_path)
    config = {
        "s3_bucket": BUCKET,
        "aws_endpoint_url": store.url,
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "compression": "gzip",
        "path_template": "{stream}/{date_time:%Y%m%dT%H%M%S}.jsonl",
    }
    loaded("target-s3-jsonl", config, run, tmp_path)
    [content] = store.files().values()
    lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert lines == run.records


def test_the_page_names_each_with_its_version() -> None:
    page = (ROOT / "docs/loaders.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## Any other loader\n")
    for pip_url, _ in OTHERS.values():
        name, _, version = pip_url.partition("==")
        assert f"| `{name}` {version}" in section, name
