"""An answer's bytes: what is one, what is none, and what is said of it."""

from __future__ import annotations

import codecs
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.api import envelope as envelope_module
from tap_visitor_sessions.api.envelope import Reply, count, opened
from tap_visitor_sessions.api.errors import TransientError
from tap_visitor_sessions.api.repair import TOO_DEEP

ROWS = [{"id": 1, "channel": "é"}, {"id": 2, "channel": None}]
MANY = [{"id": number, "channel": "x" * 50} for number in range(40)]
DEEP = "[" * 5000 + "]" * 5000


def answer(rows: Any = ROWS, **more: Any) -> dict[str, Any]:
    result = {"data": rows, "metadata": {"total_items": 2}}
    return {"jsonrpc": "2.0", "id": "7", "result": result, **more}


def as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def refusal(body: bytes) -> str:
    with pytest.raises(TransientError) as caught:
        opened(body, "7")
    return str(caught.value)


def test_an_answer_is_its_rows_and_their_metadata() -> None:
    reply = opened(as_bytes(answer()), "7")
    assert (reply.error, reply.metadata, reply.repaired) == (None, {"total_items": 2}, False)
    assert json.loads(bytes(reply.data)) == ROWS
    assert json.loads(bytes(reply.rows(2))) == ROWS


def test_metadata_may_be_spelled_otherwise() -> None:
    body = {"id": "7", "result": {"data": [], "meta_data": {"total_items": 0}}}
    assert opened(as_bytes(body), "7").metadata == {"total_items": 0}
    assert opened(as_bytes({"id": "7", "result": {"data": []}}), "7").metadata == {}


def test_a_mark_of_the_order_of_bytes_is_no_fault() -> None:
    assert json.loads(bytes(opened(codecs.BOM_UTF8 + as_bytes(answer()), "7").data)) == ROWS


@pytest.mark.parametrize("id_", ["7", None])
def test_an_error_counts_with_or_without_its_id(id_: str | None) -> None:
    """A request that the API could not read is answered without one."""
    error = {"code": -32600, "data": {"mnemonic": "x"}}
    reply = opened(as_bytes({"id": id_, "error": error}), "7")
    assert (reply.error, bytes(reply.data), reply.metadata) == (error, b"", {})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "The answer is empty"),
        (b" \r\n", "The answer is empty"),
        (codecs.BOM_UTF8, "The answer is empty"),
        (b"<html>", "The answer is HTML"),
        (b"\n <!doctype html>", "The answer is HTML"),
        (b"{", "The answer is not valid JSON"),
        (as_bytes(answer())[:-1], "The answer is not valid JSON"),
        (as_bytes(answer()) + b"}", "The answer is not valid JSON"),
        (b"[]", "The answer is not a JSON-RPC response"),
        (b'{"result": [], "id": "7"}', "The answer is not a JSON-RPC response"),
        (b'{"error": 5, "id": "7"}', "The answer is not a JSON-RPC response"),
        (as_bytes(answer(id="8")), "The answer belongs to another request"),
        (as_bytes(answer(id=None)), "The answer belongs to another request"),
        (as_bytes({"id": "8", "error": {}}), "The answer belongs to another request"),
        (b'{"id": "7"}', "The answer contains neither a result nor an error"),
        (as_bytes(answer()).replace(b"\xc3\xa9", b"\xe9"), "The answer is not in UTF-8"),
        (as_bytes(answer()).replace(b"\xc3\xa9", b"\xed\xa0\xbd"), "The answer is not in UTF-8"),
        (as_bytes(answer()) + b"\xc3", "The answer is not in UTF-8"),
    ],
)
def test_what_is_no_answer_is_named(body: bytes, why: str) -> None:
    assert refusal(body) == why


@pytest.mark.parametrize("rows", [ROWS, MANY])
@pytest.mark.parametrize(
    "twice",
    [
        lambda text: text.replace('"metadata"', '"data": [], "metadata"'),
        lambda text: text.replace('"result"', '"result": {}, "result"'),
        lambda text: text.replace('"total_items"', '"total_items": 1, "total_items"'),
        lambda text: text.replace('{"jsonrpc"', '{"id": "7", "jsonrpc"'),
    ],
    ids=["data", "result", "total_items", "id"],
)
def test_a_member_that_occurs_twice_could_hide_rows(rows: Any, twice: Any) -> None:
    assert refusal(twice(json.dumps(answer(rows))).encode()) == "The answer contains a member twice"


def test_one_that_occurs_twice_in_a_row_hides_none() -> None:
    text = json.dumps(answer()).replace('"id": 1', '"id": 1, "id": 1')
    assert json.loads(bytes(opened(text.encode(), "7").data))[0]["id"] == 1


def test_nor_does_one_in_what_is_no_list() -> None:
    text = json.dumps(answer({"a": 1, "b": 2})).replace('"b"', '"a"')
    assert bytes(opened(text.encode(), "7").data) == b'{"a": 1, "a": 2}'


def test_a_number_of_any_size_beside_the_rows_is_no_fault() -> None:
    body = json.dumps(answer(more="N")).replace('"N"', "9" * 6000)
    assert json.loads(bytes(opened(body.encode(), "7").data)) == ROWS


def test_rows_that_stand_elsewhere_too_are_looked_at_where_they_are() -> None:
    """The same bytes as the rows in another place, and a member twice behind them."""
    rows = json.dumps(MANY)
    body = f'{{"id":"7","more":{rows},"result":{{"data":{rows},"metadata":{{"a":1,"a":2}}}}}}'
    assert refusal(body.encode()) == "The answer contains a member twice"


