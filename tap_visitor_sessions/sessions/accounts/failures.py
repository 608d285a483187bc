"""A partner's customers that cannot be read: which of them end the run, and how it ends."""

from __future__ import annotations

import logging

from tap_visitor_sessions.api import (
    ApiError,
    CountMismatch,
    CustomersFailed,
    InternalError,
    SecondTooFull,
    TapError,
    Unreadable,
)

logger = logging.getLogger("tap-visitor-sessions.customers")

PATIENCE = 3
"""So many customers in a row with an internal error: the API is at fault, not the customers."""

_MNEMONICS = {
    "account_inactive",
    "forbidden",
    "internal_error",
    "method_component_disabled",
    "parameter_component_disabled",
}


def is_customers(problem: TapError) -> bool:
    """Whether an error is that of the customer whose sessions were asked for, so that the
    others can still be read."""
    if isinstance(problem, ApiError):
        return problem.mnemonic in _MNEMONICS or (
            problem.mnemonic == "invalid_parameter_value" and problem.field == "user_id"
        )
    return isinstance(problem, (CountMismatch, SecondTooFull, Unreadable))


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
        self._internal_errors = 0  # in a row

    def passed(self) -> None:
        """A customer has been read."""
        self._read += 1
        self._internal_errors = 0

    def note(self, who: str, problem: TapError) -> None:
        """Go on without a customer, or raise the problem where it ends the run."""
        self._internal_errors += isinstance(problem, InternalError)
        if not self._skips and is_customers(problem):
            problem.args = (f"{who}: {problem}",)
        if not self._skips or not is_customers(problem) or self._internal_errors >= PATIENCE:
            raise problem
        self._skip(who, problem)

    def missing(self, who: str, reason: str) -> None:
        """Note one that was wanted and is known to be unreadable."""
        cause = TapError(reason)
        if not self._skips:
            raise CustomersFailed(f"{who} cannot be read: {reason}", [cause])
        self._skip(who, cause)

    def _skip(self, who: str, cause: TapError) -> None:
        logger.warning("Skipped %s: %s", who, cause)
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
