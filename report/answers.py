"""What the marts of transform/ answer: channels by first and last touch, how long it took, the
commonest paths. Conversions that are known to be spam are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

PREFIX = "visitor_sessions__"
MARTS = ("conversions", "path_summary")
"""What is read; they are in one schema."""
PATHS = 10
STEPS: Sequence[tuple[str, float]] = (
    # a name, and up to which number of days
    ("the same visit or day", 1),
    ("1 to 2 days", 3),
    ("3 to 6 days", 7),
    ("7 to 13 days", 14),
    ("14 days and more", float("inf")),
)


class AnswersError(Exception):
    """Which marts are meant is not clear, and the fix."""


@dataclass(frozen=True)
class Touched:
    """Conversions whose first touch, and whose last, was of a channel."""

    channel: str
    first: int
    last: int


@dataclass(frozen=True)
class Path:
    """Channels in their order, and how paths of them ended."""

    path: str
    touches: int
    conversions: int
    without: int


@dataclass(frozen=True)
class Answers:
    """All of them.

    Attributes:
        days: Conversions by the days since their first touch, by the names of STEPS.
        paths: The PATHS with the most conversions.
    """

    schema: str
    conversions: int
    channels: Sequence[Touched]
    days: Sequence[tuple[str, int]]
    paths: Sequence[Path]


def collect_answers(connection: psycopg.Connection[Any], schema: str | None) -> Answers | None:
    """Read the marts of a schema, or of the only one that has them; None: there are none.

    Raises:
        AnswersError: the schema has none, or several schemas have.
    """
    names = [PREFIX + mart for mart in MARTS]
    query = (
        "SELECT table_schema FROM information_schema.tables WHERE table_name = ANY(%s) "
        "GROUP BY 1 HAVING count(*) = %s ORDER BY 1"
    )
    found = [str(row[0]) for row in connection.execute(query, [names, len(names)])]
    if schema is not None and schema not in found:
        raise AnswersError(
            f"--marts: schema {schema} has no {' and '.join(names)}: build transform/ first"
        )
    if schema is None and len(found) > 1:
        raise AnswersError(f"--marts: name one of {', '.join(found)}")
    if not found:
        return None
    return _read(connection, schema or found[0])


def _read(connection: psycopg.Connection[Any], schema: str) -> Answers:
    conversions, summary = (Identifier(schema, PREFIX + mart) for mart in MARTS)

    def rows(query: str, *values: object) -> list[tuple[Any, ...]]:
        made: Composed = SQL(query).format(conversions=conversions, summary=summary)
        return connection.execute(made, values).fetchall()

    channels = rows(
        """
        SELECT touch.channel, count(*) FILTER (WHERE touch.is_first),
               count(*) FILTER (WHERE NOT touch.is_first)
          FROM {conversions} AS c
         CROSS JOIN LATERAL (VALUES (c.first_channel, true), (c.last_channel, false))
            AS touch(channel, is_first)
         WHERE NOT coalesce(c.is_spam, false)
         GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1
        """
    )
    days = rows(
        "SELECT floor(days_until)::bigint, count(*) FROM {conversions} "
        "WHERE NOT coalesce(is_spam, false) GROUP BY 1"
    )
    paths = rows(
        """
        SELECT path, max(touches), sum(conversions)::bigint, sum(paths_without)::bigint
          FROM {summary} GROUP BY 1 HAVING sum(conversions) > 0 ORDER BY 3 DESC, 2, 1 LIMIT %s
        """,
        PATHS,
    )
    return Answers(
        schema=schema,
        conversions=sum(count for _, count in days),
        channels=[Touched(*row) for row in channels],
        days=_steps(days),
        paths=[Path(*row) for row in paths],
    )


def _steps(days: Sequence[tuple[Any, ...]]) -> list[tuple[str, int]]:
    found, least = [], 0.0
    for name, most in STEPS:
        found.append((name, sum(count for day, count in days if least <= day < most)))
        least = most
    return found
