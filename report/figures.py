"""The numbers of the report, aggregated in PostgreSQL.

Reads the table as a Singer target leaves it: `date_time` as a time or a text, in UTC where it
has no zone; `communications` as jsonb, jsonb[] (target-postgres), json or text. Columns that
were not loaded leave their part of the report out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from report.answers import Answers, AnswersError, collect_answers

TOP = 12
"""Values shown of a column; the rest is summed up."""
MOST_PERIODS = 62
"""Periods drawn: a span of more days is shown by weeks, of more weeks by months."""
TALKS = ("call", "chat", "offline_message")
"""Types of communications in which a visitor turns to somebody; a goal is none."""
MOST_NAMES = 3
"""Accounts or sites named in the title."""

NO_PARTS: Mapping[str, Composable] = {}
Rows = list[tuple[Any, ...]]


class ReportError(Exception):
    """What keeps the report from being made, and the fix."""


@dataclass(frozen=True)
class Line:
    """One line of a table: sessions of a value, and those of them with a call, chat or message
    (None where the communications were not loaded). `value` None: not known."""

    value: str | None
    sessions: int
    talked: int | None = None


@dataclass(frozen=True)
class Split:
    """Sessions by the values of a column.

    Attributes:
        title: What it shows.
        column: The table's column.
        lines: The most frequent values first, TOP at most.
        others: Values left out, and their sessions.
    """

    title: str
    column: str
    lines: Sequence[Line]
    others: Line | None = None
    note: str = ""


@dataclass(frozen=True)
class Talk:
    """Communications of a type, and the sessions that have one."""

    type: str | None
    count: int
    sessions: int


@dataclass(frozen=True)
class Week:
    """Seven full days: sessions, and those of them with a call, chat or message."""

    first: date
    sessions: int
    talked: int | None


@dataclass(frozen=True)
class Figures:
    """All that a report shows.

    Attributes:
        accounts: How many the table tells apart; None: it does not, or one was chosen.
        account: Whose sessions they are: accounts, or sites; empty where these are many or none.
        weeks: The last seven full days, and the seven before; None where the span is shorter.
        first, last: Times of the first and last session in `timezone`; None: no sessions.
        unit: `day`, `week` or `month`: what `periods` counts; those without sessions are left out.
        talks: None where the communications were not loaded.
        missing: Columns that the table lacks.
        answers: What the marts of transform/ say; None: there are none.
    """

    table: str
    timezone: str
    made_at: datetime
    sessions: int = 0
    visitors: int | None = None
    accounts: int | None = None
    customers: int | None = None
    talked: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    unit: str = "day"
    periods: Sequence[tuple[date, int, int | None]] = ()
    splits: Sequence[Split] = ()
    talks: Sequence[Talk] | None = None
    missing: Sequence[str] = field(default_factory=list)
    account: str = ""
    weeks: tuple[Week, Week] | None = None
    answers: Answers | None = None


def collect(
    database: str,
    table: str | None,
    timezone: str,
    account: str | None = None,
    marts: str | None = None,
) -> Figures:
    """Read the figures, in one read-only snapshot.

    Args:
        account: Where the table tells accounts apart, only the sessions of this one; its name in
            the title. None: all, and the accounts or sites that the table names.
        database: `postgresql://...`; a SQLAlchemy driver (`postgresql+psycopg://`) is ignored.
        table: `schema.table`, `table`, or None for the only table named `visitor_sessions`.
        timezone: IANA name: whose days are shown.
        marts: Schema of the marts of transform/, or None for the only one that has them.

    Raises:
        ReportError: no such database, table, zone or account.
    """
    scheme, colon, rest = database.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ReportError("--database: a URL such as postgresql://user@host/name is wanted")
    try:
        connection = psycopg.connect(f"postgresql{colon}{rest}")
    except (psycopg.Error, ValueError) as problem:
        raise ReportError(f"--database: {_reason(problem)}") from None
    try:
        with connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET TIME ZONE 'UTC'")
            figures = _Reader(connection, table, timezone, account).figures(account)
            return replace(figures, answers=collect_answers(connection, marts))
    except AnswersError as problem:
        raise ReportError(str(problem)) from None
    except psycopg.Error as problem:  # its text can hold a value of the table
        raise ReportError(f"the table cannot be read: {_kind(problem)}") from None


def _reason(problem: Exception) -> str:
    """Why there is no connection. Not psycopg's own text, which repeats parts of the URL."""
    text = str(problem).lower()
    known = (reason for words, reason in _REASONS.items() if words in text)
    return next(known, f"no connection ({_kind(problem)}): try the same URL with psql")


def _kind(problem: Exception) -> str:
    sqlstate = getattr(problem, "sqlstate", None)
    state = f", SQLSTATE {sqlstate}" if sqlstate else ""
    return f"{type(problem).__name__}{state}"


