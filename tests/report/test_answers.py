"""What the report shows of the marts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest
from postgresql import running_postgresql
from report_support import HOSTILE, load

from report.figures import ReportError, collect
from report.page import page
from sandbox import make_sessions

TABLE = "raw.visitor_sessions"
CONVERSIONS = [
    # first, last, days, spam
    ("paid", "direct", 0.2, False),
    ("paid", "paid", 0.0, False),
    ("(unknown)", "email", 6.9, False),
    ("social", "email", 30.0, None),
    ("social", "social", 1.0, True),
]
PATHS = [("paid > direct", 2, 5, 7), ("email", 1, 9, 0), ("referral", 1, 0, 3)]


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with running_postgresql() as uri:
        load(uri, TABLE, make_sessions(50, end=datetime(2024, 5, 8)))
        yield uri


def build(uri: str, schema: str, paths: list[tuple[str, int, int, int]] = PATHS) -> None:
    """Marts, as far as the report reads them."""
    with psycopg.connect(uri, autocommit=True) as database:
        database.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        database.execute(
            f"CREATE TABLE {schema}.visitor_sessions__conversions (first_channel text, "
            "last_channel text, days_until double precision, is_spam boolean)"
        )
        database.execute(
            f"CREATE TABLE {schema}.visitor_sessions__path_summary (path text, touches bigint, "
            "conversions bigint, paths_without bigint)"
        )
        with database.cursor() as cursor:
            for name, rows in (("conversions", CONVERSIONS), ("path_summary", paths)):
                into = f"INSERT INTO {schema}.visitor_sessions__{name} VALUES (%s, %s, %s, %s)"
                cursor.executemany(into, rows)


@pytest.fixture
def marts(uri: str) -> Iterator[str]:
    build(uri, "marts")
    yield "marts"
    with psycopg.connect(uri, autocommit=True) as database:
        database.execute("DROP SCHEMA marts CASCADE")


def test_no_marts_no_answers(uri: str) -> None:
    figures = collect(uri, TABLE, "UTC")
    assert figures.answers is None
    assert "What brought them" not in page(figures)


def test_channels_days_and_paths(uri: str, marts: str) -> None:
    answers = collect(uri, TABLE, "UTC").answers
    assert answers is not None
    assert (answers.schema, answers.conversions) == (marts, 4)
    touched = {one.channel: (one.first, one.last) for one in answers.channels}
    assert touched["paid"] == (2, 1)
    assert touched["email"] == (0, 2)
    assert touched["social"] == (1, 0), "spam is left out"
    assert [count for _, count in answers.days] == [2, 0, 1, 0, 1]
    assert [one.path for one in answers.paths] == ["email", "paid > direct"]


def test_the_page_shows_them(uri: str, marts: str) -> None:
    text = page(collect(uri, TABLE, "UTC"))
    for title in ("Channels by first and last touch", "Days from", "The commonest paths"):
        assert title in text
    assert "paid ads → direct" in text


def test_hostile_names_of_channels(uri: str, marts: str) -> None:
    build(uri, marts, [(name, 1, 3, 0) for name in HOSTILE])
    text = page(collect(uri, TABLE, "UTC"))
    assert "<script" not in text
    assert "<img" not in text


def test_two_schemas_with_marts(uri: str, marts: str) -> None:
    build(uri, "dev")
    try:
        with pytest.raises(ReportError, match=r"--marts: name one of dev, marts"):
            collect(uri, TABLE, "UTC")
        answers = collect(uri, TABLE, "UTC", marts="dev").answers
        assert answers is not None
        assert answers.schema == "dev"
    finally:
        with psycopg.connect(uri, autocommit=True) as database:
            database.execute("DROP SCHEMA dev CASCADE")


def test_a_schema_without_marts(uri: str) -> None:
    with pytest.raises(ReportError, match="--marts: schema nowhere has no"):
        collect(uri, TABLE, "UTC", marts="nowhere")
