"""The storage that `batch_config` names: can it be written to, and what went wrong if not.

fsspec is imported where it is needed: most runs write no files.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tap_visitor_sessions.api import ConfigError, TapError, redacted
from tap_visitor_sessions.config.parsing import texts_in

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "adl": "azure",
}
"""Scheme of a storage's URL -> the extra of this package that installs what it needs."""
_LIBRARIES = ("botocore", "aiobotocore", "s3fs", "fsspec", "gcsfs", "adlfs", "azure")


def storage_problems(batch_config: Mapping[str, Any]) -> list[str]:
    """Why the storage cannot be written to, as far as can be told without a network: a library
    that is missing, a folder that cannot be made or written to. Makes the folder."""
    storage = batch_config["storage"]
    root = str(storage["root"])
    scheme = root.partition("://")[0].lower() if "://" in root else "file"
    kind = batch_config["encoding"]["format"]
    if kind != "jsonl" and not _has_pyarrow():
        return [f"batch_config: {kind} needs pyarrow: install tap-visitor-sessions[parquet]"]
    if scheme == "file":
        return list(_folder_problems(_local(root)))
    return list(_remote_problems(scheme, storage))


@contextmanager
def storing(root: str, params: Mapping[str, Any]) -> Iterator[None]:
    """What a storage fails with, as one line without its secrets.

    Raises:
        TapError: a file cannot be written.
    """
    try:
        yield
    except TapError:
        raise
    except Exception as problem:  # each library has kinds of its own
        said = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise TapError(
            f"Setting batch_config: cannot write to {_shown(root)}: "
            f"{redacted(said, texts_in(params))}"
        ) from None


def _has_pyarrow() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def _local(root: str) -> Path:
    from fsspec.core import strip_protocol

    return Path(strip_protocol(root))


def _folder_problems(folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        yield f"batch_config: cannot write to the folder {folder}: {problem.strerror}"


def _remote_problems(scheme: str, storage: Mapping[str, Any]) -> Iterator[str]:
    from fsspec import get_filesystem_class

    for name in _LIBRARIES:  # at DEBUG they show keys
        logging.getLogger(name).setLevel(logging.WARNING)
    params = storage.get("params") or {}
    try:
        with storing(str(storage["root"]), params):
            get_filesystem_class(scheme)(**params)
    except ConfigError as problem:
        yield f"batch_config: {problem.reason}"
    except TapError as problem:
        cause = problem.__context__
        if isinstance(cause, ImportError) and scheme in EXTRAS:
            extra = f"tap-visitor-sessions[{EXTRAS[scheme]}]"
            yield f"batch_config: a storage of {scheme}:// needs more: install {extra}"
        elif isinstance(cause, ImportError | ValueError) and scheme not in EXTRAS:
            yield f"batch_config: a storage of {scheme}:// is not known, or not installed"
        else:
            yield str(problem).removeprefix("Setting ")


def _shown(root: str) -> str:
    """A URL without a user and password."""
    return re.sub(r"//[^/@]*@", "//", root)
