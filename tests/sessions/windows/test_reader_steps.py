"""One window, request by request: what is asked, in which order, and when it is given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fake_api import FORMAT, SCHEMA, FakeAnswer

from tap_visitor_sessions.api.errors import ApiError, CountMismatch, SecondTooFull, TapError
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.windows import reader as reader_module
from tap_visitor_sessions.sessions.windows.reader import (
    STEADY_SORT,
    Overfull,
    Query,
    Shared,
    TooLong,
    Whole,
    WindowReader,
)
from tap_visitor_sessions.sessions.windows.windows import Window
from tap_visitor_sessions.sessions.zones import Zone

START = datetime(2024, 5, 1)
SECOND = Window(START, START + timedelta(seconds=1))
MINUTE = Window(START, START + timedelta(minutes=1))
KEYS = ["id", "date_time"]

Row = dict[str, Any]


def row(id_: int, second: int = 0) -> Row:
    at = START + timedelta(seconds=second)
    return {"id": id_, "date_time": at.strftime(FORMAT), "visitor_id": id_}


def rows(*ids: int) -> list[Row]:
    return [row(id_) for id_ in ids]


class Scripted:
    """Answers honestly, in the order given, but for the requests that a test answers itself.

    Args:
        instead: Rows and `total_items` of an answer, by the number of the request, from 0.
    """

    def __init__(
        self, held: list[Row], instead: Mapping[int, tuple[list[Row], int | None]] | None = None
    ) -> None:
        self.held = held
        self.instead = instead or {}
        self.requests: list[Mapping[str, Any]] = []

    def __call__(self, method: str, params: Mapping[str, Any]) -> FakeAnswer:
        assert method == "get.visitor_sessions_report"
        number = len(self.requests)
        self.requests.append(params)
        if number in self.instead:
            page, total = self.instead[number]
            return FakeAnswer(json.dumps(page).encode(), total)
        span = params["date_from"], params["date_till"]
        found = [one for one in self.held if span[0] <= one["date_time"] <= span[1]]
        page = found[params["offset"] : params["offset"] + params["limit"]]
        return FakeAnswer(json.dumps(page).encode(), len(found))

    def asked(self) -> list[tuple[int, bool]]:
        """Of each request the offset, and whether only the keys were asked for."""
        return [(params["offset"], params["fields"] == KEYS) for params in self.requests]


@pytest.fixture(autouse=True)
def _short_pauses() -> None:
    """As they are: `Waits` makes none."""


class Waits(threading.Event):
    """Notes the pauses instead of making them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return self.is_set()


def reader_of(
    api: Scripted, page_size: int, stop: threading.Event | None = None
) -> WindowReader[list[Record]]:
    decoder = Decoder(SCHEMA, Zone(timezone.utc))
    shared = Shared(page_size, stop=stop or Waits())
    return WindowReader(api, decoder, Query(list(SCHEMA["properties"]), page_size), list, shared)


def ids_of(result: Whole[list[Record]] | Overfull) -> list[int]:
    assert isinstance(result, Whole)
    assert result.ready is not None
    assert result.count == len(result.ready)
    return [record.id for record in result.ready]


@pytest.fixture
def low_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MAX_OFFSET", 4)


def test_the_parameters_of_a_request_are_the_documented_ones() -> None:
    plain = Query(("id", "date_time"), 50)
    assert plain.params(MINUTE) == {
        "date_from": "2024-05-01 00:00:00",
        "date_till": "2024-05-01 00:01:00",
        "fields": ["id", "date_time"],
        "limit": 50,
        "offset": 0,
    }
    tree = {"field": "site_id", "operator": "=", "value": 1}
    full = Query(("id",), 7, filter=tree, user_id=3).params(SECOND, offset=9, steady=True)
    assert full == {
        "date_from": "2024-05-01 00:00:00",
        "date_till": "2024-05-01 00:00:01",
        "fields": ["id"],
        "limit": 7,
        "offset": 9,
        "sort": [{"field": "visitor_id", "order": "asc"}],
        "filter": tree,
        "user_id": 3,
    }


