"""The report: its numbers against a count by hand, and a page that is safe and whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from postgresql import running_postgresql
from report_support import COLUMNS, HOSTILE, load

from report.__main__ import main
from report.figures import TOP, Figures, Line, ReportError, Split, Talk, collect
from report.page import page, without_gaps
from sandbox import make_sessions

TABLE = "demo.visitor_sessions"
EMPTY = Figures(TABLE, "UTC", datetime(2024, 5, 9, 10, 11))


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with running_postgresql() as uri:
        yield uri


def talks_of(row: dict[str, Any]) -> set[str]:
    return {talk["communication_type"] for talk in row["communications"] or []}


def is_talked(row: dict[str, Any]) -> bool:
    return bool(talks_of(row) & {"call", "chat", "offline_message"})


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in ("td", "th"):
            self.cells.append("")
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self._open):
            self.cells[-1] += data

    def check(self) -> Page:
        """Nothing that runs, and nothing that is fetched."""
        assert not {"script", "img", "iframe", "link", "object", "image", "use", "a"} & set(
            self.tags
        )
        for name, value in self.attributes:
            assert not name.startswith("on")
            assert name not in ("src", "href", "xlink:href", "action")
            assert name.startswith("xmlns") or "://" not in value
        return self


def test_the_numbers_are_those_of_a_count_by_hand(database: str) -> None:
    rows = make_sessions(3000, seed=3)
    rows[0]["communications"] = None
    rows[1]["channel"] = None
    rows[2]["channel"] = ""
    rows[3]["communications"] = [
        {"communication_type": "call", "communication_id": n} for n in range(3)
    ]
    load(database, TABLE, rows)
    zone = ZoneInfo("Asia/Vladivostok")
    found = collect(database, TABLE, "Asia/Vladivostok")

    walls = [
        datetime.fromisoformat(r["date_time"]).replace(tzinfo=timezone.utc).astimezone(zone)
        for r in rows
    ]
    assert (found.sessions, found.talked) == (3000, sum(map(is_talked, rows)))
    assert found.visitors == len({row["visitor_id"] for row in rows})
    assert found.customers is None
    assert found.first == min(walls).replace(tzinfo=None)
    assert found.last == max(walls).replace(tzinfo=None)
    days = Counter(wall.date() for wall in walls)
    talked_days = Counter(w.date() for w, row in zip(walls, rows, strict=True) if is_talked(row))
    assert found.unit == "day"
    assert list(found.periods) == [(day, days[day], talked_days[day]) for day in sorted(days)]

    splits = {split.column: split for split in found.splits}
    assert set(splits) == {"channel", "visitor_device", "visitor_country", "campaign_name"}
    for column in ("visitor_device", "visitor_country", "channel", "campaign_name"):
        kept = [row for row in rows if column != "campaign_name" or row["engine"]]
        counts = Counter(row[column] or None for row in kept)
        talked = Counter(row[column] or None for row in kept if is_talked(row))
        split = splits[column]
        assert {line.value: line.sessions for line in split.lines}.items() <= counts.items()
        for line in split.lines:
            assert line.talked == talked[line.value]
        shown = [line.sessions for line in split.lines]
        assert shown == sorted(counts.values(), reverse=True)[:TOP]
        others = split.others or Line(None, 0, 0)
        assert others.sessions == len(kept) - sum(shown)
        assert (others.talked or 0) + sum(line.talked or 0 for line in split.lines) == sum(
            talked.values()
        )

    counts = Counter(kind for row in rows for kind in talks_of(row))
    assert found.talks is not None
    assert {talk.type: talk.sessions for talk in found.talks} == counts
    assert sum(t.count for t in found.talks) == sum(len(r["communications"] or []) for r in rows)


@pytest.mark.parametrize("kind", ["timestamptz", "text"])
@pytest.mark.parametrize("talks", ["jsonb[]", "json", "text"])
def test_the_forms_in_which_targets_leave_columns_give_the_same(
    kind: str, talks: str, database: str
) -> None:
    rows = make_sessions(400, seed=4)
    load(database, TABLE, rows)
    plain = collect(database, TABLE, "Europe/Moscow")
    rows = [{**row, "date_time": row["date_time"].replace(" ", "T") + "Z"} for row in rows]
    load(database, "other.t", rows, {**COLUMNS, "date_time": kind, "communications": talks})
    other = collect(database, "other.t", "Europe/Moscow")
    assert replace(other, table=plain.table, made_at=plain.made_at) == plain


def test_a_partners_customers_are_counted(database: str) -> None:
    rows = [{**row, "customer_id": 7 + n % 3} for n, row in enumerate(make_sessions(300))]
    load(database, "agency.visitor_sessions", rows, {**COLUMNS, "customer_id": "bigint"})
    found = collect(database, "agency.visitor_sessions", "UTC")
    assert found.customers == 3
    [split] = [split for split in found.splits if split.column == "customer_id"]
    assert [(line.value, line.sessions) for line in split.lines] == [
        ("7", 100),
        ("8", 100),
        ("9", 100),
    ]
    assert "Customers" in Page(page(found)).check().texts


def test_ids_of_two_accounts_and_customers_that_meet_are_told_apart(database: str) -> None:
    whose = [("north", 7), ("north", 8), ("south", 7), (None, 7)]
    columns = {**COLUMNS, "account": "text", "customer_id": "bigint"}
    made = make_sessions(200, seed=9)
    made[0]["visitor_id"] = None
    rows = [
        {**row, "account": account, "customer_id": customer}
        for account, customer in whose
        for row in made
    ]
    load(database, "two.visitor_sessions", rows, columns)
    found = collect(database, "two.visitor_sessions", "UTC")
    visitors = len({row["visitor_id"] for row in made} - {None})
    counts = Counter(kind for row in made * 4 for kind in talks_of(row))
    assert (found.sessions, found.accounts, found.customers) == (800, 2, 4)
    assert found.visitors == 4 * visitors
    assert found.talks is not None
    assert {talk.type: talk.sessions for talk in found.talks} == counts
    splits = {split.column: split for split in found.splits}
    assert [(line.value, line.sessions) for line in splits["account"].lines] == [
        ("north", 400),
        ("south", 200),
        (None, 200),
    ]
    assert [line.value for line in splits["customer_id"].lines] == [
        "7",
        "north / 7",
        "north / 8",
        "south / 7",
    ]
    assert {"Accounts", "accounts"} <= set(Page(page(found)).check().texts)


def test_a_page_of_one_account(database: str) -> None:
    rows = [
        {**row, "account": account, "customer_id": 7}
        for account in ("north <b>", "south")
        for row in make_sessions(100, seed=len(account))
    ]
    columns = {**COLUMNS, "account": "text", "customer_id": "bigint"}
    load(database, "one.visitor_sessions", rows, columns)
    chosen = collect(database, "one.visitor_sessions", "UTC", "north <b>")
    load(database, "one.visitor_sessions", rows[:100], columns)
    alone = collect(database, "one.visitor_sessions", "UTC")
    assert chosen.sessions == 100
    assert (chosen.talks, chosen.periods, chosen.visitors) == (
        *(alone.talks, alone.periods, alone.visitors),
    )
    assert "account" not in {split.column for split in chosen.splits}
    shown = page(chosen)
    assert "Visitor sessions of north <b>" in Page(shown).check().texts
    assert "<b>" not in shown.split("</h1>")[0]
    with pytest.raises(ReportError, match="no session of account 'west'"):
        collect(database, "one.visitor_sessions", "UTC", "west")
    load(database, TABLE, make_sessions(3))
    assert collect(database, TABLE, "UTC", "west").account == "west"  # for the title alone


def test_columns_that_were_not_loaded_are_left_out_and_named(database: str) -> None:
    columns = {"id": "bigint", "date_time": "timestamp", "channel": "text"}
    load(database, "lean.visitor_sessions", make_sessions(50), columns)
    found = collect(database, "lean.visitor_sessions", "UTC")
    assert found.talks is None
    assert found.talked is None
    text = page(found)
    seen = Page(text).check()
    assert "Not in the table: campaign_name, communications," in text
    assert "With a call, chat or message" not in seen.cells
    assert "with a call, chat or message" not in seen.texts


def test_an_empty_table_gives_a_page_that_says_so(database: str, tmp_path: Path) -> None:
    load(database, "nothing.visitor_sessions", [])
    output = tmp_path / "new" / "report.html"
    arguments = ["--database", database, "--table", "nothing.visitor_sessions"]
    main([*arguments, f"--output={output}"])
    assert "No sessions" in Page(output.read_text(encoding="utf-8")).check().texts


def test_a_table_without_calls_or_campaigns_gives_a_page(database: str) -> None:
    rows = [{**row, "communications": [], "engine": None} for row in make_sessions(20)]
    load(database, "quiet.visitor_sessions", rows)
    seen = Page(page(collect(database, "quiet.visitor_sessions", "UTC"))).check()
    assert "No session has a communication." in seen.texts
    assert "No such sessions." in seen.texts


def test_texts_of_the_data_are_shown_and_never_run(database: str) -> None:
    rows = make_sessions(len(HOSTILE) * 5)
    for number, row in enumerate(rows):
        text = HOSTILE[number % len(HOSTILE)]
        row.update(campaign_name=text, engine="x", channel=text, visitor_country=text)
        row["visitor_device"] = text
        row["communications"] = [{"communication_type": text}]
    load(database, TABLE, rows)
    seen = Page(page(collect(database, TABLE, "UTC"))).check()
    assert seen.tags["ul"] == 5
    shown = {cell.replace("\n", " ").replace("\x0b", " ") for cell in seen.cells}
    assert {text.replace("\n", " ").replace("\x0b", " ") for text in HOSTILE} <= shown


def test_a_table_is_found_by_name_or_the_choice_is_told(database: str) -> None:
    for schema in ("one", "two"):
        load(database, f"{schema}.only_here_{schema}", make_sessions(2))
        load(database, f"{schema}.twice", make_sessions(2))
    assert collect(database, "only_here_one", "UTC").table == "one.only_here_one"
    with pytest.raises(ReportError, match=r"one\.twice, two\.twice"):
        collect(database, "twice", "UTC")


def test_what_cannot_work_is_told_in_a_line(database: str) -> None:
    load(database, "odd.no_times", [], {"id": "bigint"})
    for arguments, fix in [
        (["--database", database, "--table", "demo.nowhere"], "no table demo.nowhere"),
        (["--database", database, "--table", "odd.no_times"], "no column date_time"),
        (["--database", database, "--table", TABLE, "--timezone", "Mars/X"], "no zone"),
        (["--database", "mysql://host/name"], "postgresql://"),
        (["--database", "postgresql://u:secret-word@127.0.0.1:1/x"], "no server answers"),
    ]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert fix in str(ended.value)
        assert "secret-word" not in str(ended.value)


PARTS = ("userpart", "secretpart", "hostpart", "basepart", "optpart")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://userpart:secretpart@127.0.0.1:1/basepart",
        "postgresql://userpart:secretpart@hostpart.invalid/basepart",
        "postgresql://userpart:secretpart@127.0.0.1:secretpart/basepart",
        "postgresql://userpart:secret%zzsecretpart@127.0.0.1/basepart",
        "postgresql://userpart:secretpart@127.0.0.1:1/basepart?optpart=1",
        "postgresql://userpart:secretpart@[hostpart/basepart",
        "postgresql://userpart:secretpart\0@127.0.0.1:1/basepart",
        "postgresql://127.0.0.1:1/basepart?sslmode=optpart",
        "postgresql://userpart:secretpart@/basepart?host=/nowhere/hostpart",
        "mysql://userpart:secretpart@hostpart/basepart",
    ],
)
@pytest.mark.parametrize("before", [["--database"], ["--database", "x", "--databse"]])
def test_no_part_of_a_url_is_shown(
    before: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*before, url])
    said = str(ended.value) + capsys.readouterr().err
    assert "--database" in said
    assert [part for part in PARTS if part in said] == []


def test_a_user_or_database_that_is_not_there_is_told_without_its_name(database: str) -> None:
    server, _, rest = database.removeprefix("postgresql://").rpartition("@")
    host, _, query = rest.partition("?")
    base = host.rpartition("/")[0]
    for url, said in [
        (f"postgresql://{server}@{base}/basepart?{query}", "no such database"),
        (f"postgresql://userpart:@{base}/postgres?{query}", "no such user"),
    ]:
        with pytest.raises(ReportError, match=said) as caught:
            collect(url, None, "UTC")
        assert [part for part in PARTS if part in str(caught.value)] == []


def test_a_value_of_the_table_is_in_no_error(database: str) -> None:
    load(database, "odd.times", [], {"id": "bigint", "date_time": "text"})
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO odd.times (id, date_time) VALUES (1, 'no-time-of-anna')")
    with pytest.raises(ReportError, match="cannot be read: InvalidDatetimeFormat") as caught:
        collect(database, "odd.times", "UTC")
    assert "anna" not in str(caught.value)


def test_the_table_is_only_read_and_a_sqlalchemy_url_will_do(database: str) -> None:
    load(database, TABLE, make_sessions(5))
    url = database.replace("postgresql://", "postgresql+psycopg://")
    assert collect(url, TABLE, "UTC").sessions == 5


def test_days_without_sessions_are_drawn_as_none() -> None:
    first = date(2024, 1, 31)
    rows = [(first, 5, 1), (first + timedelta(days=3), 2, 0)]
    assert [count for _, count, _ in without_gaps(rows, "day")] == [5, 0, 0, 2]
    months = [(date(2023, 12, 1), 5, None), (date(2024, 3, 1), 2, None)]
    assert without_gaps(months, "month") == [
        (date(2023, 12, 1), 5, None),
        (date(2024, 1, 1), 0, None),
        (date(2024, 2, 1), 0, None),
        (date(2024, 3, 1), 2, None),
    ]


def test_a_long_span_is_shown_by_months(database: str) -> None:
    start = datetime(2015, 1, 15)
    rows = make_sessions(500, start=start, end=datetime(2024, 1, 15))
    load(database, "long.visitor_sessions", rows)
    found = collect(database, "long.visitor_sessions", "UTC")
    assert found.unit == "month"
    assert sum(count for _, count, _ in found.periods) == 500
    assert "Rate and sessions per month" in Page(page(found)).check().texts


def test_a_span_of_months_is_shown_by_weeks_from_monday_on(database: str) -> None:
    rows = make_sessions(300, start=datetime(2024, 1, 10), end=datetime(2024, 6, 10))
    load(database, "half.visitor_sessions", rows)
    found = collect(database, "half.visitor_sessions", "UTC")
    assert found.unit == "week"
    assert {at.weekday() for at, _, _ in found.periods} == {0}
    assert without_gaps([(date(2024, 1, 1), 1, 0), (date(2024, 1, 15), 1, 0)], "week") == [
        (date(2024, 1, 1), 1, 0),
        (date(2024, 1, 8), 0, 0),
        (date(2024, 1, 15), 1, 0),
    ]


def test_the_last_full_week_stands_against_the_one_before(database: str) -> None:
    """By hand: the 21st is the last day and may go on, so the weeks are 14..20 and 7..13 May."""
    call = [{"communication_type": "offline_message"}]
    template = make_sessions(1)[0]
    days = [*[5] * 9, *[8] * 40, *[15] * 50, *[21] * 7]
    rows = [
        {
            **template,
            "id": number,
            "date_time": f"2024-05-{day:02} 12:00:00",
            "communications": call if number % 5 == 0 else [],
        }
        for number, day in enumerate(days)
    ]
    load(database, "weeks.visitor_sessions", rows)
    found = collect(database, "weeks.visitor_sessions", "UTC")
    assert found.weeks is not None
    now, before = found.weeks
    assert (now.first, now.sessions, now.talked) == (date(2024, 5, 14), 50, 10)
    assert (before.first, before.sessions, before.talked) == (date(2024, 5, 7), 40, 8)
    texts = Page(page(found)).check().texts
    assert "+25.0% against the week before; rate 20.0% (+0.0 points)" in texts
    assert "sessions, last week (14 May to 20 May 2024)" in texts
    assert "7 a day in 16 days" in texts
    load(database, "short.visitor_sessions", [row for row in rows if row["id"] > 8])
    assert collect(database, "short.visitor_sessions", "UTC").weeks is None


def test_the_title_has_account_and_span(database: str) -> None:
    rows = [{**row, "site_domain_name": "shop.example"} for row in make_sessions(40)]
    columns = {**COLUMNS, "site_domain_name": "text", "account": "text"}
    load(database, "titled.visitor_sessions", rows, columns)
    for account, rows_of, said in [
        (None, rows, "Visitor sessions of shop.example"),
        (None, [{**row, "account": "north <b>"} for row in rows], "of north <b>"),
        ("Acme", rows, "Visitor sessions of Acme"),
    ]:
        load(database, "titled.visitor_sessions", rows_of, columns)
        found = collect(database, "titled.visitor_sessions", "UTC", account)
        text = page(found)
        assert said in "".join(Page(text).check().texts)
        assert re.search(r"</bdi><span class=\"days\"> · \d+ May to \d+ May 2024</span></h1>", text)
    many = [{**row, "site_domain_name": f"shop{row['id'] % 9}.example"} for row in rows]
    load(database, "titled.visitor_sessions", many, columns)
    found = collect(database, "titled.visitor_sessions", "UTC")
    assert found.account == ""
    assert "Visitor sessions of titled.visitor_sessions" in Page(page(found)).check().texts


def test_values_have_names_for_people(database: str) -> None:
    rows = [
        {**row, "channel": "cashed", "communications": [{"communication_type": "offline_message"}]}
        for row in make_sessions(20)
    ]
    load(database, "names.visitor_sessions", rows)
    texts = Page(page(collect(database, "names.visitor_sessions", "UTC"))).check().texts
    assert {"cached", "offline message"} <= set(texts)
    assert not {"cashed", "offline_message"} & set(texts)


def test_bars_show_the_rate_with_sessions_beside_it(database: str) -> None:
    rows = make_sessions(3000, seed=3)
    load(database, "rates.visitor_sessions", rows)
    text = page(collect(database, "rates.visitor_sessions", "UTC"))
    for device in ("desktop", "mobile"):
        mine = [row for row in rows if row["visitor_device"] == device]
        rate = f"{sum(map(is_talked, mine)) / len(mine):.1%}"
        sessions = f"{len(mine):,} sessions".replace(",", "\u202f")
        beside = f'<b>{rate}</b><span class="beside">{sessions}</span>'
        assert re.search(f"<bdi>{device}</bdi></span>.{{0,120}}{beside}", text)


def test_the_page_states_its_zone_and_is_the_same_each_time() -> None:
    figures = replace(
        EMPTY,
        timezone="Europe/Moscow",
        sessions=3,
        talked=1,
        first=datetime(2024, 5, 1, 0, 0),
        last=datetime(2024, 5, 2, 23, 0),
        periods=[(date(2024, 5, 1), 2, 1), (date(2024, 5, 2), 1, 0)],
        splits=[Split("Channels", "channel", [Line("a", 2, 1), Line(None, 1, 0)])],
        talks=[Talk("call", 2, 1)],
    )
    text = page(figures)
    assert "Days and times are those of Europe/Moscow." in text
    labels = re.findall(r">(\d+ [A-Z][a-z]{2})<", text)
    assert labels == ["1 May", "2 May"] * 2  # of the rate and of the sessions
    assert text == page(figures)
    cells = Page(text).check().cells
    assert cells[:5] == ["Day", "Sessions", "With a call, chat or message", "Rate", "2024-05-01"]
    assert "not known" in cells
    # Parts of charts that refer to each other by id would meet those of other charts.
    assert "url(" not in text
