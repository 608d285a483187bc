"""Files of BATCH messages: where they can be written, and what is said where they cannot."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import ROOT, Run, config_of, run_tap

from tap_visitor_sessions.config.storage import EXTRAS, storage_problems

KEY, SECRET = "AKIAKEYOFATEST", "s3cr3t/of+a=test"


def batch(root: str, encoding: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    params = more.pop("params", {})
    return {
        "encoding": encoding or {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": root, **params},
        **more,
    }


def refused(run: Run, *words: str) -> None:
    assert run.code == 1
    assert not run.messages
    assert "Traceback" not in run.stderr
    [line] = [line for line in run.stderr.splitlines() if "ERROR" in line]
    for word in ("batch_config", *words):
        assert word in line, line


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (batch("x", {"format": "csv"}), ["encoding.format", "one of arrow, jsonl, parquet"]),
        (
            batch("x", {"format": "jsonl", "compression": "zip"}),
            ["one of gzip, none, snappy, zstd"],
        ),
        (batch("x", {"format": "jsonl", "compression": "zstd"}), ["jsonl", "gzip or none"]),
        (batch("x", {"format": "arrow", "compression": "gzip"}), ["arrow", "only with none"]),
        (batch("x", {"compression": "gzip"}), ["format"]),
        (batch(""), ["storage.root"]),
        ({"encoding": {"format": "jsonl"}, "storage": {}}, ["root"]),
        ({"encoding": {"format": "jsonl"}}, ["storage"]),
        (batch("x", batch_size=0), ["batch_size"]),
        (batch("x", batch_size=-1), ["batch_size"]),
        (batch("x", batch_size="many"), ["batch_size"]),
        (batch("x", batchsize=5), ["batchsize"]),
        (batch("nope://x/y"), ["nope://"]),
        (batch("/dev/null/x"), ["/dev/null/x"]),
        ("jsonl", ["an object"]),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_refused_before_any_request(
    config: Any, words: list[str], make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=1)
    refused(run_tap(config_of(sandbox, batch_config=config), directory=tmp_path), *words)
    assert not sandbox.calls


@pytest.mark.parametrize("scheme", EXTRAS)
def test_a_missing_library_is_named_by_the_extra_that_installs_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    def missing(_: str) -> None:
        raise ImportError("no")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    [line] = storage_problems(batch(f"{scheme}://bucket/x"))
    assert line.endswith(f"install tap-visitor-sessions[{EXTRAS[scheme]}]")


def test_the_extras_are_those_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    for extra in {*EXTRAS.values(), "faker", "parquet"}:
        assert f"\n{extra} = [" in extras


def test_a_folder_is_made_and_a_batch_size_may_be_a_text(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=30)
    folder = tmp_path / "a b" / "c"
    config = config_of(sandbox, batch_config=batch(f"file://{folder}", batch_size="20"))
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    assert len(list(folder.iterdir())) == 2


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks S3 on loopback, with the bucket `sessions`."""
    pytest.importorskip("moto", reason="moto is not installed: pip install --group dev")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install --group dev")
    import boto3
    from moto.server import ThreadedMotoServer

    for name, value in (("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        ).create_bucket(Bucket="sessions")
        yield url
    finally:
        server.stop()


def params(url: str) -> dict[str, Any]:
    return {"params": {"key": KEY, "secret": SECRET, "endpoint_url": url}}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_batch_files_go_to_s3(
    kind: str, s3: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    import s3fs

    sandbox = make_sandbox(sessions=250)
    encoding = {"format": kind, "compression": "gzip"}
    config = batch("s3://sessions/raw", encoding, batch_size=100, params=params(s3))
    run = run_tap(
        config_of(sandbox, batch_config=config),
        directory=tmp_path,
        env={"LOGLEVEL": "DEBUG", "TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG"},
    )
    assert run.code == 0, run.stderr
    files = [url for message in run.of("BATCH") for url in message["manifest"]]
    assert len(files) == 3
    assert all(url.startswith("s3://sessions/raw/") for url in files)
    storage = s3fs.S3FileSystem(**params(s3)["params"])
    ids: set[int] = set()
    for url in files:
        data = storage.cat_file(url)
        if kind == "jsonl":
            ids |= {json.loads(line)["id"] for line in gzip.decompress(data).splitlines()}
        else:
            import io

            import pyarrow.parquet as pq

            ids |= set(pq.read_table(io.BytesIO(data)).column("id").to_pylist())
    assert ids == {row["id"] for row in sandbox.rows()}
    assert run.bookmark
    for secret in (KEY, SECRET):
        assert secret not in run.stderr + run.stdout


def test_what_s3_refuses_is_one_line_without_its_keys_and_no_bookmark(
    s3: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=30)
    config = batch("s3://Not A Bucket!/x", params=params(s3))
    run = run_tap(
        config_of(sandbox, batch_config=config),
        directory=tmp_path,
        env={"LOGLEVEL": "DEBUG", "TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG"},
    )
    assert run.code == 1
    assert "batch_config: cannot write to s3://Not A Bucket!/x" in run.stderr
    assert not run.of("BATCH")
    assert (
        not run.state.get("bookmarks", {}).get("visitor_sessions", {}).get("replication_key_value")
    )
    for secret in (KEY, SECRET):
        assert secret not in run.stderr + run.stdout
