"""Support's first questions, asked of the API one after the other: each ok, or its fix."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from tap_visitor_sessions.api import ApiError, TapError, Unreadable
from tap_visitor_sessions.config import (
    UNLESS_ASKED,
    emitted_schema,
    excluded_members,
    privacy_note,
    record_schema,
    without,
)
from tap_visitor_sessions.sessions import (
    METHOD,
    SECOND,
    Columns,
    Connection,
    Decoder,
    Fields,
    Query,
    User,
    Window,
)

LOOK_BACK = (timedelta(days=7), timedelta(days=85))
"""How far back a sample session is looked for, first try and last."""
SAMPLE = 5  # sessions

_ADDRESS = "ip_not_whitelisted"
_KEY = {
    "access_token_expired",
    "access_token_invalid",
    "access_token_blocked",
    "auth_error",
}


@dataclass(frozen=True)
class Check:
    """A question and its answer.

    Attributes:
        ok: None: could not be asked, since one before it failed.
        text: What was found, or the fix.
        warns: Whether sessions can be read all the same, and the text says what is odd.
        problem: The error because of which it is not ok.
    """

    name: str
    ok: bool | None
    text: str = ""
    warns: bool = False
    problem: TapError | None = None

    def __str__(self) -> str:
        mark = "WARN" if self.warns else {True: "ok", False: "FAIL", None: "--"}[self.ok]
        return f"{mark:5}{self.name:20}{self.text or 'not asked'}".rstrip()


NAMES = (
    "personal data",
    "host",
    "address",
    "key",
    "account",
    "time zone",
    "components",
    "sample session",
    "limits",
)


class _Over(Exception):
    """Nothing more can be asked."""


def checks(connection: Connection) -> Iterator[Check]:
    """All checks in the order of NAMES, each as soon as it is known; after a failure those that
    depend on it are not asked."""
    done = []
    try:
        for check in _asked(connection):
            done.append(check.name)
            yield check
    except _Over:
        pass
    except TapError as problem:
        name = next(name for name in NAMES if name not in done)
        done.append(name)
        yield Check(name, False, str(problem), problem=problem)
    for name in NAMES:
        if name not in done:
            points = connection.client.pacer.left() if name == "limits" else ""
            yield Check(name, True if points else None, points)


def _asked(connection: Connection) -> Iterator[Check]:
    client, account, settings = connection.client, connection.account, connection.settings
    note = privacy_note(emitted_schema(settings), settings.hash_columns)
    yield Check("personal data", True, note)
    whole = record_schema(is_partner=settings.is_partner, has_account=False)
    schema = without(whole, [*settings.exclude_columns, *UNLESS_ASKED])
    columns = Columns(list(schema["properties"]))
    # Asked for as a read does: a column that is refused costs that column.
    fields = Fields(columns.asked)

    def look(user: User | None) -> tuple[memoryview | bytes, int, timedelta]:
        """Some of the latest sessions, how many there are, and in how long a time."""
        query = Query(columns.asked, SAMPLE, settings.filter, user.user_id if user else None)
        now = account.timezone(user).zone.last_wall(settings.now - client.clock_lead())
        for back in LOOK_BACK:
            params = query.params(Window(now - back, now + SECOND))
            answer = fields.ask(
                lambda names, params=params, **more: client.call(
                    METHOD, {**params, "fields": list(names), **more}
                )
            )
            if answer.total_items:
                break
        return answer.data, answer.total_items or 0, back

    began = time.monotonic()
    problem: ApiError | None = None
    users: list[User] = []
    sample = None
    try:
        if settings.is_partner:
            users = list(account.users().read)
        elif settings.timezone:
            sample = look(None)  # first: the key may have no right to get.account
        else:
            _ = account.profile
    except ApiError as caught:
        problem = caught
    seconds = time.monotonic() - began
    yield Check("host", True, f"{settings.api_url} answered in {seconds:.2f} s")
    if problem is not None and problem.mnemonic in (_ADDRESS, *_KEY):
        # Which of the two the API looks at first is not known: the other is not judged.
        name = "address" if problem.mnemonic == _ADDRESS else "key"
        yield Check(name, False, str(problem), problem=problem)
        raise _Over
    yield Check("address", True, "this machine is on the allowlist")
    yield Check("key", True, "valid")
    if problem is not None and not settings.timezone:
        raise problem
    yield Check("account", True, account.described())
    if settings.is_partner and not users:
        raise TapError("None of the customers can be read: --customers says why")
    user = users[0] if users else None
    contradiction = account.contradiction() if problem is None else None
    name = account.timezone(user).name
    yield Check("time zone", True, contradiction or name, warns=bool(contradiction))
    if problem is not None:
        raise problem
    data, total, back = sample or look(user)
    whose = f" of {user}" if user else ""
    without_some = f", but the API refuses to give {', '.join(sorted(fields.left_out))}: null"
    text = f"the report{whose} is open{without_some if fields.left_out else ''}"
    yield Check("components", True, text, warns=bool(fields.left_out))
    zone = account.timezone(user).zone
    extra = {name: getattr(user, name) for name in columns.added}
    excluded = excluded_members(settings.exclude_columns)
    decoder = Decoder(schema, zone, extra, excluded=excluded).of_account(
        zone, extra, lambda: fields.left_out
    )
    yield _sample(decoder, data, schema, total, back)
    yield Check("limits", True, client.pacer.left() or "the API names none")


def _sample(
    decoder: Decoder,
    data: memoryview | bytes,
    schema: Mapping[str, Any],
    total: int,
    back: timedelta,
) -> Check:
    """Whether the first sessions are as the stream declares them."""
    if not total:
        return Check("sample session", True, f"none in the last {back.days} days to look at")
    with _warnings() as said:
        try:
            records = decoder.finish(decoder.rows(data))
        except msgspec.MsgspecError as problem:
            text = f"cannot be read: {problem}. Report it"
            return Check("sample session", False, text, problem=Unreadable(text))
    validator = Draft202012Validator(dict(schema), format_checker=FormatChecker())
    for record in records:
        plain = msgspec.json.decode(msgspec.json.encode(record))
        for error in validator.iter_errors(plain):
            # Not its message, which shows the value.
            rule = f"{error.validator} {error.validator_value!r}"
            said.append(f"{'.'.join(map(str, error.path))}: not of {rule[:100]}")
    if said:
        text = f"read, though not as declared: report it: {'; '.join(said)}"
        return Check("sample session", True, text, warns=True)
    return Check(
        "sample session", True, f"{len(records)} of {total} of {back.days} days as declared"
    )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings of reading records, while the block runs."""
    said: list[str] = []
    logger = logging.getLogger("tap-visitor-sessions.records")

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keeper = Keeper(logging.WARNING)
    logger.addHandler(keeper)
    try:
        yield said
    finally:
        logger.removeHandler(keeper)
