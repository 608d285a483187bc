"""The script of removal effects: a chain that is known, any chain beside a walk through it, and the
command over what dbt has built (docs/transform.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pages
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgresql import BIN
from support import ROOT

SCRIPTS = ROOT / "transform/scripts"
sys.path.insert(0, str(SCRIPTS))
import markov  # noqa: E402

CHANNELS = st.lists(st.sampled_from(["paid", "organic", "direct", "email"]), min_size=1, max_size=5)
PATHS = st.lists(
    st.builds(markov.Paths, CHANNELS.map(tuple), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)


@pytest.mark.half
def test_a_chain_that_is_known() -> None:
    """C1 > C2 > C3 converts, C1 and C2 > C3 do not: a third converts, through C2 and C3 all of it,
    through C1 a half."""
    paths = [
        markov.Paths(("C1", "C2", "C3"), 1, 0),
        markov.Paths(("C1",), 0, 1),
        markov.Paths(("C2", "C3"), 0, 1),
    ]
    assert markov.converting(markov.chain(paths)) == pytest.approx(1 / 3)
    found = {one.channel: one for one in markov.effects(paths)}
    assert [found[c].removal_effect for c in ("C1", "C2", "C3")] == pytest.approx([0.5, 1, 1])
    assert [found[c].share for c in ("C1", "C2", "C3")] == pytest.approx([0.2, 0.4, 0.4])


def walked(paths: list[markov.Paths], without: str = "") -> float:
    """The probability of a conversion, by letting all walkers go on until none is left."""
    onward: dict[str, list[tuple[str, float]]] = {}
    for path in paths:
        steps = [*path.channels]
        for here, there in zip(["", *steps], steps, strict=False):
            onward.setdefault(here, []).append((there, path.conversions + path.without))
        onward[steps[-1]] = [
            *onward.get(steps[-1], []),
            ("yes", path.conversions),
            ("no", path.without),
        ]
    here, done = {"": 1.0}, 0.0
    while sum(here.values()) > 1e-12:
        after: dict[str, float] = {}
        for state, share in here.items():
            total = sum(weight for _, weight in onward[state])
            for there, weight in onward[state]:
                if there == "yes":
                    done += share * weight / total
                elif there not in ("no", without):
                    after[there] = after.get(there, 0.0) + share * weight / total
        here = after
    return done


@pytest.mark.half
@given(PATHS)
def test_any_chain_beside_a_walk_through_it(paths: list[markov.Paths]) -> None:
    paths = [path for path in paths if path.conversions + path.without]
    if not any(path.conversions for path in paths):
        with pytest.raises(ValueError, match="no path with a conversion"):
            markov.effects(paths)
        return
    found = markov.effects(paths)
    assert sum(one.share for one in found) == pytest.approx(1)
    assert sum(one.conversions for one in found) == pytest.approx(
        sum(path.conversions for path in paths)
    )
    assert {one.channel for one in found} == {name for path in paths for name in path.channels}
    for one in found:
        lost = 1 - walked(paths, one.channel) / walked(paths)
        assert one.removal_effect == pytest.approx(lost, abs=1e-9)


def run(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "markov.py")]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8")


@pytest.mark.half
def test_the_command_writes_csv() -> None:
    done = run("\ufeffpath,conversions,paths_without\npaid > organic,3,1\norganic,1,5\n")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header == "channel,removal_effect,share,conversions"
    assert [row.split(",")[0] for row in rows] == ["organic", "paid"]


@pytest.mark.half
def test_a_path_of_any_length() -> None:
    done = run(f"path,conversions,paths_without\n{' > '.join(['paid'] * 50_000)},1,1\n")
    assert done.stdout.splitlines()[1] == "paid,1.0,1.0,1.0"


def test_the_command_of_the_page_runs_over_what_dbt_builds(postgres: str, tmp_path: Path) -> None:
    (block,) = (
        block
        for block in pages.blocks("docs/transform.md")
        if block.section == "Data-driven attribution" and block.language == "sh"
    )
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE visitor_sessions__path_summary AS SELECT * FROM (VALUES "
            "('paid > organic', 3, 1), ('organic', 1, 5)) AS t (path, conversions, paths_without)"
        )
    (tmp_path / "dbt_packages").mkdir()
    (tmp_path / "dbt_packages/visitor_sessions").symlink_to(ROOT / "transform")
    parts = urlsplit(postgres)
    where = {
        "PGHOST": parse_qs(parts.query)["host"][0],
        "PGUSER": parts.username or "",
        "PGDATABASE": parts.path.strip("/"),
    }
    path = os.pathsep.join([str(BIN), str(Path(sys.executable).parent)])
    env = {**os.environ, **where, "PATH": path + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        block.text, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column path, conversions, paths_without"),
        ("path,conversions\na,1\n", "no column paths_without"),
        ("path,conversions,paths_without\na,0,4\n", "no path with a conversion"),
        ("path,conversions,paths_without\na,many,4\n", "could not convert"),
        ("path,conversions,paths_without\na,1\n", "could not convert"),
    ],
)
def test_what_cannot_be_reckoned_is_said_in_a_line(text: str, said: str) -> None:
    done = run(text)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
