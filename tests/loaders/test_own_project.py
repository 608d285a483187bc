"""A Meltano project of one's own, made as README and docs/loaders.md say."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import yaml
from loading import HOME, ROOT, ZONE, Documented

from sandbox import Sandbox, make_sessions

NAME = "target-postgres"


@contextmanager
def door(postgres: str, certificate: Path | None) -> Iterator[int]:
    """A port of TCP before the server's socket, which speaks TLS if it has a certificate."""
    [folder] = parse_qs(urlsplit(postgres).query)["host"]
    listening = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, to: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                to.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, to):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        first = client.recv(8, socket.MSG_PEEK)
        # SSLRequest and GSSENCRequest of PostgreSQL's protocol: each is answered with a letter.
        while first[4:] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
            client.recv(8)
            encrypts = certificate is not None and first[4:] == b"\x04\xd2\x16\x2f"
            client.sendall(b"S" if encrypts else b"N")
            if encrypts and certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
                client = context.wrap_socket(client, server_side=True)
                break
            first = client.recv(8, socket.MSG_PEEK)
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        threading.Thread(target=pass_on, args=(server, client), daemon=True).start()
        pass_on(client, server)

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listening:
        yield listening.getsockname()[1]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path / "server.crt"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    make += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make += ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(make, check=True, capture_output=True)
    return path


def project(folder: Path) -> Path:
    """The lines of the page, and the loader's file beside them; the environments are the tests'."""
    folder.mkdir()
    known = folder / "plugins/loaders"
    known.mkdir(parents=True)
    shutil.copy(ROOT / f"plugins/loaders/{NAME}--meltanolabs.lock", known)
    ours = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    [tap] = [one for one in ours["plugins"]["extractors"] if one["name"] == "tap-visitor-sessions"]
    run = Path(folder / "tap")
    run.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tap_visitor_sessions "$@"\n')
    run.chmod(0o755)
    tap |= {"executable": str(run), "pip_url": None}
    loader = Documented(NAME).entry
    program = HOME / f".meltano/loaders/{NAME}/venv/bin/{NAME}"
    plugins = {"extractors": [tap], "loaders": [{**loader, "executable": str(program)}]}
    content = {"project_id": "own", "send_anonymous_usage_stats": False, "plugins": plugins}
    content |= {"default_environment": "dev", "environments": [{"name": "dev"}]}
    (folder / "meltano.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def run(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("meltano")), "run", "--no-install"]
    return subprocess.run(
        [*command, "tap-visitor-sessions", NAME],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def loaded(postgres: str) -> int | None:
    """How many rows there are; None without a table."""
    with psycopg.connect(postgres) as connection:
        [there] = connection.execute(
            "SELECT to_regclass('analytics.visitor_sessions')"
        ).fetchone() or (None,)
        if there is None:
            return None
        [count] = connection.execute(
            "SELECT count(*) FROM analytics.visitor_sessions"
        ).fetchone() or (0,)
        return int(count)


def test_tls_by_the_environment_encrypts_or_nothing_is_loaded(
    postgres: str,
    certificate: Path,
    make_sandbox: Callable[..., Sandbox],
    tmp_path: Path,
) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
    sandbox = make_sandbox(rows=make_sessions(30, seed=2), timezone=ZONE)
    folder = project(tmp_path / "own")
    env = {
        "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": sandbox.token,
        "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
        "TAP_VISITOR_SESSIONS_START_DATE": "2024-05-01",
        "TARGET_POSTGRES_HOST": "localhost",
        "TARGET_POSTGRES_USER": "postgres",
        "TARGET_POSTGRES_PASSWORD": "none",
        "TARGET_POSTGRES_DATABASE": "postgres",
        "TARGET_POSTGRES_SSL_ENABLE": "true",
        "TARGET_POSTGRES_SSL_CERTIFICATE_AUTHORITY": str(certificate),
    }
    slip = {**env, "TAP_VISITOR_SESSIONS_EXCLUDE_COLUMNS": "visitor_ip_adress"}
    with door(postgres, None) as port:
        done = run(folder, {**env, "TARGET_POSTGRES_PORT": str(port)})
        assert done.returncode != 0
        assert "does not support SSL" in done.stderr + done.stdout
        assert loaded(postgres) is None
    with door(postgres, certificate) as port:
        done = run(folder, {**slip, "TARGET_POSTGRES_PORT": str(port)})
        assert done.returncode != 0
        assert "exclude_columns: there is no column" in done.stderr + done.stdout
        assert "did you mean visitor_ip_address?" in done.stderr + done.stdout
        assert loaded(postgres) is None
        done = run(folder, {**env, "TARGET_POSTGRES_PORT": str(port)})
        assert done.returncode == 0, done.stderr[-4000:]
        assert loaded(postgres) == 30
