"""Files of BATCH messages: where they can be written, and what is said where they cannot."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import MakeSandbox
from hypothesis import given
from hypothesis import strategies as st
from in_process import messages
from singer_sdk.helpers._batch import StorageTarget
from support import ROOT, Run, config_of, run_tap
from upath import UPath

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config.storage import (
    EXTRAS,
    local_url,
    make_folder,
    prefix_problems,
    storage_problems,
    storing,
)
from tap_visitor_sessions.config.validation import problems
from tap_visitor_sessions.singer.storage import Folder

KEY, SECRET = "AKIAKEYOFATEST", "s3cr3t/of+a=test"


def batch(root: str, encoding: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    params = more.pop("params", {})
    return {
        "encoding": encoding or {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": root, **params},
        **more,
    }


@pytest.mark.parametrize("root", [" ", "\t", " output", "file:///tmp/x\n"])
def test_a_root_of_blanks_or_between_them_is_refused(root: str) -> None:
    settings = {"access_token": "a-key-of-a-test", "start_date": "2024-05-01"}
    (problem,) = problems({**settings, "batch_config": batch(root)})
    assert "storage.root" in problem


def test_an_error_of_a_storage_shows_no_password_of_its_url() -> None:
    root = f"s3://{KEY}:{SECRET}@bucket/folder"
    with pytest.raises(TapError) as caught, storing(root, {}):
        raise ValueError(f"Bucket create failed '{KEY}:{SECRET}@bucket'")
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


CLIMBING = ("../x", "a/../../x", "..", "/tmp/x", "a/..", "..\\x", "\\x", "C:x", "C:\\x")


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
        *[(batch("x", params={"prefix": prefix}), ["prefix", "within"]) for prefix in CLIMBING],
        *[
            (batch("x", params={"prefix": prefix}), ["prefix", "hold"])
            for prefix in ("a%20b/", "a#", "?", "a\nb")
        ],
        *[(batch(root), ["folder", "hold"]) for root in ("a%20b", "file:///x/#y", "x\ty")],
        (batch("~nobody-of-that-name/x"), ["home"]),
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


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("root", "prefix"),
    [
        ("{here}/files", "2026/11/"),
        ("file://{here}/files", "a b/сес-"),
        ("{here}/of sessions", None),
        ("{here}/сессии", ""),
        ("file://{here}/of сес", ""),
        ("FILE://{here}/files", ""),
        ("~/batches", "x-"),
        ("relative/batches", ""),
        ("./relative", "./2026/"),
    ],
)
def test_a_loader_opens_what_the_manifest_names_and_nobody_else_can(
    root: str,
    prefix: str | None,
    kind: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir(0o700)
    home.mkdir(0o700)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    given = batch(root.format(here=here), {"format": kind}, params={"prefix": prefix})
    config = config_of(make_sandbox(sessions=30), batch_config={**given, "batch_size": 20})
    with umask(0o022):
        found = messages(config)
    urls = [url for message in found if message["type"] == "BATCH" for url in message["manifest"]]
    for url in urls:  # as the SDK's sinks do
        head, tail = StorageTarget.split_url(url)
        with StorageTarget.from_url(head).open(tail) as file:
            assert file.read(1)
    paths = [path for top in (here, home) for path in top.rglob("*")]
    modes = {path: path.stat().st_mode & 0o777 for path in paths}
    assert {path.name for path in paths if path.is_file()} == {Path(url).name for url in urls}
    assert len(urls) == 2
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert all(any(path.iterdir()) for path in paths if path.is_dir())


def test_a_tighter_umask_holds_and_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with umask(0o277):
        make_folder(tmp_path / "tight")
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "tight").stat().st_mode & 0o777 == 0o500


def test_a_file_that_is_not_written_to_its_end_is_none(tmp_path: Path) -> None:
    def cut_short() -> None:
        with Folder(tmp_path).open("a/x") as file:
            file.write(b"half")
            raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        cut_short()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


STEPS = ["..", ".", "", "a", "/", "\\", "C:", "~", "x y", "сес", "...", "a..", "\0"]


@given(
    st.lists(st.sampled_from(STEPS) | st.text(max_size=4), max_size=6).map("/".join)
    | st.text(max_size=9)
)
def test_whatever_prefix_is_taken_the_file_lies_below_the_root(prefix: str) -> None:
    if list(prefix_problems(prefix)):
        return
    root = Path("/base/of")
    remote = UPath("memory://base/of") / f"{prefix}file"
    for path in (str(root / f"{prefix}file"), remote.path):
        assert os.path.normpath(path).startswith("/base/of/")
    url = local_url(root / f"{prefix}file")
    assert urlsplit(url).path == str(root / f"{prefix}file")


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
