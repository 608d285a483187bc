"""The images as their users run them: built, looked into, and run over a sandbox.

python3 dev.py image         builds the tap's image and the Airbyte source's, runs each on a
                             read-only root without capabilities and says what it weighs
python3 dev.py image BASE    the same on another base than the Dockerfile's

With docker or podman where an engine is running. Else, as root on a Debian, with its packages
buildah and debootstrap, which are named if they are not there; the base is Debian with Python then,
and base, layers and images are kept in `.images`, a few GB that can be removed at any time.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox import Faults, Sandbox
from tests.images.engines import ROOT, Engine, called, engine

STREAM = "visitor_sessions"
PYTHON = "/opt/tap/bin/python"
# Run by an image's own Python.
LOOK = """
import importlib.util, json, os, pathlib, pwd
def writable(folder):
    try:
        pathlib.Path(folder, "tried").touch()
    except OSError:
        return False
    return True
print(json.dumps({
    "user": os.getuid(),
    "home": [entry.pw_dir for entry in pwd.getpwall() if entry.pw_uid == os.getuid()],
    "writable": [folder for folder in ("/", "/tmp", "/opt/tap") if writable(folder)],
    "pyarrow": importlib.util.find_spec("pyarrow") is not None,
}))
"""
ROWS = """
import gzip, sys
from pyarrow import parquet
def rows(path):
    if path.endswith(".parquet"):
        return parquet.read_metadata(path).num_rows
    return sum(1 for _ in gzip.open(path))
print(sum(rows(url.removeprefix("file://")) for url in sys.argv[1:]))
"""


def release() -> tuple[str, str]:
    """Name of the Airbyte image, and the tag of both images: they stand in Airbyte's metadata."""
    text = (ROOT / "hub/airbyte/metadata.yaml").read_text(encoding="utf-8")
    [name] = re.findall(r"^  dockerRepository: (\S+)$", text, re.MULTILINE)
    [tag] = re.findall(r"^  dockerImageTag: (\S+)$", text, re.MULTILINE)
    return name, tag


class Image:
    """An image, and the folders of this machine that it sees."""

    def __init__(self, by: Engine, name: str, folder: Path) -> None:
        self.name = name
        self._config = folder / "config"
        # A file of BATCH is made in the folder for temporary files and moved when it is complete.
        self._writable = {folder / "batches": "/batches", folder / "tmp": "/tmp"}
        self._by = by
        for path in (self._config, *self._writable):
            path.mkdir()
            path.chmod(0o777)  # the image's user is none of this machine

    def file(self, name: str, content: object) -> str:
        """A file for a run to read; its path there."""
        (self._config / name).write_text(json.dumps(content))
        return f"/config/{name}"

    def said(self, *arguments: str, entry: str | None = None, writes: bool = False) -> str:
        """What a run writes to stdout; it may write to /batches and to /tmp, or nowhere."""
        return called(*self._command(arguments, entry, writes))

    def messages(self, *arguments: str, writes: bool = False) -> list[dict[str, Any]]:
        """The same, line by line."""
        said = self.said(*arguments, writes=writes)
        return [json.loads(line) for line in said.split("\n") if line]

    def ended(self, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        """By SIGTERM, among the records: exit code, messages and what stderr has."""
        command = self._command(arguments, None, False)
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
        assert process.stdout
        assert process.stderr
        lines = [process.stdout.readline() for _ in range(50)]
        self._by.end(process)
        lines += process.stdout.readlines()
        errors = process.stderr.read()
        messages = [json.loads(line) for line in lines if line]
        return process.wait(60), messages, errors

    def _command(self, arguments: tuple[str, ...], entry: str | None, writes: bool) -> list[str]:
        mounts = {self._config: "/config", **(self._writable if writes else {})}
        return self._by.command(self.name, mounts, entry, *arguments)


def config_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    """Settings that read all of a sandbox."""
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": "2024-05-01",
        "end_date": "2024-06-01",
        **more,
    }


