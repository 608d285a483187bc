"""Support's first questions, asked of the API one after the other: each ok, or its fix."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from tap_visitor_sessions.api import ApiError, TapError, Unreadable, printable, redacted
from tap_visitor_sessions.config import Settings, emitted_schema, privacy_note
from tap_visitor_sessions.doctor.sample import Looking, Sample
from tap_visitor_sessions.sessions import PATIENCE, Connection, User, Zone, is_customers

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
        return f"{mark:5}{self.name:20}{printable(redacted(self.text)) or 'not asked'}"


NAMES = (
    "personal data",
    "host",
    "address",
    "key",
    "account",
    "time zone",
    "start_date",
    "components",
    "sample session",
    "limits",
)


class _Over(Exception):
    """Nothing more can be asked."""


def checks(connection: Connection, looking: Looking | None = None) -> Iterator[Check]:
    """All checks in the order of NAMES, each as soon as it is known; after a failure those that
    depend on it are not asked.

    Args:
        looking: Looks at sessions, and keeps what it has looked at.
    """
    done = []
    try:
        for check in _asked(connection, looking or Looking(connection)):
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


def _asked(connection: Connection, looking: Looking) -> Iterator[Check]:
    client, account, settings = connection.client, connection.account, connection.settings
    note = privacy_note(emitted_schema(settings), settings.hash_columns)
    yield Check("personal data", True, note)
    began = time.monotonic()
    problem: ApiError | None = None
    users: list[User] = []
    closed: list[str] = []
    sample = None
    try:
        if settings.is_partner:
            users = list(account.users().read)
            if users and not client.requests_made:  # customers_file has listed them
                sample = _open_to(users, looking, settings.user_ids, closed)
        elif settings.timezone:
            sample = looking.look(None)  # first: the key may have no right to get.account
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
    if problem is not None and not settings.timezone and not users:
        raise problem
    yield Check("account", True, account.described())
    if settings.is_partner and not users:
        raise TapError("None of the customers can be read: --customers says why")
    user = users[0] if users else None
    contradiction = account.contradiction() if problem is None else None
    timezone = account.timezone(user)
    yield Check("time zone", True, contradiction or timezone.name, warns=bool(contradiction))
    yield _of_start(settings, timezone.zone)
    if problem is not None:
        raise problem
    if user is not None and sample is None:
        sample = _open_to(users, looking, settings.user_ids, closed)
    sample = sample or looking.look(None)
    whose = f" of {sample.user}" if sample.user else ""
    lacking = sample.fields.left_out
    text = f"the report{whose} is open"
    if lacking:
        text += f", but the API refuses to give {', '.join(sorted(lacking))}: null"
    text = "; ".join([text, *closed])
    yield Check("components", True, text, warns=bool(lacking or closed))
    yield _of_sessions(sample)
    yield Check("limits", True, client.pacer.left() or "the API names none")


def _of_start(settings: Settings, zone: Zone) -> Check:
    """Whether there can be sessions since."""
    start = settings.start.value
    if (start if start.tzinfo else zone.to_utc(start)) <= settings.now:
        return Check("start_date", True, settings.start_date)
    text = f"{settings.start_date} lies in the future: there are no sessions to read yet"
    return Check("start_date", True, text, warns=True)


def _open_to(
    users: Sequence[User], looking: Looking, wanted: Collection[int] | None, closed: list[str]
) -> Sample:
    """Partner: a look at the first customer that can be read, by any of its users, as a run does;
    `closed` says who could not be, and why.

    Raises:
        TapError: so many in a row that it is not a customer's fault, or one that never is.
    """
    for user in users[:PATIENCE]:
        for one in (user, *user.others(wanted)):
            try:
                return looking.look(one)
            except TapError as problem:
                closed.append(f"not of {one}: {problem}")
                last = problem
            if not isinstance(last, ApiError) or last.mnemonic != "forbidden":
                break
        if not is_customers(last):
            break
    last.args = ("; ".join(closed),)
    raise last


def _of_sessions(sample: Sample) -> Check:
    """Whether the first sessions are as the stream declares them."""
    name, days = "sample session", sample.back.days
    if not sample.total:
        return Check(name, True, f"none in the last {days} days to look at")
    with _warnings() as said:
        try:
            records = sample.decoder.finish(sample.decoder.rows(sample.data))
        except msgspec.MsgspecError as problem:
            text = f"cannot be read: {problem}. Report it"
            return Check(name, False, text, problem=Unreadable(text))
    validator = Draft202012Validator(sample.schema, format_checker=FormatChecker())
    for record in records:
        plain = msgspec.json.decode(msgspec.json.encode(record))
        for error in validator.iter_errors(plain):
            # Not its message, which shows the value.
            rule = f"{error.validator} {error.validator_value!r}"
            said.append(f"{'.'.join(map(str, error.path))}: not of {rule[:100]}")
    if said:
        text = f"read, though not as declared: report it: {'; '.join(dict.fromkeys(said))}"
        return Check(name, True, text, warns=True)
    return Check(name, True, f"{len(records)} of {sample.total} of {days} days as declared")


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
