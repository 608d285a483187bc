"""The file of customers: what `--customers` has printed, taken instead of asking the API."""

from __future__ import annotations

from typing import Any

import msgspec

from tap_visitor_sessions.api import ConfigError, TapError
from tap_visitor_sessions.config.files import json_of

SETTING = "customers_file"


class Listed(msgspec.Struct, frozen=True):
    """A row of the file: a customer, once for each of its users that was wanted.

    Attributes:
        users: All its users; None in what an older version has printed.
        app_id: The partner's, "" where the API did not tell; None where it was not asked.
    """

    customer_id: int
    user_id: int | None = None
    users: tuple[int, ...] | None = None
    name: str | None = None
    status: str | None = None
    app_id: str | None = None

    @property
    def its_users(self) -> tuple[int, ...]:
        """Users of the customer, as far as the row says."""
        own = () if self.user_id is None else (self.user_id,)
        return own if self.users is None else self.users


def customers_of(path: str) -> list[Listed]:
    """The rows of a file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        rows: Any = json_of(path, "customers")
        found = msgspec.convert(rows, list[Listed])
    except TapError as problem:
        raise ConfigError(SETTING, str(problem)) from None
    except msgspec.ValidationError:
        raise ConfigError(SETTING, f"{path} is not what --customers prints") from None
    if not found:
        raise ConfigError(SETTING, f"{path} lists no customer")
    return found
