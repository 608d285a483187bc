"""What can go wrong with the Data API, and what a user does about it.

Every message is one line, says what went wrong and how to fix it, and never holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tap_visitor_sessions.api.redaction import shown

_IP = re.compile(
    r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4})(?![\w:])"
)
_COMPONENT = re.compile(r"[A-Za-z][\w.]*")
_SESSION_COMPONENTS = ("call_tracking", "consultant", "lead", "sitephone")


class TapError(Exception):
    """Base of all errors of this tap; the message is meant for the user."""


class ConfigError(TapError):
    """A setting that cannot work."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"Setting {setting}: {reason}")
        self.setting = setting
        self.reason = reason


class ApiError(TapError):
    """The API answered with an `error` member."""

    def __init__(
        self,
        message: str,
        *,
        mnemonic: str | None = None,
        code: int | None = None,
        field: str | None = None,
        value: object = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.mnemonic = mnemonic
        self.code = code
        self.field = field
        self.value = value
        self.params: dict[str, Any] = dict(params or {})


class LimitExceeded(ApiError):
    """The points of a day or a minute are used up; `reset` is in seconds, None when not named."""

    limit_type: str | None = None
    reset: float | None = None
    is_customers: bool = False
    """Whether they are taken for those of a partner's customer alone."""


class DailyLimitReached(TapError):
    """The day's points are used up and the user chose not to wait; they come back in `reset`
    seconds."""

    reset: float = 0.0


class SessionEnded(ApiError):
    """The access token is expired or unknown; a login can bring a new one."""


class TransientError(TapError):
    """A failure that may pass: worth a retry. `retry_after` (seconds) is what the server asked."""

    retry_after: float | None = None


class InternalError(TransientError, ApiError):
    """The API's own `internal_error`."""


class Unreachable(TapError):
    """No connection could be made."""


class AllowanceSpent(TapError):
    """As many points as may be spent have been, or none are left for the day."""


class CountMismatch(TapError):
    """The rows received do not add up to the number the API promised."""


class SecondTooFull(TapError):
    """One second holds more sessions than the API can ever hand out."""


class Unreadable(TapError):
    """An answer arrived whole, and its sessions cannot be read."""


class CustomersFailed(TapError):
    """Partner: some customers could not be read; the others were. `causes` has why, of each."""

    def __init__(self, message: str, causes: Iterable[TapError] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


def passes(problem: BaseException) -> bool:
    """Whether another try within the hour can do what this one could not; of customers that
    failed, whether it can for one of them. What nobody has foreseen may pass."""
    if isinstance(problem, CustomersFailed):
        return not problem.causes or any(map(passes, problem.causes))
    if isinstance(problem, LimitExceeded):
        return problem.limit_type != "day"
    passing = (TransientError, Unreachable, CountMismatch, Unreadable)
    return isinstance(problem, passing) or not isinstance(problem, TapError)


def unforeseen(problem: BaseException) -> str:
    """What is told of an error that nobody has foreseen: its kind and place. Its text may hold
    anything, a secret too."""
    if isinstance(problem, MemoryError):
        return "The memory does not suffice: give it more, or set page_size or concurrency to less"
    at = problem.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f" in {at.tb_frame.f_globals.get('__name__')}, line {at.tb_lineno}" if at else ""
    return f"Unforeseen ({type(problem).__name__}{where}): please report it"


def error_from(error_member: Mapping[str, Any], method: str) -> ApiError:
    """Turn a JSON-RPC `error` member into an exception, deciding by mnemonic, never by code."""
    data = error_member.get("data")
    data = data if isinstance(data, dict) else {}
    mnemonic = _plain(data.get("mnemonic")) or None
    code = error_member.get("code")
    params = data.get("params")
    message = _text(error_member.get("message")) or "no message"
    kind = _KINDS.get(mnemonic or "", ApiError)
    describe = _TEXTS.get(mnemonic or "", _unknown)
    error = kind(
        describe(message, data, method),
        mnemonic=mnemonic,
        code=code if isinstance(code, int) else None,
        field=_plain(data.get("field")) or None,
        value=data.get("value"),
        params=params if isinstance(params, dict) else None,
    )
    if isinstance(error, LimitExceeded):
        error.limit_type = _limit_type(error.params)
        error.reset = _reset(error.limit_type, error.params, limits_of(data))
    return error


def limits_of(holder: object) -> dict[str, Any] | None:
    """Return the meters under `holder.metadata.limits`, or None."""
    if not isinstance(holder, dict):
        return None
    # get.account spells the member meta_data.
    metadata = holder.get("metadata") or holder.get("meta_data")
    limits = metadata.get("limits") if isinstance(metadata, dict) else None
    return limits if isinstance(limits, dict) and limits else None


def number(value: object) -> float | None:
    """Return a finite, non-negative number given as number or string, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if 0 <= result < float("inf") else None


def _limit_type(params: Mapping[str, Any]) -> str | None:
    given = params.get("limit_type")
    return given if given in ("day", "minute") else None


def _reset(
    kind: str | None, params: Mapping[str, Any], limits: Mapping[str, Any] | None
) -> float | None:
    names = ("reset",) if kind is None else (f"{kind}_reset", "reset")
    for holder in (limits or {}, params):
        for name in names:
            if (value := number(holder.get(name))) is not None:
                return value
    return None


def _plain(value: object) -> str:
    """A value as it came; nothing for None and containers."""
    return str(value) if isinstance(value, (str, int, float)) else ""


def _text(value: object) -> str:
    """The same as it may be shown."""
    return shown(text) if (text := _plain(value)) else ""


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield shown(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _ip(message: str, data: Mapping[str, Any], _method: str) -> str:
    sources = [data.get("params"), message, data.get("extended_helper"), data.get("value")]
    found = next((hit.group() for text in _strings(sources) if (hit := _IP.search(text))), None)
    who = f"Your IP {found}" if found else "This machine's IP"
    return (
        f"{who} is not on the account's allowlist: add it under Administrator → Account → "
        "Rules and security settings → API."
    )


def _component(message: str, data: Mapping[str, Any], method: str) -> str:
    names = list(
        dict.fromkeys(
            name
            for text in _strings(data.get("params"))
            for name in text.replace(",", " ").split()
            if _COMPONENT.fullmatch(name)
        )
    )
    if not names:
        texts = " ".join(_strings([message, data.get("extended_helper"), data.get("value")]))
        names = [name for name in _SESSION_COMPONENTS if name in texts]
    if names:
        which = f"a disabled component of the account: {', '.join(names)}"
    elif "visitor_sessions" in method:
        which = f"one of the components {', '.join(_SESSION_COMPONENTS)}, and none is enabled"
    else:
        which = "a component that the account has disabled"
    field = _text(data.get("field"))
    what = f"The column or parameter {field} of {method}" if field else f"The method {method}"
    fix = "; or deselect that column" if field else ""
    return f"{what} needs {which}. Ask the vendor to enable it{fix}. The API says: {message}"


def _parameter(message: str, data: Mapping[str, Any], method: str) -> str:
    field = _text(data.get("field"))
    where = f" in {field}" if field else ""
    if field.split(".")[0].split("[")[0] == "user_id":
        fix = "Check the settings account_type and user_ids."
    elif field.split(".")[0].split("[")[0] in ("limit", "offset"):
        fix = "Check the setting page_size."
    else:
        fix = "Check the setting filter; without a filter this is a bug of the tap: report it."
    return f"{method} was refused for a bad parameter{where}: {message} {fix}"


def _forbidden(_message: str, _data: Mapping[str, Any], method: str) -> str:
    kind = {
        "get.account": "; a partner's account needs account_type partner",
        "get.customers": "; only a partner's account has customers: see account_type",
        "get.customer_users": "; only a partner's account has customers: see account_type",
    }.get(method, "")
    return (
        f"The user has no right to call {method}: grant it in the client area, or use the key of "
        f"a user who has it{kind}."
    )


def _partner_hint(message: str, data: Mapping[str, Any], method: str) -> str:
    field = _text(data.get("field"))
    if field == "user_id":
        return (
            f"{method} needs user_id: this account is a partner's. Set account_type to partner, "
            "and user_ids to read only some users."
        )
    return _parameter(message, data, method)


def _filter(message: str, data: Mapping[str, Any], method: str) -> str:
    field = _text(data.get("field")) or "a field"
    return (
        f"{method} cannot be filtered as asked ({field}): {message} "
        "Change the setting filter: not every column can be filtered."
    )


def _sort(message: str, data: Mapping[str, Any], method: str) -> str:
    field = _text(data.get("field")) or "a field"
    return f"{method} cannot be sorted by {field}: {message} This is a bug of the tap: report it."


def _bug(message: str, _data: Mapping[str, Any], method: str) -> str:
    return f"{method} was refused: {message} This is a bug of the tap: report it."


def _unknown(message: str, data: Mapping[str, Any], method: str) -> str:
    mnemonic = _text(data.get("mnemonic"))
    helper = _text(data.get("extended_helper"))
    label = f" ({mnemonic})" if mnemonic else ""
    return f"{method} failed: {message}{label}" + (f" {helper}" if helper else "")


def _fixed(text: str) -> Callable[[str, Mapping[str, Any], str], str]:
    return lambda _message, _data, method: text.format(method=method)


_KINDS: dict[str, type[ApiError]] = {
    "limit_exceeded": LimitExceeded,
    "access_token_expired": SessionEnded,
    "access_token_invalid": SessionEnded,
    "internal_error": InternalError,
}

_TEXTS: dict[str, Callable[[str, Mapping[str, Any], str], str]] = {
    "limit_exceeded": _fixed("The account's API points are used up; they come back at the reset."),
    "access_token_expired": _fixed(
        "The access token has expired: issue a new key in the client area and set access_token."
    ),
    "access_token_invalid": _fixed(
        "The access token is unknown to the API: check access_token, and that api_url is the "
        "host of the brand the account lives on."
    ),
    "access_token_blocked": _fixed(
        "The access token is blocked: unblock it or issue a new key in the client area."
    ),
    "auth_error": _fixed(
        "Wrong login or password: check the settings login and password, and that api_url is "
        "the host of the brand the account lives on."
    ),
    "ip_not_whitelisted": _ip,
    "forbidden": _forbidden,
    "method_component_disabled": _component,
    "parameter_component_disabled": _component,
    "account_inactive": _fixed(
        "The account is inactive: ask the vendor to activate it (often an unpaid bill)."
    ),
    "internal_error": _fixed(
        "The API failed inside (internal_error) on {method}: try again later."
    ),
    "method_not_found": _fixed(
        "The API does not know {method}: check that api_url ends with the version, like /v2.0."
    ),
    "parse_error": _bug,
    "invalid_request": _bug,
    "date_interval_limit_reached": _bug,
    "notifications_not_supported": _bug,
    "batch_operations_not_supported": _bug,
    "required_parameter_missed": _partner_hint,
    "data_type_error": _parameter,
    "invalid_parameter_value": _parameter,
    "unexpected_parameters": _parameter,
    "invalid_parameters_combination": _parameter,
    "error": _parameter,
    "filter_prohibited": _filter,
    "sort_prohibited": _sort,
}
MNEMONICS = frozenset(_TEXTS)
"""Those of the vendor's page on errors."""
