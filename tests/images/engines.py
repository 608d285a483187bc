"""What builds and runs an image: docker, podman, or Debian's buildah without any of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.images import debian

ROOT = Path(__file__).parent.parent.parent
STORAGE = ROOT / ".images"
TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}

Mounts = Mapping[Path, str]  # path here -> path there, for reading and for writing


def called(*command: str | Path) -> str:
    """Run a command in the checkout; its stdout.

    Raises:
        SystemExit: it failed; with the last of what it has said.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join([*done.stdout.splitlines()[-40:], *done.stderr.splitlines()[-40:]])
        raise SystemExit(f"{said}\n{Path(command[0]).name} failed with exit code {done.returncode}")
    return done.stdout


def works(*command: str) -> bool:
    """Whether a command is there and succeeds."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


class Engine(Protocol):
    """Builds images of the Dockerfile, and runs them on a read-only root without capabilities."""

    name: str

    def build(self, target: str, tag: str, arguments: Mapping[str, str]) -> str:
        """Build one of the Dockerfile's targets; what was said."""

    def command(self, image: str, mounts: Mounts, entry: str | None, *arguments: str) -> list[str]:
        """The command that runs an image, as its configured user, with this machine's network.

        Args:
            entry: In place of the image's entry point.
        """

    def end(self, process: subprocess.Popen[str]) -> None:
        """Send SIGTERM to the first process of a container that `command` has started."""

    def size(self, image: str) -> int:
        """Bytes, with those of the base."""

    def labels(self, image: str) -> dict[str, str]:
        """The labels of an image."""


class Docker:
    """Docker, or podman, which takes the same commands."""

    def __init__(self, name: str, base: str | None) -> None:
        self.name = name
        self._base = base

    def build(self, target: str, tag: str, arguments: Mapping[str, str]) -> str:
        given = {**arguments, **({"BASE": self._base} if self._base else {})}
        options = [f"--build-arg={name}={value}" for name, value in given.items()]
        return called(self.name, "build", f"--target={target}", f"--tag={tag}", *options, ".")

    def command(self, image: str, mounts: Mounts, entry: str | None, *arguments: str) -> list[str]:
        options = ["--rm", "--network=host", "--read-only", "--cap-drop=ALL"]
        if self.name == "podman":
            options.append("--read-only-tmpfs=false")
        options += [f"--volume={here}:{there}" for here, there in mounts.items()]
        if entry:
            options.append(f"--entrypoint={entry}")
        return [self.name, "run", *options, image, *arguments]

    def end(self, process: subprocess.Popen[str]) -> None:
        process.terminate()  # it hands the signal on

    def size(self, image: str) -> int:
        return int(called(self.name, "image", "inspect", "--format={{.Size}}", image))

    def labels(self, image: str) -> dict[str, str]:
        form = "--format={{json .Config.Labels}}"
        found: dict[str, str] = json.loads(called(self.name, "image", "inspect", form, image))
        return found


# What `docker run` does as far as it is tested here, in namespaces of its own: $1 is the root, $2
# user:group, then pairs of mounts up to "--", then the command, which becomes process 1.
_RUN = """
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777,size=64m shm "$root/dev/shm"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
mount -o remount,bind,ro "$root"
exec chroot --groups= --userspec="$user" "$root" "$@"
"""


