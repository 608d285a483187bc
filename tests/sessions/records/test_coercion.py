"""What is said of each value that does not fit, word by word, and what is remembered of it."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tap_visitor_sessions.api.errors import Unreadable
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records import coercion
from tap_visitor_sessions.sessions.records.coercion import (
    MOST_UNDECLARED,
    Coercer,
    Warnings,
    decoded,
)
from tap_visitor_sessions.sessions.records.decoder import EMPTY, Decoder
from tap_visitor_sessions.sessions.records.kinds import kind_of
from tap_visitor_sessions.sessions.zones import Zone

TIME = {"type": ["string", "null"], "format": "date-time"}
NUMBER, TEXT = {"type": ["integer", "null"]}, {"type": ["string", "null"]}
ITEM = {"type": "object", "properties": {"url": TEXT, "at": TIME}}
SCHEMA: dict[str, Any] = {
    "properties": {
        "id": {"type": "integer"},
        "date_time": {"type": "string", "format": "date-time"},
        "number": NUMBER,
        "text": TEXT,
        "at": TIME,
        "numbers": {"type": ["array", "null"], "items": NUMBER},
        "items": {"type": ["array", "null"], "items": ITEM},
        "thing": {
            "type": ["object", "null"],
            "properties": {
                "number": NUMBER,
                "numbers": {"type": ["array", "null"], "items": NUMBER},
            },
        },
    }
}
PROPERTIES = SCHEMA["properties"]
AT = datetime(2024, 5, 1, tzinfo=timezone.utc)
SAID = " (reported once for this column)"


class Said:
    """A coercer, and what it says."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.warnings = Warnings()
        self.coercer = Coercer(PROPERTIES, ("id", "date_time"), self.warnings)
        self._log = caplog

    @property
    def messages(self) -> list[str]:
        """Each was said once for its column."""
        found = self._log.messages
        assert all(message.endswith(SAID) for message in found)
        return [message.removesuffix(SAID) for message in found]

    def told(self) -> list[str]:
        """All that was said, as it was."""
        return self._log.messages

    @property
    def wide(self) -> set[str]:
        return set(self.coercer.met.wide)

    def value(self, column: str, value: Any) -> Any:
        return self.coercer.value(column, value, PROPERTIES[column])

    def row(self, **columns: Any) -> dict[str, Any]:
        row = {"id": 1, "date_time": "2024-05-01 00:00:00", **columns}
        [found] = self.coercer.rows([row])
        return found


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    return Said(caplog)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["null", "integer"]}, "integer"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": ["string", "null"], "format": "uri"}, "string"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": ["array", "null"], "format": "date-time"}, "array"),
        ({}, "string"),
    ],
)
def test_a_schema_is_of_one_kind(schema: dict[str, Any], kind: str) -> None:
    assert kind_of(schema) == kind


@pytest.mark.parametrize(
    ("column", "value", "want", "wide"),
    [
        ("number", 5, 5, False),
        ("number", "5", 5, False),
        ("number", 5.0, 5, False),
        ("number", "null", None, False),
        ("number", None, None, False),
        ("number", True, 1, True),
        ("number", " 7 ", 7, True),
        ("number", "5e2", 500, False),
        ("text", "x", "x", False),
        ("text", "null", "null", False),
        ("text", 5, "5", True),
        ("text", 1.5, "1.5", True),
        ("text", {"é": [1]}, '{"é": [1]}', True),
        ("at", None, None, False),
        ("at", "2024-05-01T00:00:00Z", AT, False),
        ("at", 1714521600, AT, False),
        ("at", "1714521600", AT, False),
        ("at", 1714521600000, AT, True),
        ("at", " 1714521600000 ", AT, True),
        ("at", " 2024-05-01T00:00:00+00:00 ", AT, True),
        ("thing", "NULL", None, False),
        ("at", 253_402_300_799, datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc), False),
        ("numbers", [1, None, "2"], [1, 2], True),
        ("numbers", [1, 2], [1, 2], False),
        ("thing", {"number": "5"}, {"number": 5}, False),
    ],
)
def test_what_can_be_read_is_read_without_a_word(
    column: str, value: Any, want: Any, wide: bool, said: Said
) -> None:
    assert said.value(column, value) == want
    if want is not None or value in (None, "null"):
        assert said.messages == []
    paths = {column, f"{column}[]"}
    assert bool(said.wide & paths) is wide
    assert said.wide <= paths


