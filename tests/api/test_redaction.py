"""Texts of the API as they are shown: no secret in any spelling, no line that is not ours."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tap_visitor_sessions.api import redaction
from tap_visitor_sessions.api.auth import LoginAuth
from tap_visitor_sessions.api.redaction import keep_secret, redacted, shown


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", {})


def as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def as_letters(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def as_entities(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": as_json,
    "JSON with its letters": as_letters,
    "JSON in JSON": lambda text: as_json(as_json(text)),
    "JSON with slashes escaped": lambda text: as_json(text).replace("/", r"\/"),
    "Python": lambda text: repr(text)[1:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL, small": lambda text: re.sub("%..", lambda m: m[0].lower(), quote(text)),
    "form": quote_plus,
    "form in JSON": lambda text: as_json(quote_plus(text)),
    "JSON in a URL": lambda text: quote(as_json(text)),
    "HTML": html.escape,
    "HTML by numbers": as_entities,
    "JSON in HTML": lambda text: html.escape(as_json(text)),
    "base64": as_base64,
    "base64 within more": lambda text: as_base64(f"u:{text}:more"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(as_base64(text)),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "upper case": str.upper,
    "lower case": str.lower,
    "white space folded": lambda text: " ".join(text.split()),
    "white space widened": lambda text: text.replace(" ", "\n \t"),
}

odd = st.sampled_from(list("\\\"'/%+&<>;=:?# \t\n\r\0\x1f\x85\u2028ÄßıİΣ€😀aA1"))
secrets = st.text(odd | st.characters(codec="utf-8"), min_size=6, max_size=40)


commands = st.sampled_from("\x1b\x9b\r\n\x85\u2028\u202e\u2066\x07")


def runs(text: str) -> Iterator[str]:
    return (text[at : at + 6] for at in range(len(text) - 5))


@example(secret='p&ss "wörd"\\/100%', spelling="JSON", cut=(0, 0))
@example(secret="12345\\", spelling="JSON", cut=(0, 0))
@example(secret="+\U0008ba6c×\x96×½", spelling="plain", cut=(0, 0))
@given(
    secret=secrets,
    spelling=st.sampled_from(list(SPELLINGS)),
    cut=st.tuples(*[st.integers(0, 4)] * 2),
)
def test_no_six_characters_of_a_secret_are_shown(
    secret: str, spelling: str, cut: tuple[int, int]
) -> None:
    """Whole or cut off by the API, before it is folded."""
    assume(secret == secret.strip() and len(" ".join(secret.split())) >= 6)
    spelled = SPELLINGS[spelling](secret)
    keep_secret(secret)
    text = f"<< {spelled} >>"
    found = redacted(text)
    assert found.startswith("<<")  # a blank beside it may be one of its own, as a form writes it
    assert found.endswith(">>")
    assert "***" in found
    if spelling == "base64 within more":
        return  # the rest of it is no secret
    middle = found[2:-2].strip(" ")
    assert len(middle) <= 3 + 2 * 5 or not set(runs(spelled)) & set(runs(middle)), found
    first, last = cut
    part = spelled[first : len(spelled) - last]
    left = set(runs(redacted(part)))
    assert not {run for run in left if run in set(runs(secret))}


@given(secret=secrets, before=st.integers(480, 520))
def test_a_secret_where_the_text_is_cut_is_not_shown(secret: str, before: int) -> None:
    keep_secret(secret)
    left = shown("x" * before + secret * 30)
    assert not set(runs(secret)) & set(runs(left))


@given(login=secrets, password=secrets)
def test_a_login_as_HTTP_sends_it_is_a_secret(login: str, password: str) -> None:
    LoginAuth(login, password, lambda *_: None)
    sent = base64.b64encode(f"{login}:{password}".encode()).decode()
    assert not set(runs(sent.rstrip("="))) & set(runs(redacted(f"Basic {sent}")))


@given(st.text(max_size=600))
def test_what_holds_no_secret_stays(text: str) -> None:
    keep_secret("Vn5kRt8wQz3x", "Hunter2:correct")
    assert redacted(text) == text


@given(
    st.text(
        st.characters(codec=None) | st.sampled_from("\x1b\x9b\r\n\x85\u2028\u202e\u2066\x07"),
        max_size=600,
    )
)
def test_no_text_makes_a_line_or_a_command(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert len(line) <= 501 * 10
    line.encode()


def test_what_cannot_be_printed_is_seen() -> None:
    bad = "Zorb\x1b[2Jab\x9b31mcd\u202eef\r\nFORGED\x07"
    assert shown(bad) == r"Zorb\x1b[2Jab\x9b31mcd\u202eef FORGED\x07"
    assert shown("Ромашка «Ö» 😀") == "Ромашка «Ö» 😀"
    assert shown(None) == "None"


def test_short_secrets_are_hidden_whole() -> None:
    keep_secret("ab", "abc", "", None)
    assert redacted("ab abc ABC abcd") == "ab *** *** ***d"


def test_what_is_kept_is_bounded_and_the_latest_stay() -> None:
    keep_secret("the first one")
    for number in range(600):
        keep_secret(f"token {number:06}", "the first one")
    assert len(redaction._known) == 500
    assert redacted("token 000599, the first one") == "***, ***"