def test_a_window_that_fits_a_page_is_one_request_in_no_order() -> None:
    api = Scripted([row(2), row(1), row(3, 5)])
    assert ids_of(reader_of(api, 3).read(MINUTE)) == [1, 2, 3]
    assert api.asked() == [(0, False)]
    assert "sort" not in api.requests[0]


@pytest.mark.parametrize("window", [SECOND, MINUTE])
def test_a_session_at_the_end_is_the_next_window_s(window: Window) -> None:
    at_end = int((window.end - window.start).total_seconds())
    api = Scripted([row(1), row(2, at_end)])
    assert ids_of(reader_of(api, 9).read(window)) == [1]


def test_more_than_a_page_is_reported_with_the_times_of_a_sample() -> None:
    api = Scripted([row(1, 5), row(2, 7), row(3, 9)])
    result = reader_of(api, 2).read(MINUTE)
    assert isinstance(result, Overfull)
    times = [START + timedelta(seconds=second) for second in (5, 7)]
    assert (result.total, result.times) == (3, times)


def test_more_than_the_server_puts_on_a_page_is_reported_too_and_learnt() -> None:
    """Once more rows have been seen where the short page ended."""
    api = Scripted([], {0: ([row(1, 5), row(2, 7)], 9), 1: ([row(3, 8)], 9)})
    reader = reader_of(api, 20)
    result = reader.read(MINUTE)
    assert isinstance(result, Overfull)
    assert api.asked() == [(0, False), (2, True)]
    assert reader.cap.is_proven
    times = [START + timedelta(seconds=second) for second in (5, 7)]
    assert (result.total, result.times) == (9, times)
    assert reader.cap.rows == 2


def test_what_does_not_add_up_is_asked_again_with_longer_and_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    api, waits = Scripted([], dict.fromkeys(range(99), (rows(1, 1, 2), 3))), Waits()
    with pytest.raises(CountMismatch) as caught:
        reader_of(api, 9, waits).read(MINUTE)
    assert str(caught.value) == (
        f"The API's sessions of {MINUTE} did not add up in 8 tries (total_items is 3, 2 came). "
        "The data may be changing faster than it can be read: run again later"
    )
    assert waits.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert len(api.requests) == 8
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"Asking {MINUTE} again: total_items is 3, 2 came"] * 7


def test_the_count_is_of_ids_and_of_no_fewer() -> None:
    """Three rows where two were promised are as wrong as two of three."""
    api = Scripted(rows(1, 2, 3), {0: (rows(1, 2, 3), 2)})
    assert ids_of(reader_of(api, 9).read(MINUTE)) == [1, 2, 3]
    assert len(api.requests) == 2