@pytest.mark.parametrize(
    ("column", "value", "want", "why"),
    [
        ("number", 1.5, 2, "number: a whole number is declared, a fraction came; rounded"),
        ("number", "2.5", 2, "number: a whole number is declared, a fraction came; rounded"),
        ("number", "x", None, "number: a number is declared, another text came; emitted as null"),
        ("number", [], None, "number: a number is declared, a list came; emitted as null"),
        ("number", "inf", None, "number: a number is declared, a float came; emitted as null"),
        (
            "at",
            "soon",
            None,
            "at: a date and time is declared, something else came; emitted as null",
        ),
        ("at", True, None, "at: a date and time is declared, something else came; emitted as null"),
        (
            "at",
            10**30,
            None,
            "at: a date and time is declared, another number came; emitted as null",
        ),
        (
            "at",
            "9" * 30,
            None,
            "at: a date and time is declared, another number came; emitted as null",
        ),
        ("thing", 5, None, "thing: an object is declared, a int came; emitted as null"),
        ("thing", [1], None, "thing: an object is declared, a list came; emitted as null"),
        ("items", [5, {}], [{}], "items[]: an object is declared, a int came; left out"),
        ("items", "x", [], "items[]: an object is declared, a str came; left out"),
        (
            "numbers",
            [1, "x"],
            [1],
            "numbers[]: a number is declared, another text came; left out",
        ),
        ("text", "a\x00b", "a\ufffdb", "text: NUL or half a character came; replaced by \ufffd"),
        ("text", "a\ud83db", "a\ufffdb", "text: NUL or half a character came; replaced by \ufffd"),
    ],
)
def test_what_is_given_up_is_warned_about(
    column: str, value: Any, want: Any, why: str, said: Said
) -> None:
    assert said.value(column, value) == want
    assert said.messages == [why]
    assert said.value(column, value) == want
    assert len(said.messages) == 1
    path = why.partition(":")[0]
    lost = 0 if "rounded" in why or "replaced" in why else 2
    assert said.warnings.losses == ({path: lost} if lost else {})


def test_what_is_lost_the_most_is_listed_first(said: Said) -> None:
    for column, count in (("number", 1), ("at", 3), ("thing", 2)):
        for _ in range(count):
            said.value(column, [1])
    assert list(said.warnings.losses.items()) == [("at", 3), ("thing", 2), ("number", 1)]


def test_an_empty_list_is_an_empty_object_of_php(said: Said) -> None:
    assert said.value("thing", []) is None
    assert said.messages == []
    assert said.wide == {"thing"}


def test_an_object_where_a_list_of_them_is_declared_is_its_item(said: Said) -> None:
    assert said.value("items", {"url": "u"}) == [{"url": "u"}]
    assert said.wide == set()  # the typed decoder is not asked to take it
    assert said.value("items", "u") == []
    assert said.wide == {"items", "items[]"}
    assert said.value("numbers", 5) == [5]
    assert "numbers" in said.wide


def test_many_values_of_one_place_are_coerced_as_each_is(said: Said) -> None:
    number = said.coercer.scalar("number", NUMBER)
    assert [number(value) for value in ("5", "x", None, 1.0)] == [5, None, None, 1]
    assert said.coercer.scalar("text", TEXT)(5) == "5"
    assert said.coercer.scalar("at", TIME)("1714521600") == AT
    assert said.messages == ["number: a number is declared, another text came; emitted as null"]


# Rows