class _Reader:
    """The queries."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        table: str | None,
        timezone: str,
        account: str | None,
    ) -> None:
        self._connection = connection
        known = "SELECT 1 FROM pg_timezone_names WHERE name = %s"
        if connection.execute(known, [timezone]).fetchone() is None:
            raise ReportError(f"--timezone: PostgreSQL knows no zone {timezone!r}")
        self._timezone = timezone
        self._schema, self._name = self._found(table)
        self._columns = self._found_columns()
        self._is_of_one = account is not None and self._has_accounts()
        self._table = self._chosen(account)
        if "date_time" not in self._columns:
            raise ReportError(f"--table: {self._schema}.{self._name} has no column date_time")
        # A time without a zone is read in the connection's, which is UTC.
        self._wall = SQL("(date_time::timestamptz AT TIME ZONE {})").format(Literal(timezone))
        self._talked: Composable = SQL("NULL::bigint")
        if "communications" in self._columns:
            is_array = self._columns["communications"] == "ARRAY"
            self._json = SQL("to_jsonb(communications)" if is_array else "communications::jsonb")
            kinds = [
                SQL("{} @> {}").format(self._json, Literal(f'[{{"communication_type": "{kind}"}}]'))
                for kind in TALKS
            ]
            self._talked = SQL("count(*) FILTER (WHERE {})").format(SQL(" OR ").join(kinds))

    def _has_accounts(self) -> bool:
        query = "SELECT 1 FROM {} WHERE nullif(account, '') IS NOT NULL LIMIT 1"
        table = Identifier(self._schema, self._name)
        return "account" in self._columns and bool(self._rows(SQL(query).format(table)))

    def _chosen(self, account: str | None) -> Composable:
        """The table; where it tells accounts apart, the rows of the one that is wanted."""
        table = Identifier(self._schema, self._name)
        if not self._is_of_one:
            return table
        chosen = SQL("(SELECT * FROM {} WHERE account = {}) AS chosen").format(
            table, Literal(account)
        )
        if not self._rows(SQL("SELECT 1 FROM {} LIMIT 1").format(chosen)):
            raise ReportError(f"--account: the table has no session of account {account!r}")
        return chosen

    @property
    def _owners(self) -> list[Composable]:
        """What tells the accounts apart whose ids may meet."""
        return [Identifier(name) for name in OWNERS if name in self._columns]

    def _found(self, table: str | None) -> tuple[str, str]:
        schema, _, name = (table or "visitor_sessions").rpartition(".")
        query = (
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_name = %s AND (%s = '' OR table_schema = %s) ORDER BY 1"
        )
        found = self._rows(SQL(query), [name, schema, schema])
        if len(found) == 1:
            return str(found[0][0]), str(found[0][1])
        if not found:
            raise ReportError(f"--table: the database has no table {table or name}")
        names = ", ".join(f"{place[0]}.{place[1]}" for place in found)
        raise ReportError(f"--table: name one of {names}")

    def _found_columns(self) -> dict[str, str]:
        """Names and types."""
        query = (
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s"
        )
        return {
            str(row[0]): str(row[1]) for row in self._rows(SQL(query), [self._schema, self._name])
        }

    def _rows(self, query: SQL | Composed, values: Sequence[Any] | None = None) -> Rows:
        return self._connection.execute(query, values).fetchall()

    def _select(
        self, what: str, rest: str = "", parts: Mapping[str, Composable] = NO_PARTS
    ) -> Rows:
        """`SELECT what FROM the table rest`, the parts filled in."""
        query = SQL("SELECT " + what + " FROM {table} " + rest)
        return self._rows(
            query.format(table=self._table, wall=self._wall, talked=self._talked, **parts)
        )

    def figures(self, account: str | None) -> Figures:
        """All of them."""
        counted = ("visitor_id", "customer_id", "account")
        optional = {name: self._count_distinct(name) for name in counted}
        [totals] = self._select(
            "count(*), {talked}, min({wall}), max({wall}), {visitor_id}, {customer_id}, {account}",
            parts=optional,
        )
        sessions, talked, first, last, visitors, customers, accounts = totals
        days = (last - first).days if sessions else 0
        unit = "day" if days < MOST_PERIODS else "week" if days < 7 * MOST_PERIODS else "month"
        [made_at] = self._rows(SQL("SELECT now() AT TIME ZONE {}").format(self._timezone))[0]
        splits = [
            self._split(title, column, *more)
            for title, column, *more in SPLITS
            if column in self._columns
            and sessions
            and not (column == "account" and self._is_of_one)
        ]
        wanted = {column for _, column, *_ in SPLITS} - set(OWNERS) | {"communications"}
        return Figures(
            table=f"{self._schema}.{self._name}",
            timezone=self._timezone,
            made_at=made_at,
            accounts=None if self._is_of_one else accounts,
            sessions=sessions,
            visitors=visitors,
            customers=customers,
            talked=talked,
            first=first,
            last=last,
            unit=unit,
            periods=self._periods(unit),
            splits=splits,
            talks=self._talks() if "communications" in self._columns else None,
            missing=sorted(wanted - self._columns.keys()),
            account=account or self._account(),
            weeks=self._weeks(first, last) if sessions else None,
        )

    def _account(self) -> str:
        """Accounts or sites, where they are few."""
        for column in ("account", "site_domain_name"):
            if column in self._columns:
                value = SQL("nullif({}::text, '')").format(Identifier(column))
                rest = "WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4"
                names = [str(row[0]) for row in self._select("{value}", rest, {"value": value})]
                if 0 < len(names) <= MOST_NAMES:
                    return ", ".join(names)
        return ""

    def _weeks(self, first: datetime, last: datetime) -> tuple[Week, Week] | None:
        """The last day is left out: it may go on."""
        starts = [last.date() - timedelta(days=days) for days in (7, 14)]
        if starts[1] <= first.date():  # the first day may have begun before
            return None
        found = []
        for start in starts:
            rest = "WHERE {wall} >= {start} AND {wall} < {end}"
            end = Literal(start + timedelta(days=7))
            parts: dict[str, Composable] = {"start": Literal(start), "end": end}
            [[sessions, talked]] = self._select("count(*), {talked}", rest, parts)
            found.append(Week(start, sessions, talked))
        return found[0], found[1]

    def _count_distinct(self, column: str) -> Composable:
        if column not in self._columns:
            return SQL("NULL::bigint")
        whose = [owner for owner in self._owners if owner != Identifier(column)]
        if column == "account":
            whose = []
        return SQL("count(DISTINCT ({})) FILTER (WHERE {} IS NOT NULL)").format(
            SQL(", ").join([*whose, Identifier(column)]), Identifier(column)
        )

    def _periods(self, unit: str) -> list[tuple[date, int, int | None]]:
        rows = self._select(
            "date_trunc({unit}, {wall})::date, count(*), {talked}",
            "GROUP BY 1 ORDER BY 1",
            {"unit": Literal(unit)},
        )
        return [(day, sessions, talked) for day, sessions, talked in rows]

    def _split(self, title: str, column: str, needs: str = "", note: str = "") -> Split:
        # An empty text says no more than none.
        value: Composable = SQL("nullif({}::text, '')").format(Identifier(column))
        if column == "customer_id" and "account" in self._columns and not self._is_of_one:
            value = SQL("concat_ws(' / ', nullif(account, ''), {})").format(value)
        where = ""
        if needs in self._columns:
            where = "WHERE nullif({needs}::text, '') IS NOT NULL AND {value} IS NOT NULL"
        rest = where + " GROUP BY 1 ORDER BY 2 DESC, 1"
        parts: dict[str, Composable] = {"value": value, "needs": Identifier(needs or column)}
        lines = [
            Line(*row)
            for row in self._select("{value}, count(*), {talked}", f"{rest} LIMIT {TOP}", parts)
        ]
        others = None
        if len(lines) == TOP:
            counted = "count(DISTINCT {value}), count(*), {talked}"
            [[values, sessions, talked]] = self._select(counted, where, parts)
            left = values - sum(line.value is not None for line in lines)
            others = Line(
                f"{left} more",
                sessions - sum(line.sessions for line in lines),
                None if talked is None else talked - sum(line.talked or 0 for line in lines),
            )
        rest_is_empty = others is None or others.sessions == 0
        return Split(title, column, lines, None if rest_is_empty else others, note)

    def _talks(self) -> list[Talk]:
        rows = self._select(
            "talk ->> 'communication_type', count(*), count(DISTINCT ({key}))",
            """
            CROSS JOIN LATERAL jsonb_array_elements(
                CASE jsonb_typeof({json}) WHEN 'array' THEN {json} ELSE '[]' END
            ) AS talk GROUP BY 1 ORDER BY 3 DESC, 1
            """,
            {
                "json": self._json,
                "key": SQL(", ").join([*self._owners, Identifier("id")]),
            },
        )
        return [Talk(*row) for row in rows]


_REASONS: Mapping[str, str] = {
    "connection refused": "no server answers at that host and port",
    "no such file": "no server answers at that socket",
    "translate host name": "the host's name is not known",
    "resolve host": "the host's name is not known",
    "timeout": "the host does not answer",
    "password": "user or password is wrong, or the password lacks",
    "pg_hba.conf": "the server does not let that user in from here (pg_hba.conf)",
    "role": "there is no such user",
    "database": "there is no such database, or the user may not connect to it",
    "ssl": "TLS: see sslmode",
    "certificate": "TLS: see sslrootcert",
}
"""What libpq says of a connection -> what we say."""
OWNERS = ("account", "customer_id")
"""Columns without which an id says nothing, where they are there."""
SPLITS: Sequence[tuple[str, ...]] = (
    # title, column, only sessions that have this column too, a note
    ("Channels", "channel"),
    ("Campaigns", "campaign_name", "engine", "Only sessions from an advertising engine."),
    ("Devices", "visitor_device"),
    ("Countries", "visitor_country"),
    ("Accounts", "account"),
    ("Customers", "customer_id"),
)
