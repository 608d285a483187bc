"""Whose sessions are read, and by which clock."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import msgspec
import pendulum

from tap_visitor_sessions.client import Client
from tap_visitor_sessions.envelope import count
from tap_visitor_sessions.errors import ConfigError, TapError
from tap_visitor_sessions.settings import Settings
from tap_visitor_sessions.zones import Zone

logger = logging.getLogger("tap-visitor-sessions.account")


@dataclass(frozen=True)
class User:
    """A user of a partner's customer, on whose behalf sessions are read."""

    user_id: int
    customer_id: int | None


class Account:
    """What the API tells of the account, asked once and only when needed."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._zones: dict[str, Zone] = {}

    def zone(self, user_id: int | None = None) -> Zone:
        """The zone of the account, or of a partner's user.

        Source: the settings, else `get.account`.
        """
        name = self._settings.timezone or ""
        if user_id is not None:
            name = self._settings.timezones.get(user_id, name)
        name = name or self._asked_zone
        if name not in self._zones:
            self._zones[name] = Zone(pendulum.timezone(name))
        return self._zones[name]

    @cached_property
    def _asked_zone(self) -> str:
        accounts = msgspec.json.decode(self._client.call("get.account").data)
        name = accounts[0].get("timezone") if accounts and isinstance(accounts[0], dict) else None
        try:
            pendulum.timezone(str(name))
        except Exception:
            raise TapError(
                f"The API names the account's time zone {name!r}, which is not known: "
                "set `timezone`"
            ) from None
        logger.info("The account's time zone is %s", name)
        return str(name)

    @cached_property
    def users(self) -> list[User]:
        """Partner: the users to read on behalf of, by rising user id; one per customer
        (the one with the smallest id) unless `user_ids` names them.

        Source: `get.customer_users`.
        """
        listed = [_user(row) for row in self._client.items("get.customer_users")]
        known = {user.user_id: user for user in listed}
        wanted = self._settings.user_ids
        if wanted is not None:
            missing = [user for user in wanted if user not in known]
            if missing:
                raise ConfigError("user_ids", f"not among the users of your customers: {missing}")
            return [known[user] for user in sorted(set(wanted))]
        first: dict[int | None, User] = {}
        for user_id in sorted(known):
            first.setdefault(known[user_id].customer_id, known[user_id])
        for user in first.values():
            logger.info("Customer %s is read as user %s", user.customer_id, user.user_id)
        return sorted(first.values(), key=lambda user: user.user_id)


def _user(row: object) -> User:
    members = row if isinstance(row, dict) else {}
    user_id, customer_id = count(members.get("id")), count(members.get("customer_id"))
    if user_id is None:
        raise TapError("get.customer_users lists a user without a usable id: report it")
    return User(user_id, customer_id)