def test_members_that_are_not_declared_are_left_out_and_remembered(said: Said) -> None:
    found = said.row(new=1, items=[{"url": "u", "mood": 2}], thing={"x": 1, "number": 2})
    assert set(found) == {"id", "date_time", "items", "thing"}
    assert found["items"] == [{"url": "u"}]
    assert found["thing"] == {"number": 2}
    left = "the API sends it, it is not declared; left out. Others are listed at the end"
    assert said.told() == [f"new: {left}"]
    said.warnings.report_undeclared()
    all_ = "The API sends 3 members that are not declared; left out: new, items.mood, thing.x"
    assert said.told() == [f"new: {left}", all_]
    assert said.coercer.met.undeclared == {"": {"new"}, "items.": {"mood"}, "thing.": {"x"}}


def test_however_many_names_come_two_lines_tell_them(said: Said) -> None:
    for number in range(0, 3000, 100):
        said.row(**{f"a{number + more}": 1 for more in range(100)})
    said.row(**{"b" * 10_000: 1})
    said.warnings.report_undeclared()
    first, last = said.told()
    assert first.startswith("a0: the API sends it")
    ten = ", ".join(f"a{number}" for number in range(10))
    assert last == (f"The API sends 1000 or more members that are not declared; left out: {ten}, …")
    for number in range(2000):
        said.warnings.once(f"c{number}", "odd")
    assert len(said.told()) == 2 + 1000


