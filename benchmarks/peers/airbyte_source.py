"""The same stream as an Airbyte low-code source: the manifest beside this file on airbyte-cdk.

Windows of fixed length, four at a time as this tap reads them, pages by offset, a bookmark.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE.parents[1] / "schemas/visitor_sessions.json").read_text())


def manifest() -> dict[str, Any]:
    """The manifest, with the columns of the schema."""
    found: dict[str, Any] = yaml.safe_load((HERE / "airbyte_manifest.yaml").read_text())
    [stream] = found["streams"]
    body = stream["retriever"]["requester"]["request_body"]["value"]
    body["params"]["fields"] = list(SCHEMA["properties"])
    stream["schema_loader"]["schema"] = SCHEMA
    return found


def main(arguments: list[str]) -> None:
    """As the CDK's own `source-declarative-manifest` does it."""
    parsed = AirbyteEntrypoint.parse_args(arguments)
    source = ConcurrentDeclarativeSource(
        catalog=ConcurrentDeclarativeSource.read_catalog(parsed.catalog),
        config=ConcurrentDeclarativeSource.read_config(parsed.config),
        state=[],
        source_config=manifest(),
    )
    launch(source, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