def test_of_a_large_answer_only_the_frame_is_looked_at_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """25 MB of rows as Python's objects would take 500 MB."""
    seen: list[int] = []
    loads = json.loads

    def noting(frame: bytes, **more: Any) -> Any:
        seen.append(len(frame))
        return loads(frame, **more)

    monkeypatch.setattr(envelope_module.json, "loads", noting)
    opened(as_bytes(answer(MANY)), "7")
    assert seen == [len(as_bytes(answer(None)))]
    # The rows' beginning stands elsewhere too, and not all of them: better slow than wrong.
    elsewhere = as_bytes({"more": MANY[:5], **answer(MANY)})
    opened(elsewhere, "7")
    assert seen[1:] == [len(elsewhere)]


def test_halves_of_characters_are_replaced_and_reported() -> None:
    text = json.dumps(answer([{"id": 1, "channel": "X"}])).replace("X", r"a\ud83db")
    reply = opened(text.encode(), "7")
    assert reply.repaired
    assert json.loads(bytes(reply.data)) == [{"id": 1, "channel": "a\ufffdb"}]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"a\tb", "a\ufffdb"),
        (b"a\x00b\x1f", "a\ufffdb\ufffd"),
        (b"a\r\nb", "a\ufffd\ufffdb"),
        (b"\\\n", "\ufffd"),
        (b"\\\\\n", "\\\ufffd"),
        (b'\\"\x01\\"', '"\ufffd"'),
        (b"a\xffb", "a\ufffdb"),
        (b"\xed\xa0\xbd.", "\ufffd\ufffd\ufffd."),
        (b"\xe2\x82", "\ufffd"),
        (b"\xff\x01", "\ufffd\ufffd"),
    ],
)
def test_what_is_no_character_costs_itself(raw: bytes, left: str, ascii_only: bool) -> None:
    row = {"id": 1, "channel": "X", "other": "e" if ascii_only else "é"}
    body = json.dumps(answer([row]), indent=1, ensure_ascii=False).encode().replace(b"X", raw)
    reply = opened(body, "7", mends_bytes=True)
    assert reply.repaired
    assert json.loads(bytes(reply.data)) == [{**row, "channel": left}]


def test_bytes_outside_of_texts_are_not_mended() -> None:
    body = as_bytes(answer())
    for at in (1, len(body) - 1):
        with pytest.raises(TransientError):
            opened(body[:at] + b"\xff" + body[at:], "7", mends_bytes=True)
        with pytest.raises(TransientError):
            opened(body[:at] + b"\x01" + body[at:], "7", mends_bytes=True)


def test_odd_numbers_become_texts_and_are_no_loss() -> None:
    text = json.dumps(answer([{"id": 1, "duration": 5}])).replace("5", "NaN")
    reply = opened(text.encode(), "7")
    assert not reply.repaired
    assert json.loads(bytes(reply.data)) == [{"id": 1, "duration": "NaN"}]


def test_what_is_too_deep_costs_its_value_in_a_row_and_the_answer_elsewhere() -> None:
    text = json.dumps(answer([{"id": 1, "duration": 5}])).replace("5", DEEP)
    [row] = json.loads(bytes(opened(text.encode(), "7").data))
    assert TOO_DEEP in json.dumps(row["duration"], ensure_ascii=False)
    text = json.dumps(answer([{"id": 1}], more=5)).replace("5", DEEP)
    assert refusal(text.encode()) == "The answer is not valid JSON"
    assert refusal(f'{{"id": "7", "more": {DEEP}}}'.encode()) == "The answer is not valid JSON"


@pytest.mark.parametrize("piece", [1, 2, 3, 1 << 20])
def test_a_character_on_the_border_of_two_pieces_is_whole(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope_module, "_PIECE", piece)
    reply = opened(as_bytes(answer([{"id": 1, "channel": "aé€𝄞"}])), "7")
    assert json.loads(bytes(reply.data))[0]["channel"] == "aé€𝄞"
    broken = as_bytes(answer()).replace(b"\xc3\xa9", b"\xc3")
    assert refusal(b"\xff" + as_bytes(answer())) == "The answer is not in UTF-8"
    assert refusal(broken) == "The answer is not in UTF-8"


@pytest.mark.parametrize(
    ("data", "total", "rows"),
    [
        (b"[]", 0, b"[]"),
        (b"[1]", None, b"[1]"),
        (b"null", 0, b"[]"),
        (b"null", 1, None),
        (b"null", None, None),
        (b"nullx", 0, None),
        (b"{}", 0, None),
        (b"", 0, None),
    ],
)
def test_only_a_list_is_rows(data: bytes, total: int | None, rows: bytes | None) -> None:
    reply = Reply(None, memoryview(data), {})
    if rows is None:
        with pytest.raises(TransientError, match=r"^The answer contains no list of rows$"):
            reply.rows(total)
    else:
        assert bytes(reply.rows(total)) == rows


@pytest.mark.parametrize(
    ("value", "want"),
    [(5, 5), ("5", 5), (5.0, 5), (0, 0), (5.5, None), ("x", None), (None, None), (-1, None)],
)
def test_a_count_is_a_whole_number(value: object, want: int | None) -> None:
    assert count(value) == want


words = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.dictionaries(words, st.integers() | words | st.none())))
def test_whatever_the_rows_hold_they_come_as_they_are(rows: list[dict[str, Any]]) -> None:
    for body in (as_bytes(answer(rows)), json.dumps(answer(rows)).encode()):
        assert json.loads(bytes(opened(body, "7").data)) == rows
