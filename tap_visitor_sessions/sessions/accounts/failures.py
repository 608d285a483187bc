"""A partner's customers that cannot be read: which of them end the run, and how it ends."""

from __future__ import annotations

import logging

from tap_visitor_sessions.api import (
    ApiError,
    CountMismatch,
    CustomersFailed,
    SecondTooFull,
    TapError,
    TransientError,
    Unreachable,
    Unreadable,
)

logger = logging.getLogger("tap-visitor-sessions.customers")

PATIENCE = 3
"""So many customers in a row that fail alike: it is the API, or the whole account."""

_UNREACHED = (TransientError, Unreachable)
_OWN = {
    "ip_not_whitelisted": "The allowlist is that customer's own, not the agency's: whoever "
    "administers its account has to add the address (0.0.0.0/0 admits all).",
    "forbidden": "The right is that of the customer's user, granted in the customer's account.",
    "method_component_disabled": "The component is one of the customer's account.",
    "parameter_component_disabled": "The component is one of the customer's account.",
    "limit_exceeded": "The points may be the customer's own: the others are asked.",
}
"""What can be one customer's as well as the whole account's, and whose it is for a customer."""


def is_customers(problem: TapError) -> bool:
    """Whether an error is that of the customer whose sessions were asked for, so that the
    others can still be read."""
    if _alike(problem) is not None:
        return True
    if isinstance(problem, ApiError):
        return problem.mnemonic == "account_inactive" or (
            problem.mnemonic == "invalid_parameter_value" and problem.field == "user_id"
        )
    return isinstance(problem, (CountMismatch, SecondTooFull, Unreadable))


def _alike(problem: TapError) -> str | None:
    """What errors of several customers in a row have in common when they are not theirs."""
    if isinstance(problem, _UNREACHED):
        return "unreached"
    own = isinstance(problem, ApiError) and problem.mnemonic in _OWN
    return problem.mnemonic if isinstance(problem, ApiError) and own else None


class Failures:
    """The customers that could not be read.

    Args:
        skips: Whether the run goes on without them.
    """

    def __init__(self, *, skips: bool) -> None:
        self._skips = skips
        self._failed: list[str] = []
        self._causes: list[TapError] = []
        self._read = 0
        self._row: list[str] = []
        self._alike: str | None = None

    def passed(self) -> None:
        """A customer has been read."""
        self._read += 1
        self._row.clear()

    def note(self, who: str, problem: TapError) -> None:
        """Go on without a customer.

        Raises:
            TapError: the problem, where it ends the run.
        """
        if not is_customers(problem):
            raise problem
        if not self._skips:
            problem.args = (f"{who}: {problem}",)
            raise problem
        alike = _alike(problem)
        if alike is None or alike != self._alike:
            self._row.clear()
        self._alike = alike
        self._row.append(who)
        self._skip(who, problem)
        if alike is not None and len(self._row) >= PATIENCE:
            self._end_at_a_row(problem)

    def _end_at_a_row(self, problem: TapError) -> None:
        fault = "the API is down" if self._alike == "unreached" else "it is the whole account's"
        why = str(problem).rstrip(".")
        line = f"{', '.join(self._row)}, {PATIENCE} customers in a row: {why}. So {fault}"
        if self._read == 0:
            problem.args = (line,)
            raise problem
        # Not the problem itself: what has been read is complete, and hosts keep it.
        more = len(self._failed) - len(self._row)
        before = f"; {more} more could not be read before" if more else ""
        raise CustomersFailed(
            f"{line}, and the others are not asked{before}. {self._read} customers are complete: "
            "the next run begins with those not read",
            self._causes,
        )

    def missing(self, who: str, reason: str) -> None:
        """Note one that was wanted and is known to be unreadable."""
        cause = TapError(reason)
        if not self._skips:
            raise CustomersFailed(f"{who} cannot be read: {reason}", [cause])
        self._skip(who, cause)

    def _skip(self, who: str, cause: TapError) -> None:
        mnemonic = cause.mnemonic if isinstance(cause, ApiError) else None
        why = " ".join(filter(None, (str(cause), _OWN.get(mnemonic or ""))))
        logger.warning("Skipped %s: %s", who, why)
        self._failed.append(who)
        self._causes.append(cause)

    def end(self) -> None:
        """End a run that has read what it could.

        Raises:
            CustomersFailed: not all could be read.
        """
        if self._failed:
            raise CustomersFailed(
                f"{len(self._failed)} of {len(self._failed) + self._read} customers could not be "
                f"read, the others are complete: {', '.join(self._failed)}. Their errors are "
                "above; exclude_customer_ids leaves out those that never can be",
                self._causes,
            )