def test_a_name_is_made_ready_to_be_shown_once_and_no_more_than_are_remembered(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is slow work, and a member may come with every page of every session."""
    made: list[str] = []
    honest = coercion.shown

    def shown(text: object) -> str:
        made.append(str(text))
        return honest(text)

    monkeypatch.setattr(coercion, "shown", shown)
    for _ in range(50):
        said.warnings.undeclared("hits." + "title" * 1000)
    assert len(made) == 1
    assert len(made[0]) == coercion.LONGEST_LOOKED_AT
    for number in range(3000):
        said.warnings.undeclared(f"a{number}")
    assert len(made) == coercion.MOST_REMEMBERED


def test_a_single_one_is_warned_about_once(said: Said) -> None:
    said.row(new=1)
    said.row(new=1)
    said.warnings.report_undeclared()
    assert len(said.told()) == 1


def test_columns_that_lack_are_warned_about_once_for_the_same_ones(said: Said) -> None:
    for names in (["a", "b"], ["b", "a"], ["a"], []):
        said.warnings.missing(names)
    left = "The API leaves out columns that it was asked for: {}; emitted as null"
    assert said.told() == [left.format("a, b"), left.format("a")]


def test_so_many_names_are_remembered_and_no_more(said: Said) -> None:
    said.row(**{f"a{number}": 1 for number in range(MOST_UNDECLARED + 5)})
    said.row(thing={"b": 1})
    met = said.coercer.met.undeclared
    assert sum(map(len, met.values())) == MOST_UNDECLARED
    assert "a0" in met[""]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_name_that_no_field_can_have_is_left_out_each_time(name: str, said: Said) -> None:
    assert name not in said.row(**{name: 1})
    assert said.coercer.met.undeclared.get("", set()) == set()


@pytest.mark.parametrize(
    ("came", "want"),
    [
        ({"hist": 1, "hits": None}, 1),
        ({"hist": 1}, 1),
        ({"hist": 1, "hits": 2}, 2),
        ({"hist": 0, "hits": 0}, 0),
    ],
)
def test_the_page_s_own_odd_spellings_are_known(
    came: dict[str, Any], want: int, caplog: pytest.LogCaptureFixture
) -> None:
    properties = {**PROPERTIES, "hits": NUMBER}
    coercer = Coercer(properties, ("id", "date_time"), Warnings())
    [row] = coercer.rows([{"id": 1, "date_time": "2024-05-01 00:00:00", **came}])
    assert row["hits"] == want
    assert "hist" not in row
    assert caplog.messages == []
    assert coercer.met.undeclared == {"": {"hist"}}


def test_a_row_is_an_object_in_a_list(said: Said) -> None:
    with pytest.raises(Unreadable, match=r"^The API's answer holds no list of sessions$"):
        said.coercer.rows({})
    with pytest.raises(
        Unreadable, match=r"^The API's answer holds a session that is not an object$"
    ):
        said.coercer.rows([5])
    assert said.coercer.rows([]) == []


@pytest.mark.parametrize(
    ("own", "name", "why"),
    [
        ({"id": None}, "id", None),
        ({"id": 1.5}, "id", "id: a number is declared, a float came; emitted as null"),
        ({"id": True}, "id", "id: a number is declared, a bool came; emitted as null"),
        ({"id": "1.5"}, "id", "id: a whole number is declared, another text came; emitted as null"),
        ({"id": "x"}, "id", "id: a number is declared, another text came; emitted as null"),
        (
            {"date_time": "soon"},
            "date_time",
            "date_time: a date and time is declared, something else came; emitted as null",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_an_error(
    own: dict[str, Any], name: str, why: str | None, said: Said
) -> None:
    with pytest.raises(Unreadable) as caught:
        said.row(**own)
    assert str(caught.value) == (
        f"The API sent a session without a usable {name}: nothing can be read past it. "
        "Run again; if it stays, report it to the vendor"
    )
    assert said.messages == ([why] if why else [])


def test_a_key_may_come_as_a_text(said: Said) -> None:
    assert said.row(id="12")["id"] == 12
    assert said.row(id=" 12 ")["id"] == 12
    assert said.row(id="+12")["id"] == 12


# JSON


def test_json_is_read_whatever_its_numbers() -> None:
    assert decoded(b'[{"a": 1}]') == [{"a": 1}]
    assert decoded(memoryview(b"[1]")) == [1]
    assert decoded(b"[1e400]") == [float("inf")]
    assert decoded(b"[NaN]") == ["NaN"]
    assert decoded(b"[" + b"9" * 6000 + b", 1e400]") == [float("inf"), float("inf")]
    with pytest.raises(Unreadable, match=r"^The API's answer cannot be read: JSONDecodeError$"):
        decoded(b"[")


# Decoder


def decoder(zone: str = "Europe/Moscow", **extra: Any) -> Decoder:
    schema = {"properties": {**PROPERTIES, **dict.fromkeys(extra, TEXT)}}
    return Decoder(schema, Zone(ZoneInfo(zone)), extra)


def rows(*more: dict[str, Any]) -> bytes:
    base = dict.fromkeys(PROPERTIES)
    day = "2024-05-01 12:00:00"
    made = [{**base, "id": n, "date_time": day, **one} for n, one in enumerate(more, 1)]
    return json.dumps(made).encode()


def test_columns_that_are_added_have_their_account_s_values() -> None:
    one = decoder(account="shop", more="m")
    other = one.of_account(Zone(ZoneInfo("UTC")), {"account": "other", "more": None})
    for made, account, more, hour in ((one, "shop", "m", 9), (other, "other", None, 12)):
        [record] = made.finish(made.rows(rows({})))
        assert (record.account, record.more, record.date_time.hour) == (account, more, hour)


def test_what_is_missing_is_filled() -> None:
    made = decoder()
    [record] = made.finish(
        made.rows(rows({"items": [{"at": None}, {"at": "2024-05-01 12:00:00"}]}))
    )
    assert (record.numbers, record.thing) == ([], EMPTY)
    assert [item.at for item in record.items] == [None, AT.replace(hour=9)]
    [record] = made.finish(made.rows(rows({"thing": {"number": None}, "numbers": [1]})))
    assert (record.thing, record.numbers) == (EMPTY, [1])
    [record] = made.finish(made.rows(rows({"thing": {"number": 1}})))
    assert record.thing.number == 1


def test_records_are_in_order_of_time_and_then_id() -> None:
    made = decoder()
    late = {"date_time": "2024-05-01 13:00:00"}
    found = made.finish(made.rows(rows(late, {"id": 9}, {"id": 8})))
    assert [record.id for record in found] == [8, 9, 1]


def test_keys_are_read_of_rows_that_no_type_fits_too() -> None:
    made = decoder()
    odd = rows({"date_time": " 1714554000000 "}, {"id": "7"})
    assert made.ids(odd) == [1, 7]
    assert made.times(odd) == [datetime(2024, 5, 1, 12), datetime(2024, 5, 1, 12)]
    assert made.ids(rows({}, {})) == [1, 2]


def test_a_time_that_no_clock_shows_is_an_error_that_names_it() -> None:
    made = decoder()
    early = rows({"date_time": "0001-01-01T00:00:00+05:00"})
    why = r"^The API sent a session of 0001-01-01 00:00:00\+05:00: no clock shows it$"
    with pytest.raises(Unreadable, match=why):
        made.rows(early)
    with pytest.raises(Unreadable, match=why):
        made.times(early)
    with pytest.raises(
        Unreadable, match=r"^The API sent a session of 0001-01-01 00:00:00: no UTC$"
    ):
        made.finish(made.rows(rows({"date_time": "0001-01-01 00:00:00"})))


def test_a_time_within_that_has_no_utc_is_null(caplog: pytest.LogCaptureFixture) -> None:
    made = decoder()
    [record] = made.finish(made.rows(rows({"items": [{"at": "0001-01-01 00:00:00"}]})))
    assert record.items[0].at is None
    assert caplog.messages == [f"items.at: a time came that has no UTC; emitted as null{SAID}"]


def test_columns_that_the_first_session_lacks_are_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = decoder(account="x")
    made.rows(b"[]")
    assert caplog.messages == []
    for _ in range(2):
        made.rows(b'[{"id": 1, "date_time": "2024-05-01 12:00:00", "text": "t", "at": null}]')
    assert caplog.messages == [
        "The API leaves out columns that it was asked for: number, numbers, items, thing; "
        "emitted as null"
    ]


def test_an_answer_that_holds_no_rows_is_an_error() -> None:
    with pytest.raises(Unreadable, match="holds no list of sessions"):
        decoder().rows(b'{"a": 1}')
    with pytest.raises(Unreadable, match="cannot be read"):
        decoder().rows(b"[{]")


def test_a_row_that_fits_is_as_typed_as_one_that_does_not() -> None:
    """On one page: the odd one costs itself alone."""
    made = decoder()
    odd = {"number": "x", "text": 5, "items": {"url": 7, "at": 1714521600}}
    nul = {"text": "a\x00b"}
    found = made.finish(made.rows(rows({"number": 5}, odd, {"number": 6}, nul)))
    assert [record.number for record in found] == [5, None, 6, None]
    assert [record.text for record in found] == [None, "5", None, "a\ufffdb"]
    assert msgspec.to_builtins(found[1].items) == [{"url": "7", "at": "2024-05-01T00:00:00Z"}]
    assert made.instant(datetime(2024, 5, 1, 12)) == AT.replace(hour=9)


def test_a_session_full_of_odd_texts_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Not one for each of its columns; and none for the next such session."""
    columns = stream_schema()["properties"]
    texts = [name for name, one in columns.items() if kind_of(one) == "string"]
    odd = {"date_time": "2024-05-01 10:00:00", **dict.fromkeys(texts, "a\x00"), "duration": "x"}
    coercer = Coercer(columns, ("id", "date_time"), Warnings())
    for number in (1, 2):
        coercer.rows([{**odd, "id": number}])
    one, other = sorted(caplog.messages, key=len, reverse=True)
    assert one.startswith(", ".join(texts) + ": NUL or half a character came")
    assert one.endswith("(reported once for each of these columns)")
    assert other.startswith("duration: ")