@pytest.mark.parametrize("second", [-1, 61])
def test_a_session_outside_of_the_span_is_asked_again(
    second: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    api = Scripted([row(1), row(2, 3)], {0: ([row(1), row(2, second)], 2)})
    assert ids_of(reader_of(api, 9).read(MINUTE)) == [1, 2]
    at = START + timedelta(seconds=second)
    assert caplog.messages == [f"Asking {MINUTE} again: session 2 of {at} is outside the span"]


def test_an_answer_without_a_count_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    api = Scripted(rows(1), {0: (rows(1), None)})
    assert ids_of(reader_of(api, 9).read(MINUTE)) == [1]
    assert caplog.messages == [f"Asking {MINUTE} again: the answer says no total_items"]


def test_a_run_that_is_to_end_asks_nothing_more() -> None:
    api, stop = Scripted(rows(1)), threading.Event()
    stop.set()
    with pytest.raises(TapError, match=r"^Stopped$"):
        reader_of(api, 9, stop).read(MINUTE)
    assert not api.requests


def test_a_place_in_line_is_for_the_first_request_only() -> None:
    """StreamState, it would be entered a second time: its turn never comes."""
    api = Scripted(rows(1), {0: (rows(1, 2), 1)})
    reader = reader_of(api, 9)
    place = reader.join()
    assert ids_of(reader.read(MINUTE, place)) == [1]
    assert place not in reader._shared.in_flight.line
    assert (reader._shared.in_flight.free, len(reader._shared.in_flight.line)) == (1, 0)


def test_a_place_holds_its_turn() -> None:
    api = Scripted(rows(1))
    reader = reader_of(api, 9)
    first, second = reader.join(), reader.join()
    done: list[int] = []
    late = threading.Thread(target=lambda: done.extend(ids_of(reader.read(MINUTE, second))))
    late.start()
    late.join(0.05)
    assert not done
    assert ids_of(reader.read(MINUTE, first)) == [1]
    late.join(60)
    assert done == [1]


def test_without_a_run_s_share_a_reader_has_its_own() -> None:
    decoder = Decoder(SCHEMA, Zone(timezone.utc))
    reader = WindowReader(Scripted([]), decoder, Query(KEYS, 7), list)
    assert reader.cap.rows == 7


GAP = datetime(2011, 12, 30), datetime(2011, 12, 31)  # in Apia, which crossed the date line
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("start", "end", "waits"),
    [
        (GAP[0] - HOUR, GAP[0], False),
        (GAP[0] - HOUR, GAP[0] + HOUR, True),
        (GAP[0] + HOUR, GAP[0] + 2 * HOUR, True),
        (GAP[1] - HOUR, GAP[1], True),
        (GAP[1], GAP[1] + HOUR, True),
        (GAP[1] + HOUR, GAP[1] + 2 * HOUR, False),
    ],
)
def test_only_a_window_whose_neighbour_is_read_as_the_same_instant_waits_for_it(
    start: datetime, end: datetime, waits: bool
) -> None:
    api = Scripted([{**row(1), "date_time": (end - HOUR / 2).strftime(FORMAT)}])
    decoder = Decoder(SCHEMA, Zone(ZoneInfo("Pacific/Apia")))
    reader = WindowReader(api, decoder, Query(list(SCHEMA["properties"]), 7), list)
    result = reader.read(Window(start, end))
    assert isinstance(result, Whole)
    assert result.count == 1
    assert (result.ready is None, len(result.records)) == (waits, int(waits))


# A full second, and whatever else takes several pages, by offset -------------------------------


def test_a_full_second_is_read_by_offset_and_its_ids_once_more() -> None:
    api = Scripted(rows(1, 2, 3, 4, 5))
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3, 4, 5]
    pages, keys = [(0, False), (2, False), (4, False)], [(0, True), (2, True), (4, True)]
    assert api.asked() == pages + keys
    assert all(params["sort"] == STEADY_SORT for params in api.requests)
    assert all(params["date_till"] == "2024-05-01 00:00:01" for params in api.requests)


def test_a_full_second_beside_another_is_asked_for_alone() -> None:
    """date_till is counted in: the query spans two seconds."""
    api = Scripted([*rows(1, 2, 3), row(4, 1)])
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3]
    # The first page shows none of the next second, so both are read, and one is the next window's.
    assert {params["date_till"] for params in api.requests} == {"2024-05-01 00:00:01"}
    api = Scripted([row(4, 1), *rows(1, 2, 3)])
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3]
    assert api.asked() == [(0, False), (0, False), (2, False), (0, True), (2, True)]
    tills = [params["date_till"] for params in api.requests]
    assert tills == ["2024-05-01 00:00:01", *["2024-05-01 00:00:00"] * 4]
    assert all(params["date_from"] == "2024-05-01 00:00:00" for params in api.requests)
    assert all(params["sort"] == STEADY_SORT for params in api.requests)


