"""What is nearly JSON costs what is odd in it, in little more memory than the answer has."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.api.envelope import opened
from tap_visitor_sessions.api.errors import TransientError
from tap_visitor_sessions.api.repair import TOO_DEEP, without_halves, without_odd_characters

MANY = 20_000
FEW_COPIES = 16
"""So many times the answer's own size may be in use; a match each took hundreds."""


def answer(value: bytes) -> bytes:
    return b'{"id":"7","result":{"data":[{"id":1,"city":%b}],"metadata":{}}}' % value


def city(value: bytes) -> object:
    reply = opened(answer(value), "7", mends_bytes=True)
    return json.loads(bytes(reply.data))[0]["city"]


@pytest.mark.parametrize(
    "value",
    [
        b'"' + b"\x01" * MANY + b'"',
        b'"' + b"\x01a" * MANY + b'"',
        b'"\x01' + b"\\ud800" * MANY + b'"',
        b'"\x01' + b"\\ud800a" * MANY + b'"',
        b'"\x01' + b"\\n" * MANY + b'"',
        b'"' + b"\\x" * MANY + b'"',
        b'["\x01"' + b',""' * MANY + b"]",
        b"[" + b"NaN," * MANY + b"1]",
        b"[" * MANY + b"]" * MANY,
        b'"' + b"\xff" * MANY + b'"',
        '{"a":1}'.encode("utf-16-le") * MANY,
    ],
    ids=lambda value: repr(value[:12]),
)
def test_however_much_is_odd_memory_is_bounded(value: bytes) -> None:
    body = answer(value)
    tracemalloc.start()
    try:
        with contextlib.suppress(TransientError):  # what cannot be mended is bounded too
            opened(body, "7", mends_bytes=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < FEW_COPIES * len(body) + 2**20


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (rb'"a\xb"', "a\ufffdxb"),
        (rb'"a\u12"', "a\ufffdu12"),
        (rb'"a\\xb\q"', "a\\xb\ufffdq"),
        ('"a\\ж"'.encode(), "a\ufffdж"),
        (b'"a\\\nb"', "a\ufffdb"),
        (b'"a\\\\\n\tb"', "a\\\ufffd\ufffdb"),
        (b'"' + b"\\n" * 2500 + b'\x01\\""', "\n" * 2500 + '\ufffd"'),
    ],
)
def test_what_is_no_character_costs_a_letter(value: bytes, read: str) -> None:
    assert city(value) == read


def test_a_text_longer_than_one_go_is_read_to_its_end() -> None:
    """What stands in it is no token, what stands after it is."""
    value = b'["' + rb"\"NaN[{" * 2500 + b'",NaN,' + b"[" * 400 + b"]" * 400 + b"]"
    text, word, deep = city(value)  # type: ignore[misc]
    assert (text, word) == ('"NaN[{' * 2500, "NaN")
    assert json.dumps(deep, ensure_ascii=False).strip("[]") == f'"{TOO_DEEP}"'


@given(
    st.lists(
        st.sampled_from(["\\ud83d", "\\ude00", "\\\\", "\\u0416", "\\n", "a", "ж"]), max_size=8
    ),
    st.integers(0, 3),
)
def test_halves_become_what_parsers_make_of_them(units: list[str], many: int) -> None:
    text = "".join(units * (1 + many * 400))
    expected = json.loads(f'"{text}"').encode("utf-16", "surrogatepass")
    read = json.loads(without_halves(f'"{text}"'.encode()))
    assert read == expected.decode("utf-16", "replace")


@given(st.text(), st.integers(0, 40))
def test_what_is_right_stays_as_it_is(text: str, indent: int) -> None:
    for is_ascii in (True, False):
        body = json.dumps({text: [text]}, ensure_ascii=is_ascii, indent=indent).encode()
        assert without_odd_characters(body) == body
