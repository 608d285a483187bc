"""The shell in which the commands of a page are run as they stand: a folder of its own, the
sandbox in place of the API, and stand-ins for what installs or downloads.

The stand-ins check what they are asked for: that a requirement can be parsed and names extras that
exist, that a command of dev.py and its options exist, that a repository's address is the project's.
Installing itself is tested by tests/packages.py and tests/loaders.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from pages import ROOT, Block

from sandbox import Sandbox

URLS = [f"https://dataapi.{host}/v2.0" for host in ("callgear.com", "comagic.ru", "uiscom.ru")]
KEYS = ["your key", "ваш ключ", "the partner's key"]
STAND_INS = ("git", "pip", "pipx", "uv", "python3", "meltano")
STANDS_IN = Path(__file__).with_name("stand_ins.py")


DATABASES = (
    "postgresql+psycopg://user:password@host/name",
    "postgresql://user:password@host/name",
)


def in_place_of(text: str, sandbox: Sandbox, database: str = "") -> str:
    """What a reader puts in: the values of the account and of the database, a URL."""
    for url in DATABASES if database else ():
        scheme = url.partition("://")[0]
        text = text.replace(url, database.replace("postgresql://", f"{scheme}://"))
    for url in URLS:
        text = text.replace(url, sandbox.url)
    for key in KEYS:
        text = text.replace(key, sandbox.token)
    return text


def shims(folder: Path) -> Path:
    """A folder for PATH, with the stand-ins, and the tap's own programs as if installed."""
    folder.mkdir()
    for name in STAND_INS:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDS_IN}" {name} "$@"\n')
        program.chmod(0o755)
    for name in ("tap-visitor-sessions", "tap-visitor-sessions-doctor", "source-visitor-sessions"):
        (folder / name).symlink_to(Path(sys.executable).with_name(name))
    return folder


def script(blocks: list[Block], sandbox: Sandbox, database: str = "") -> str:
    """One script of all blocks, so that a variable or folder of one holds in the next."""
    parts = ["set -e"]
    for block in blocks:
        text = in_place_of(block.text, sandbox, database)
        parts.append(f"echo '### {block.place}' >&2")
        if block.mark == "file":
            parts.append(f"cat > {shlex.quote(block.note)} <<'END OF FILE'\n{text}END OF FILE")
        else:
            parts.append(text)
    return "\n".join(parts)


def run(
    blocks: list[Block], sandbox: Sandbox, folder: Path, database: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a page in a folder."""
    path = folder.with_name(f"{folder.name}-shims")
    if not path.exists():
        shims(path)
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        ["bash", "-c", script(blocks, sandbox, database)],
        cwd=folder,
        env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def checkout(folder: Path) -> None:
    """A folder that looks like a clone: links to what git would bring."""
    folder.mkdir(exist_ok=True)
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("demo", "output"):
            (folder / path.name).symlink_to(path)
