"""The columns that are asked for: those wanted, without those that the account's API refuses.

Source: the vendor's page on errors. `unexpected_parameters` is a name that the API does not know,
`parameter_component_disabled` one whose component is off; the name stands in `field` or `value`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Protocol, TypeVar

from tap_visitor_sessions.api import ApiError
from tap_visitor_sessions.config import BOOKMARK, KEY

UNKNOWN = "unexpected_parameters"
_REFUSALS = (UNKNOWN, "parameter_component_disabled")
_OTHERS = ("access_token", "user_id", "date_from", "date_till", "filter", "sort", "limit", "offset")
"""Parameters that hold no columns."""

A = TypeVar("A", covariant=True)


class Request(Protocol[A]):
    """Asks for columns."""

    def __call__(self, names: Sequence[str], **more: object) -> A:
        """The answer; further parameters go in place of the request's own."""


class Fields:
    """The columns to ask for. Safe to use from several threads.

    Args:
        wanted: In their order; key and bookmark are never left out.
        left_out: Those of them that are known to be refused.
        tell: Told of further ones, and of the refusal.
        pausing: While it is entered, another request may go.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        left_out: Collection[str] = (),
        tell: Callable[[Sequence[str], ApiError], object] = lambda *_: None,
        pausing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._wanted = wanted
        self._tell = tell
        self._pausing = pausing
        self._lock = threading.Lock()
        self.names = tuple(name for name in wanted if name not in left_out)
        self.refused: frozenset[str] = frozenset()
        """Those that have been refused since."""

    @property
    def left_out(self) -> frozenset[str]:
        """Those wanted that are not asked for."""
        return frozenset(self._wanted) - frozenset(self.names)

    def ask(self, request: Request[A]) -> A:
        """The answer to a request of as many of the columns as the API gives.

        Raises:
            ApiError: it is no column that is refused, or the key or the bookmark.
        """
        while True:
            names = self.names
            try:
                return request(names)
            except ApiError as problem:
                if not self._is_of_columns(problem):
                    raise
                # Who waits for another's search holds up no request.
                with ExitStack() as held:
                    with self._pausing():
                        held.enter_context(self._lock)
                    if self.names == names:
                        self._leave_out(problem, request)

    @staticmethod
    def _is_of_columns(problem: ApiError) -> bool:
        parameter = re.split(r"\W", problem.field or "")[0]
        return problem.mnemonic in _REFUSALS and parameter not in _OTHERS

    def _leave_out(self, problem: ApiError, request: Request[object]) -> None:
        found = self._named(problem) or self._searched(request)
        if not found:
            raise problem
        self.names = tuple(name for name in self.names if name not in found)
        self.refused |= frozenset(found)
        self._tell(found, problem)

    def _named(self, problem: ApiError) -> list[str]:
        """The columns that a refusal names; none where it names more than it can mean."""
        words = {word for text in _texts([problem.field, problem.value]) for word in _words(text)}
        found = [name for name in self.names if name in words]
        return [] if KEY in found or BOOKMARK in found else found

    def _searched(self, request: Request[object]) -> list[str]:
        """The columns that are refused, by halves; none where it is not for them."""

        def is_refused(some: Sequence[str]) -> bool:
            names = [name for name in self.names if name in (KEY, BOOKMARK, *some)]
            try:
                request(names, limit=1, offset=0)
            except ApiError as problem:
                if self._is_of_columns(problem):
                    return True
                raise
            return False

        def among(some: list[str]) -> list[str]:
            """Of some that are refused together."""
            if len(some) == 1:
                return some
            half = len(some) // 2
            found = among(some[:half]) if is_refused(some[:half]) else []
            rest = some[half:]
            return found + (among(rest) if not found or is_refused(rest) else [])

        suspects = [name for name in self.names if name not in (KEY, BOOKMARK)]
        return among(suspects) if suspects and not is_refused(()) else []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