class Buildah:
    """Debian's buildah on a base made by debootstrap; runs a container with util-linux.

    Images, base and layers are kept in `.images`, by overlay mounts where the kernel has them for
    that folder, else with buildah's storage driver vfs; STORAGE_DRIVER chooses.
    """

    name = "buildah"

    def __init__(self, base: str | None, scratch: Path) -> None:
        self._scratch = scratch
        self._roots: dict[str, Path] = {}
        self._containers: list[str] = []
        self._base = base
        self._driver = os.environ.get("STORAGE_DRIVER", "overlay")
        if "STORAGE_DRIVER" not in os.environ and not works(*self._start(), "info"):
            self._driver = "vfs"

    def build(self, target: str, tag: str, arguments: Mapping[str, str]) -> str:
        given = {**arguments, "BASE": self._base or self._debian()}
        options = [f"--build-arg={name}={value}" for name, value in given.items()]
        for here, there in debian.handed(self._scratch).items():
            options.append(f"--volume={here}:{there}:ro")
        options += ["--isolation=chroot", "--format=docker"]
        # vfs copies all files for each layer, which takes longer than to do without the cache.
        options.append(f"--layers={str(self._driver != 'vfs').lower()}")
        return self._buildah("bud", f"--target={target}", f"--tag={tag}", *options, ".")

    def command(self, image: str, mounts: Mounts, entry: str | None, *arguments: str) -> list[str]:
        root, config = self._root(image), self._config(image)
        for there in mounts.values():
            (root / there.lstrip("/")).mkdir(exist_ok=True)
        start = [entry] if entry else config["Entrypoint"]
        pairs = [part for here, there in mounts.items() for part in (str(here), there)]
        return [
            *("unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child"),
            *("sh", "-euc", _RUN, "sh", str(root), config["User"], *pairs, "--"),
            *("env", "-i", f"--chdir={config['WorkingDir']}", "HOME=/", *config["Env"]),
            *(*start, *(arguments or ([] if entry else config["Cmd"]))),
        ]

    def end(self, process: subprocess.Popen[str]) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)

    def size(self, image: str) -> int:
        [found] = json.loads(self._buildah("images", "--json", image))
        number, unit = found["size"].split()
        return int(float(number) * 1000 ** ("B", "KB", "MB", "GB").index(unit.upper()))

    def labels(self, image: str) -> dict[str, str]:
        found: dict[str, str] = self._config(image)["Labels"]
        return found

    def close(self) -> None:
        """Take the containers away; the images stay."""
        for container in self._containers:
            self._buildah("rm", container)

    def _start(self) -> list[str]:
        folders = [f"--root={STORAGE / 'storage'}", f"--runroot={STORAGE / 'run'}"]
        return ["buildah", *folders, f"--storage-driver={self._driver}"]

    def _buildah(self, *arguments: str) -> str:
        return called(*self._start(), *arguments)

    def _container(self, image: str) -> tuple[str, Path]:
        container = self._buildah("from", "--pull-never", image).strip()
        self._containers.append(container)
        return container, Path(self._buildah("mount", container).strip())

    def _root(self, image: str) -> Path:
        if image not in self._roots:
            _, self._roots[image] = self._container(image)
        return self._roots[image]

    def _config(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._buildah("inspect", "--type=image", image))
        config: dict[str, Any] = found["OCIv1"]["config"]
        return config

    def _debian(self) -> str:
        suite = debian.suite_of((ROOT / "Dockerfile").read_text(encoding="utf-8"))
        base = f"localhost/debian-python:{suite}"
        if base not in self._buildah("images", "--format={{.Name}}:{{.Tag}}").split():
            print(f"==> Making a base of Debian {suite} (a minute)", flush=True)
            container, root = self._container("scratch")
            debian.fill(root, suite)
            self._buildah("commit", "--quiet", container, base)
        return base


@contextmanager
def engine(base: str | None) -> Iterator[Engine]:
    """The engine that is running here, else buildah.

    Raises:
        SystemExit: there is none, and what buildah needs is not here either.
    """
    for name in ("docker", "podman"):
        if (
            shutil.which(name)
            and not subprocess.run([name, "info"], capture_output=True).returncode
        ):
            yield Docker(name, base)
            return
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise SystemExit("No engine of docker or podman is running; without one this needs root")
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        install = f"apt-get install --no-install-recommends {' '.join(missing)}"
        raise SystemExit(f"No engine of docker or podman is running; or, on Debian: {install}")
    with tempfile.TemporaryDirectory() as scratch:
        found = Buildah(base, Path(scratch))
        try:
            yield found
        finally:
            found.close()
