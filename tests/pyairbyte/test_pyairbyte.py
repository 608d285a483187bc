"""PyAirbyte runs `source-visitor-sessions` by its script, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from postgresql import running_postgresql
from pyairbyte_home import pyairbyte_python

from sandbox import Sandbox, make_sessions

ROOT = Path(__file__).parent.parent.parent
TOO_NEW = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="PyAirbyte wants a Python below 3.13"
)


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python of the environment, with PyAirbyte and this checkout's source."""
    return pyairbyte_python()


@TOO_NEW
def test_into_duckdb_and_postgres_twice(python: Path, tmp_path: Path) -> None:
    rows = make_sessions(500, seed=4, end=datetime(2024, 5, 20))
    wanted = tmp_path / "wanted.json"
    wanted.write_text(json.dumps({str(row["id"]): row["channel"] for row in rows}))
    with running_postgresql() as uri, Sandbox(rows=rows).running() as sandbox:
        script = str(Path(__file__).with_name("in_pyairbyte.py"))
        done = subprocess.run(
            [str(python), script, sandbox.url, str(tmp_path), uri, str(wanted)],
            capture_output=True,
            text=True,
            env={"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1", "HOME": str(tmp_path)},
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]
    said = [line for line in done.stdout.splitlines() if ", run " in line]
    assert [line.split(":")[0] for line in said] == [
        f"{kind}, run {number}" for kind in ("duckdb", "postgres") for number in (1, 2)
    ]
    print("\n".join(said))


@TOO_NEW
def test_airbytes_own_tests_of_a_source(python: Path, tmp_path: Path) -> None:
    rows = make_sessions(500, seed=5, end=datetime(2024, 5, 20))
    with Sandbox(rows=rows).running() as sandbox:
        script = Path(__file__).with_name("in_standard_tests.py")
        options = ["-o", "addopts=", "-rs", f"--confcutdir={script.parent}"]
        done = subprocess.run(
            [str(python), "-m", "pytest", *options, str(script)],
            capture_output=True,
            text=True,
            env={"SANDBOX_URL": sandbox.url, "DO_NOT_TRACK": "1", "HOME": str(tmp_path)},
        )
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "12 passed" in said[-1], said[-1]
    print("\n".join(said))


VALIDATE = """
import json, sys
from importlib.resources import files
from jsonschema import Draft7Validator
models = files("airbyte_connector_models.metadata.v0")
schema = json.loads((models / "ConnectorMetadataDefinitionV0.json").read_text())
Draft7Validator(schema).validate(json.load(sys.stdin))
"""


@TOO_NEW
def test_the_listing_is_valid_by_airbytes_schema(python: Path) -> None:
    listing = yaml.safe_load((ROOT / "hub/airbyte/metadata.yaml").read_text(encoding="utf-8"))
    command = [str(python), "-c", VALIDATE]
    subprocess.run(command, input=json.dumps(listing), text=True, check=True)