@pytest.mark.parametrize("known", [3, 10])
def test_a_short_page_of_a_longer_window_is_followed_by_offset(known: int) -> None:
    """Not narrowed to a second, though a session lies at its very end; and not split, since the
    server is known to put as many on a page."""
    held = [row(1, 60), row(2, 4), row(3, 9)]
    api = Scripted(held, {0: (held[:2], 3)})
    reader = reader_of(api, 10)
    reader.cap.observe(10, known, known)
    reader.cap.is_proven = True
    assert ids_of(reader.read(MINUTE)) == [2, 3]
    assert api.asked() == [(0, False), (2, False), (0, True)]
    assert {params["date_till"] for params in api.requests} == {"2024-05-01 00:01:00"}
    assert ["sort" in params for params in api.requests] == [False, True, True]


@pytest.mark.usefixtures("low_offset")
def test_the_last_page_starts_where_the_offset_may_be() -> None:
    api = Scripted(rows(*range(1, 8)))
    assert ids_of(reader_of(api, 3).read(SECOND)) == [1, 2, 3, 4, 5, 6, 7]
    assert api.asked() == [(offset, keys) for keys in (False, True) for offset in (0, 3, 4)]


@pytest.mark.usefixtures("low_offset")
def test_more_than_the_offset_reaches_is_an_error_that_names_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Scripted(rows(*range(1, 9)))
    with pytest.raises(SecondTooFull) as caught:
        reader_of(api, 3).read(SECOND)
    told = (
        "8 sessions are filed under the second 2024-05-01 00:00:00, and the API reaches only 7 "
        "of them. "
    )
    larger = "Set page_size to 10000, with which all of them can be reached"
    assert str(caught.value) == told + larger
    assert len(api.requests) == 1
    by_parts = "Set a `filter` (for example by site_id) and read the parts separately"
    monkeypatch.setattr(reader_module, "LARGEST_PAGE", 3)
    with pytest.raises(SecondTooFull) as caught:
        reader_of(api, 3).read(SECOND)
    assert str(caught.value) == told + by_parts
    monkeypatch.setattr(reader_module, "LARGEST_PAGE", 10)
    capped = reader_of(Scripted(rows(*range(1, 9)), {0: (rows(1, 2, 3), 8)}), 6)
    with pytest.raises(SecondTooFull, match="filter"):  # the server puts 3 on a page, whatever
        capped.read(SECOND)


def test_a_row_that_hid_on_the_first_page_is_found_in_a_second_round() -> None:
    """Row 1 moved to a page that had been read: a round from the start, with all of its pages."""
    api = Scripted(rows(1, 2, 3, 4, 5), {0: (rows(2, 3), 5), 1: (rows(3, 4), 5)})
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3, 4, 5]
    rounds = [(offset, keys) for keys in (False, True) for offset in (0, 2, 4)]
    assert api.asked() == [(0, False), (2, False), (4, False), *rounds]


def test_ids_that_hid_are_looked_for_in_a_second_round_too() -> None:
    api = Scripted(rows(1, 2, 3), {2: (rows(2, 3), 3)})
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3]
    rounds = [(offset, True) for offset in (0, 2)]
    assert api.asked() == [(0, False), (2, False), *rounds, *rounds]


WRONG = (
    "The API counts 5 sessions of {} (total_items) and gives {}, off by the same number in all of "
    "4 tries: the data does not move, its count is wrong. Report it to the vendor; start_date and "
    "end_date can leave that span out"
)


def given_up(window: Window, answer: tuple[list[Row], int], page: int = 2) -> tuple[str, int]:
    """The reason, and how many requests there were, of a page that is ever the same."""
    api = Scripted([], dict.fromkeys(range(9999), answer))
    with pytest.raises(CountMismatch) as caught:
        reader_of(api, page).read(window)
    return str(caught.value), len(api.requests)


def test_the_same_page_over_and_over_is_given_up() -> None:
    """Whatever the offset is."""
    assert given_up(SECOND, (rows(1, 2), 5)) == (WRONG.format(SECOND, 2), 4 * 3)


def test_empty_pages_are_given_up() -> None:
    assert given_up(SECOND, ([], 5)) == (WRONG.format(SECOND, 0), 4)
    assert given_up(MINUTE, ([], 5), 9) == (WRONG.format(MINUTE, 0), 4)


