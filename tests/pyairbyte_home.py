"""PyAirbyte, in an environment of its own with this checkout's source."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from support import ROOT

HOME = ROOT / ".venv-pyairbyte"
REQUIREMENTS = ROOT / "benchmarks/peers/requirements-pyairbyte.txt"


def pyairbyte_python() -> Path:
    """The environment's Python; made, unless it is there and up to date."""
    wanted = REQUIREMENTS.read_text() + (ROOT / "pyproject.toml").read_text()
    found, stamp = HOME / "bin/python", HOME / "made-for"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(HOME, with_pip=True, clear=True)
        pip = [str(found), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        more = ["airbyte-connector-models>=0.1.12,<0.2", "pytest", "--editable", str(ROOT)]
        subprocess.run([*pip, f"--requirement={REQUIREMENTS}", *more], check=True)
        stamp.write_text(wanted)
    return found
