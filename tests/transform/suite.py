"""The lanes of the suite, and what makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lanes import Lane
from project import Project

LANES = {
    "meltano-duckdb": "two",
    "meltano-postgres": "agency",
    "dlt-duckdb": "agency",
    "dlt-postgres": "two",
    "pyairbyte-duckdb": "one",
    "pyairbyte-postgres": "one",
}
"""Each with the kind of accounts that it reads."""
VARS: dict[str, dict[str, Any]] = {
    name: {"lookback_days": 30} for name in ("meltano-duckdb", "dlt-duckdb", "dlt-postgres")
}
"""Neither target-duckdb nor dlt says when it loaded a row: what is younger counts as new."""
MakeLane = Callable[..., Lane]
MakeProject = Callable[..., Project]
