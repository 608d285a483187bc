"""A base of Debian with Python, made by debootstrap, and what of this machine a build in it needs.

Nothing of the machine is kept in the base or in an image: certificates and pip's settings are
mounted while a step of the build runs.
"""

from __future__ import annotations

import ast
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-venv")
# Where it is kept that debootstrap was here: lists and packages of apt, this machine's names.
LEFT = ("var/cache/apt", "var/lib/apt/lists", "var/log")
NAMES = ("etc/hostname", "etc/resolv.conf")


def suite_of(dockerfile: str) -> str:
    """The release of Debian that the Dockerfile's own base is made of."""
    [suite] = re.findall(r"^ARG BASE=python:[\d.]+-slim-(\w+)$", dockerfile, re.MULTILINE)
    return str(suite)


def mirror() -> list[str]:
    """The mirror that apt takes Debian from here; none named is debootstrap's own."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)"]
    for line in _said(*command).splitlines():
        origin, release, *uri = line.split()
        if origin == "Debian" and "-" not in release:
            return uri
    return []


def fill(root: Path, suite: str) -> None:
    """Install Debian with Python into an empty folder."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    done = subprocess.run(
        [*command, suite, str(root), *mirror()], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit("\n".join(done.stdout.splitlines()[-20:]) + "\ndebootstrap failed")
    for path in (path for name in LEFT for path in (root / name).iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in NAMES:
        (root / name).unlink(missing_ok=True)


def pip_settings(listed: str) -> dict[str, str]:
    """What `pip config list` has listed, as one section; the environment's word is the last."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, name = name.rpartition(".")
        if section in found:
            found[section][name] = " ".join(str(ast.literal_eval(value)).split())
    return {**found["global"], **found["install"], **found[":env:"]}


def named_by(settings: dict[str, str]) -> set[Path]:
    """The folders and files of this machine that pip's settings name."""
    found = set()
    for name, value in settings.items():
        for word in value.split():
            path = Path(unquote(word.removeprefix("file://")))
            if path.is_absolute() and path.exists():
                # The pages of an index point to files beside it.
                found.add(path.parent if name in ("index-url", "extra-index-url") else path)
    return found - {Path("/")}


def handed(folder: Path) -> dict[Path, str]:
    """What to mount for a build's steps: path here -> path there. Writes a file into `folder`."""
    settings = pip_settings(_said(sys.executable, "-m", "pip", "config", "list"))
    trusted = ssl.get_default_verify_paths().cafile
    if trusted:
        settings.setdefault("cert", trusted)
    file = folder / "pip.conf"
    lines = ["[global]", *(f"{name} = {value}" for name, value in settings.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {file: "/etc/pip.conf", **{path.resolve(): str(path) for path in named_by(settings)}}


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
