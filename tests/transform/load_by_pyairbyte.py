"""PyAirbyte reads the source into a cache; run in its own environment, told what by stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import airbyte

sys.path.insert(0, str(Path(__file__).parents[1] / "pyairbyte"))
from in_pyairbyte import cache_of

told = json.load(sys.stdin)
script = Path(sys.executable).with_name("source-visitor-sessions")
source = airbyte.get_source(
    "source-visitor-sessions", config=told["config"], local_executable=script
)
source.select_all_streams()
kind = "postgres" if told["uri"] else "duckdb"
source.read(cache=cache_of(kind, Path(told["folder"]), told["uri"] or ""))