def expect(what: str, found: object, wanted: object) -> None:
    """Compare.

    Raises:
        SystemExit: they differ.
    """
    if found != wanted:
        raise SystemExit(f"{what}: {wanted!r} was expected, and {found!r} was found")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what went well, and how long it took."""
    began = time.monotonic()
    yield
    print(f"{what}: ok, {time.monotonic() - began:.1f} s", flush=True)


def _of(kind: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == kind]


def look(image: Image, *, pyarrow: bool) -> None:
    """The user has no home and nothing to write to; what need not be there is not."""
    found = json.loads(image.said("-c", LOOK, entry=PYTHON))
    wanted = {"user": 10001, "home": [], "writable": [], "pyarrow": pyarrow}
    expect(image.name, found, wanted)


def ends(image: Image, *command: str, **more: Any) -> None:
    """By SIGTERM, which a container's first process hears only if it listens: a last STATE."""
    with Sandbox(sessions=3000, faults=Faults(latency=0.02)).running() as sandbox:
        config = image.file("slow.json", config_of(sandbox, page_size=60))
        code, messages, errors = image.ended(*command, "--config", config)
    records = len(_of("RECORD", messages))
    expect("SIGTERM in the middle", 0 < records < 3000, True)
    expect("the exit code after SIGTERM", code, 143)
    kinds = [message["type"] for message in messages if message["type"] in ("RECORD", "STATE")]
    expect("the last of records and STATE", kinds[-1], "STATE")
    expect("a traceback after SIGTERM", "Traceback" in errors, False)


def the_tap(image: Image, version: str) -> None:
    """The tap's image."""
    with timed("--version and --about"):
        expect("--version", f" v{version}," in image.said("--version"), True)
        about = json.loads(image.said("--about", "--format=json"))
        expect("--about", about["name"], "tap-visitor-sessions")
    with timed("user and root"):
        look(image, pyarrow=True)
    with Sandbox(sessions=500).running() as sandbox:
        wanted = sorted(row["id"] for row in sandbox.rows())
        with timed("sync"):
            messages = image.messages("--config", image.file("tap.json", config_of(sandbox)))
            ids = [message["record"]["id"] for message in _of("RECORD", messages)]
            expect("ids", sorted(ids), wanted)
        for form, compression in (("jsonl", "gzip"), ("parquet", "zstd")):
            with timed(f"BATCH, {form}"):
                into = {
                    "encoding": {"format": form, "compression": compression},
                    "storage": {"root": "file:///batches"},
                }
                config = config_of(sandbox, batch_config=into)
                given = ("--config", image.file(f"{form}.json", config))
                messages = image.messages(*given, writes=True)
                urls = [url for batch in _of("BATCH", messages) for url in batch["manifest"]]
                rows = int(image.said("-c", ROWS, *urls, entry=PYTHON, writes=True))
                expect("rows", rows, len(wanted))
    with timed("SIGTERM"):
        ends(image)


def the_source(image: Image) -> None:
    """The Airbyte source's image."""
    with timed("user and root"):
        look(image, pyarrow=False)
    with timed("spec"):
        [spec] = _of("SPEC", image.messages("spec"))
        settings = spec["spec"]["connectionSpecification"]["properties"]
        expect("access_token in spec", "access_token" in settings, True)
    with Sandbox(sessions=500).running() as sandbox:
        config = ("--config", image.file("airbyte.json", config_of(sandbox)))
        with timed("check"):
            statuses = _of("CONNECTION_STATUS", image.messages("check", *config))
            found = [message["connectionStatus"]["status"] for message in statuses]
            expect("check", found, ["SUCCEEDED"])
        with timed("discover and read"):
            [catalogs] = _of("CATALOG", image.messages("discover", *config))
            modes = {"sync_mode": "full_refresh", "destination_sync_mode": "append"}
            streams = [{"stream": stream, **modes} for stream in catalogs["catalog"]["streams"]]
            expect("streams", [each["stream"]["name"] for each in streams], [STREAM])
            catalog = ("--catalog", image.file("catalog.json", {"streams": streams}))
            messages = image.messages("read", *config, *catalog)
            ids = [message["record"]["data"]["id"] for message in _of("RECORD", messages)]
            expect("ids", sorted(ids), sorted(row["id"] for row in sandbox.rows()))
    with timed("SIGTERM"):
        ends(image, "read", *catalog)


def main(base: str | None = None) -> None:
    """Build both, then run both."""
    source, tag = release()
    names = {"tap": f"tap-visitor-sessions:{tag}", "airbyte": f"{source}:{tag}"}
    git = ("git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    given = {"VERSION": tag, "REVISION": called(*git).strip()}
    with tempfile.TemporaryDirectory() as scratch, engine(base) as by:
        Path(scratch).chmod(0o755)
        print(f"==> Building with {by.name}", flush=True)
        for target, name in names.items():
            with timed(f"{name} built"):
                by.build(target, name, given)
            label = by.labels(name)
            expect("the label version", label["org.opencontainers.image.version"], tag)
            expect(
                "the label revision", label["org.opencontainers.image.revision"], given["REVISION"]
            )
        for target, name in names.items():
            print(f"==> {name}, {by.size(name) / 1e6:.0f} MB", flush=True)
            folder = Path(scratch, target)
            folder.mkdir()
            image = Image(by, name, folder)
            the_tap(image, tag) if target == "tap" else the_source(image)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