class Counting(Scripted):
    """Counts some more rows than there are, or fewer."""

    def __init__(self, held: list[Row], off: list[int]) -> None:
        super().__init__(held)
        self.off = off

    def __call__(self, method: str, params: Mapping[str, Any]) -> FakeAnswer:
        answer = super().__call__(method, params)
        assert answer.total_items is not None
        number = min(len(self.requests), len(self.off)) - 1
        answer.total_items = max(answer.total_items + self.off[number], 0)
        return answer


@pytest.mark.parametrize(("off", "page"), [(1, 10), (-1, 10), (7, 10), (40, 10), (1, 2), (1, 3)])
@pytest.mark.parametrize("window", [MINUTE, SECOND], ids=["a minute", "a second"])
def test_a_count_that_is_off_by_the_same_number_is_given_up_soon(
    off: int, page: int, window: Window
) -> None:
    """A short page that nothing follows is no cap of the server's."""
    api = Counting(rows(1, 2, 3), [off])
    reader = reader_of(api, page)
    if page <= 3 and window is MINUTE:
        assert isinstance(reader.read(window), Overfull)
        return
    with pytest.raises(CountMismatch) as caught:
        reader.read(window)
    text = str(caught.value)
    assert f"counts {3 + off} sessions of {window} (total_items) and gives 3," in text
    assert len(api.requests) <= 4 * 3
    assert reader.cap.rows == page
    assert not reader.cap.is_proven


def test_a_count_that_is_off_by_another_number_each_time_has_all_its_tries() -> None:
    api = Counting(rows(1, 2, 3), [1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2])
    with pytest.raises(CountMismatch, match="did not add up in 8 tries"):
        reader_of(api, 10).read(MINUTE)
    api = Counting(rows(1, 2, 3), [*[1] * 4, 0])
    assert ids_of(reader_of(api, 10).read(MINUTE)) == [1, 2, 3]


def test_a_span_that_is_too_long_is_reported_and_the_next_ones_are_shorter() -> None:
    def refuse(_: str, params: Mapping[str, Any]) -> FakeAnswer:
        raise ApiError("too long", mnemonic="date_interval_limit_reached")

    decoder = Decoder(SCHEMA, Zone(timezone.utc))
    reader = WindowReader(refuse, decoder, Query(KEYS, 7), list)
    assert isinstance(reader.read(Window(START, START + timedelta(days=80))), TooLong)
    assert reader.cap.longest == timedelta(days=40)
    with pytest.raises(ApiError, match="too long"):
        reader.read(Window(START, START + timedelta(days=1)))


@pytest.mark.parametrize("now", [2, 4])
def test_a_count_that_moves_between_pages_is_asked_again(
    now: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    api = Scripted(rows(1, 2, 3), {1: (rows(3), now)})
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3]
    why = f"total_items went from 3 to {now} during the read"
    assert caplog.messages == [f"Asking {SECOND} again: {why}"]


def test_more_rows_than_were_promised_are_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    api = Scripted(rows(1, 2, 3), {1: (rows(3, 4), 3)})
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 3]
    assert caplog.messages == [
        f"Asking {SECOND} again: total_items is 3, 4 came by offset",
    ]
    assert api.asked()[:3] == [(0, False), (2, False), (0, False)]


def test_ids_that_changed_underneath_are_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """One went and one came: the count stood still."""
    caplog.set_level("INFO")
    api = Scripted(rows(1, 2, 4), {0: (rows(1, 2), 3), 1: (rows(3), 3)})
    assert ids_of(reader_of(api, 2).read(SECOND)) == [1, 2, 4]
    assert caplog.messages == [
        f"Asking {SECOND} again: 2 sessions came or went during the read",
    ]
    pages, keys = [(0, False), (2, False)], [(0, True), (2, True)]
    assert api.asked() == (pages + keys) * 2
