"""The storage that `batch_config` names: can it be written to, and what went wrong if not.

fsspec is imported where it is needed: most runs write no files.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from tap_visitor_sessions.api import ConfigError, TapError, redacted
from tap_visitor_sessions.config.parsing import texts_in

PRIVATE = 0o700
"""Mode of a folder that is made, unless the umask is tighter: sessions are personal data."""

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
# A password may hold / where it should not.
_USER = re.compile(r"//([^/@]*:.*|[^/@]*)@")
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
    folder = local_folder(root)
    if folder is None:
        return list(_remote_problems(scheme, storage))
    return list(_folder_problems((folder / f"{storage.get('prefix') or ''}x").parent))


def local_folder(root: str) -> Path | None:
    """The folder of this machine that a root names, as an absolute path; None: it names none."""
    if "://" in root and root.partition("://")[0].lower() not in ("file", "local"):
        return None
    from fsspec.implementations.local import LocalFileSystem

    scheme, separator, path = root.rpartition("://")
    return Path(LocalFileSystem._strip_protocol(f"{scheme.lower()}{separator}{path}"))


def local_url(path: Path) -> str:
    """A file's URL as loaders of the Singer SDK open it: they decode no `%20`."""
    return f"file://{'' if path.as_posix().startswith('/') else '/'}{path.as_posix()}"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that lack, each for its owner alone.

    Raises:
        OSError: it cannot be made.
    """
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(PRIVATE, exist_ok=True)


def root_problems(root: str) -> Iterator[str]:
    """Why a root is not the folder that is meant."""
    if root != root.strip():
        yield "batch_config: storage.root must not begin or end with a blank"


def prefix_problems(prefix: str) -> Iterator[str]:
    """Why files with such a prefix would not lie below the root."""
    name = "batch_config: storage.prefix"
    steps = prefix.replace("\\", "/").split("/")
    # PureWindowsPath: a drive, and what begins with either slash, on every machine.
    if ".." in steps or PureWindowsPath(prefix).anchor:
        yield f"{name} must lie within storage.root: neither .. nor / before it"
    elif odd := _odd(prefix):
        yield f"{name} must not hold {odd}, which loaders read as another file"


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
            f"{redacted(said, [*texts_in(params), *_credentials(root)])}"
        ) from None


def _has_pyarrow() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def _odd(text: str) -> str:
    """The first character of a path that its URL, unencoded, would lose."""
    found = next((one for one in text if one in "%#?" or not one.isprintable()), "")
    return found if found.isprintable() else repr(found)


def _folder_problems(folder: Path) -> Iterator[str]:
    if odd := _odd(str(folder)):
        yield f"batch_config: the folder's path must not hold {odd}: loaders read another file"
        return
    if any(part.startswith("~") for part in folder.parts):
        yield f"batch_config: the folder {folder} begins with ~, and there is no such home folder"
        return
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or type(problem).__name__
        yield f"batch_config: cannot write to the folder {folder}: {reason}"


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


def _credentials(root: str) -> list[str]:
    """The user and password of a URL, together and each."""
    found = _USER.search(root)
    return [found[1], *found[1].split(":", 1)] if found else []


def _shown(root: str) -> str:
    """A URL without a user and password."""
    return _USER.sub("//", root)
