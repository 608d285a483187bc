"""Where the files of BATCH messages go: a folder of this machine, or what fsspec knows.

The SDK's own `StorageTarget` makes files and folders that everybody can read, needs a second place
for temporary files, encodes a blank in a manifest's URL, which its loaders do not decode, and takes
`~` for a folder of that name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from tap_visitor_sessions.config import local_folder, local_url, make_folder

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from singer_sdk.helpers._batch import StorageTarget

_PRIVATE = 0o600


class Storage(Protocol):
    """Takes files."""

    def url(self, name: str) -> str:
        """A file's URL, for a manifest."""

    def open(self, name: str) -> AbstractContextManager[IO[Any]]:
        """Open a file to write; it is there under its name when it is whole."""


def storage_of(target: StorageTarget) -> Storage:
    """The storage that `batch_config` names."""
    folder = local_folder(target.root)
    return Remote(target) if folder is None else Folder(folder)


class Folder:
    """A folder of this machine, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def url(self, name: str) -> str:
        """A file's URL."""
        return local_url(self._path / name)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[Any]]:
        """Open a file to write."""
        path = self._path / name
        make_folder(path.parent)
        # In the same folder: a move to another file system is a copy, which can be cut short.
        part = path.with_name(f".{path.name}.part")
        try:
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
            with os.fdopen(number, "wb") as file:
                yield file
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


class Remote:
    """A storage by its URL, through fsspec."""

    def __init__(self, target: StorageTarget) -> None:
        self._target = target

    def url(self, name: str) -> str:
        """A file's URL."""
        return self._target.get_url(name)

    def open(self, name: str) -> AbstractContextManager[IO[Any]]:
        """Open a file to write."""
        return self._target.open(name, "wb")
