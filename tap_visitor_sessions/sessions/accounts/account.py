"""What the API tells of the account: its time zone, a partner's customers and their users."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from functools import cached_property
from typing import Any

import msgspec

from tap_visitor_sessions.api import (
    ApiError,
    Client,
    ConfigError,
    LimitExceeded,
    TapError,
    TransientError,
    Unreadable,
    count,
    shown,
)
from tap_visitor_sessions.config import Settings, is_zone
from tap_visitor_sessions.sessions.zones import Timezone

logger = logging.getLogger("tap-visitor-sessions.account")

ARCHIVED = "archived"
EXCLUDED = "left out by exclude_customer_ids"
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
NO_USER = "has no user on whose behalf it could be read"
_NO_ZONE = ("forbidden", "method_component_disabled", "method_not_found")
"""Refusals of getobj.account."""


@dataclass(frozen=True)
class Customer:
    """A partner's customer and how it is read.

    Attributes:
        name: As it may be shown.
        status: As `get.customers` says it: `active`, `waiting`, `debt_lock` and others.
        user_id: The user on whose behalf it is read; None when there is none.
        users: All its users, by rising id.
        reason: Why it is not read; None when it is.
    """

    customer_id: int
    name: str | None
    status: str | None
    user_id: int | None
    users: tuple[int, ...]
    reason: str | None

    def __str__(self) -> str:
        return f"customer {self.customer_id}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True)
class User:
    """The user on whose behalf a customer's sessions are read."""

    user_id: int
    customer: Customer

    @property
    def customer_id(self) -> int:
        """Its customer's."""
        return self.customer.customer_id

    def others(self, wanted: Collection[int] | None) -> Iterator[User]:
        """The other users of its customer, by rising id, as far as `user_ids` names them."""
        for user_id in self.customer.users:
            if user_id != self.user_id and (wanted is None or user_id in wanted):
                yield User(user_id, self.customer)

    def __str__(self) -> str:
        return f"{self.customer} as user {self.user_id}"


@dataclass(frozen=True)
class Users:
    """A partner's users, as a run reads them.

    Attributes:
        read: Those on whose behalf it reads, by rising id.
        missing: Those of the setting `user_ids` that cannot be read, each with the reason.
        unread: Customers that cannot be read, though no setting leaves them out: likewise.
    """

    read: Sequence[User]
    missing: Mapping[str, str]
    unread: Mapping[str, str]


class Account:
    """What the API tells of the account, asked once and only when needed."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._timezones: dict[tuple[str, bool], Timezone] = {}
        self._refused_zones: ApiError | None = None  # of the first customer

    def timezone(
        self, user: User | None = None, former: Iterable[int] = (), told: str = ""
    ) -> Timezone:
        """The time zone of the account, or of a partner's user.

        Source: the settings, else `get.account`, for a partner's user `getobj.account`.

        Args:
            former: As in `set_zone`.
            told: What the API has told of a user's zone in a former run: it is not asked again.
        """
        name = self.set_zone(user, former)
        if user is not None and (whose := self._named_by(user, former)) not in (None, user.user_id):
            logger.info(
                "%s is read in the time zone %s, which timezones gives its user %d: name the "
                "customer in customer_timezones",
                *(user, name, whose),
            )
        key = name or (told or self._customer_zone(user) if user else self._asked_zone), bool(name)
        if key not in self._timezones:  # one clock for all of a zone: it remembers
            self._timezones[key] = Timezone(key[0], "setting" if name else "api")
        return self._timezones[key]

    def set_zone(self, user: User | None = None, former: Iterable[int] = ()) -> str | None:
        """What the settings say of the time zone of the account, or of a partner's user.

        Args:
            former: Users of the customer by whom former runs have read it: what `timezones` says
                of one that is gone holds for its successor.
        """
        settings = self._settings
        if user is None:
            return settings.timezone
        whose = self._named_by(user, former)
        if whose is not None:
            return settings.timezones[whose]
        return settings.customer_timezones.get(user.customer_id, settings.timezone)

    def _named_by(self, user: User, former: Iterable[int]) -> int | None:
        """The user of its customer whose zone `timezones` gives."""
        named = (user.user_id, *user.customer.users, *sorted(former))
        return next((one for one in named if one in self._settings.timezones), None)

    def _customer_zone(self, user: User) -> str:
        """The zone of a partner's customer, which no setting gives.

        Raises:
            TapError: the API does not say it either.
        """
        fix = f"Set it in customer_timezones ({user.customer_id}), or timezone for all"
        refusal, name = self._refused_zones, None
        if refusal is None:
            try:
                name = self.described_by_object(user).get("timezone")
            except ApiError as problem:
                if problem.mnemonic not in _NO_ZONE:
                    raise
                refusal = problem
                if problem.mnemonic != "forbidden":
                    self._refused_zones = problem
        if refusal is not None:
            why = str(refusal).rstrip(".")
            text = f"The time zone of {user.customer} is not known: {why}. {fix}"
            raise ApiError(text, mnemonic=refusal.mnemonic)
        if not is_zone(name):
            raise Unreadable(
                f"The API names the time zone of {user.customer} {shown(name)!r}, which is not "
                f"known. {fix}"
            )
        logger.info("The time zone of %s is %s, by the API", user.customer, name)
        return str(name)

    @cached_property
    def profile(self) -> dict[str, Any]:
        """A customer's account: `app_id`, `name`, `timezone`, as they came.

        Source: `get.account`.
        """
        accounts = msgspec.json.decode(self._client.call("get.account").data)
        return dict(accounts[0]) if accounts and isinstance(accounts[0], dict) else {}

    @cached_property
    def app_id(self) -> str:
        """The vendor's id of the account; "" where the answer does not hold it.

        Source: `get.account`, for a partner `getobj.account`, or `customers_file`.
        """
        listed = self._settings.listed
        if listed is not None and listed[0].app_id is not None:
            return listed[0].app_id
        if self._settings.is_partner:
            value = self.described_by_object().get("app_id")
        else:
            value = self.profile.get("app_id")
        # It goes into the state: nothing but an id does.
        is_id = isinstance(value, (int, str)) and _ID.fullmatch(str(value))
        return str(value) if is_id else ""

    def described_by_object(self, user: User | None = None) -> dict[str, Any]:
        """What the API tells of the account, or of the customer of a partner's user: `app_id`,
        `timezone` and others.

        Source: `getobj.account`, which needs the component "Data API for configuration".
        """
        params = {"user_id": user.user_id} if user else {}
        answer = msgspec.json.decode(self._client.call("getobj.account", params).data)
        return answer if isinstance(answer, dict) else {}

    def compare_timezone(self) -> None:
        """Warn where the zone that is set is not the one that the API names, where it was asked."""
        if self._is_asked and (contradiction := self.contradiction()):
            logger.warning("%s", contradiction)

    @property
    def _is_asked(self) -> bool:
        return "profile" in self.__dict__

    @cached_property
    def _asked_zone(self) -> str:
        try:
            name = self.profile.get("timezone")
        except ApiError as problem:
            if problem.mnemonic in ("forbidden", "method_component_disabled"):
                problem.args = (f"{problem} Or set `timezone`: then get.account is not asked.",)
            raise
        if not is_zone(name):
            raise TapError(
                f"The API names the account's time zone {shown(name)!r}, which is not known: "
                "set `timezone`"
            )
        logger.info("The account's time zone is %s", name)
        return str(name)

    def contradiction(self) -> str | None:
        """Why the setting `timezone` of a customer's account is likely wrong, by what the API
        names; None where it is right, or the API does not tell.

        Raises:
            TapError: the API could not be asked; a refusal is none.
        """
        settings = self._settings
        if settings.is_partner or not settings.timezone or self._profile_if_allowed is None:
            return None
        name = self._profile_if_allowed.get("timezone")
        try:
            named = Timezone(str(name), "api").zone
        except Exception:  # of several kinds, for odd names
            return None
        start = settings.start.value.replace(tzinfo=settings.start.value.tzinfo or timezone.utc)
        until = settings.now + timedelta(days=366)
        if self.timezone().zone.differs_from(named, min(start, settings.now), until) is None:
            return None
        return (
            f"timezone is {settings.timezone}, and the API names {shown(name)} as the account's: "
            "all times would be off. Correct timezone, or leave it out"
        )

    @cached_property
    def _profile_if_allowed(self) -> dict[str, Any] | None:
        """`profile`; None where the key may not ask for it."""
        try:
            return self.profile
        except ApiError as problem:
            if isinstance(problem, (TransientError, LimitExceeded)):
                raise
            return None

    def described(self) -> str:
        """Which account it is, for a reader."""
        if not self._settings.is_partner:
            profile = self._profile_if_allowed if self._settings.timezone else self.profile
            if profile is None:
                return "not told: the key may not call get.account"
            name, app_id = (shown(profile.get(member)) for member in ("name", "app_id"))
            return f"{name} (app_id {app_id})"
        listing = self.listing()
        read = sum(row["read"] for row in listing)
        return f"a partner of {len(listing)} customers, {read} of them read"

    def users(self, known: Sequence[int] = ()) -> Users:
        """Partner: the users to read on behalf of, one of each customer.

        Args:
            known: Users read by a former run, those first that are to be kept: a new user of a
                customer does not make it be read by another.
        """
        customers = self.customers(known)
        if self._settings.user_ids is not None:
            return self._wanted(self._settings.user_ids, customers, known)
        users, unread = [], {}
        for customer in customers:
            if customer.reason == EXCLUDED:
                logger.info("Skipped %s: %s", customer, customer.reason)
            elif customer.reason or customer.user_id is None:
                logger.warning("Skipped %s: %s", customer, customer.reason)
                unread[str(customer)] = customer.reason or NO_USER
            else:
                users.append(User(customer.user_id, customer))
        return Users(sorted(users, key=lambda user: user.user_id), {}, unread)

    @staticmethod
    def _wanted(
        wanted: Sequence[int], customers: Sequence[Customer], known: Sequence[int]
    ) -> Users:
        owners = {user: customer for customer in customers for user in customer.users}
        found: dict[int, User] = {}
        missing = {}
        for user_id in sorted(set(wanted), key=_preferred(known)):
            owner = owners.get(user_id)
            if owner is None:
                missing[f"user {user_id}"] = "not among the users of your customers"
            elif owner.reason:
                missing[f"user {user_id} of {owner}"] = owner.reason
            elif (other := found.get(owner.customer_id)) is None:
                found[owner.customer_id] = User(user_id, owner)
            else:
                logger.warning(
                    "user_ids names users %d and %d of %s, who see the same sessions: they are "
                    "read once, as user %d",
                    *(other.user_id, user_id, owner, other.user_id),
                )
        if not found:
            reasons = "; ".join(f"{who}: {reason}" for who, reason in missing.items())
            raise ConfigError("user_ids", reasons)
        return Users(sorted(found.values(), key=lambda user: user.user_id), missing, {})

    def listing(self) -> list[dict[str, Any]]:
        """Partner: each user that is read and each customer that is not, with the reason."""
        wanted, rows = self._settings.user_ids, []
        for customer in self.customers():
            users: list[int | None] = [customer.user_id]
            reason = customer.reason
            if wanted is not None and not reason:
                users = [user for user in customer.users if user in wanted] or [None]
                reason = None if users[0] else "none of its users is among user_ids"
            for place, user_id in enumerate(users):
                if place:
                    reason = f"sees what user {users[0]} sees, by whom its customer is read"
                row = {
                    "customer_id": customer.customer_id,
                    "name": customer.name,
                    "status": customer.status,
                    "user_id": user_id,
                    "users": list(customer.users),
                    "timezone": self.set_zone(User(user_id or 0, customer)),
                    "read": reason is None,
                    "reason": reason,
                }
                rows.append(row)
        return rows

    def customers(self, known: Sequence[int] = ()) -> list[Customer]:
        """Partner: all customers by rising id, archived ones too as long as they have users.

        Source: `get.customer_users` and `get.customers`, or `customers_file`.
        """
        users, listed = self._users_by_customer, self._listed
        return [
            self._customer(id_, tuple(sorted(users.get(id_, ()))), listed, known)
            for id_ in sorted({*users, *(listed or ())})
        ]

    @cached_property
    def _users_by_customer(self) -> dict[int, list[int]]:
        users: dict[int, list[int]] = {}
        if (listed := self._settings.listed) is not None:
            for entry in listed:
                its = users.setdefault(entry.customer_id, [])
                its += [user_id for user_id in entry.its_users if user_id not in its]
            return users
        method = "get.customer_users"
        for row in self._client.items(method, {"fields": ["id", "customer_id"]}):
            customer_id = _whole(row, "customer_id", method)
            users.setdefault(customer_id, []).append(_whole(row, "id", method))
        return users

    @cached_property
    def _listed(self) -> dict[int, tuple[str | None, str | None]] | None:
        """Name and status by customer id; None where the key may not ask for them."""
        if (listed := self._settings.listed) is not None:
            return {one.customer_id: (_text(one.name), one.status) for one in listed}
        # Asked after the users: a customer that comes in between is then one without users.
        _ = self._users_by_customer
        try:
            rows = self._client.items("get.customers", {"fields": ["id", "name", "status"]})
        except ApiError as problem:
            if problem.mnemonic not in ("forbidden", "method_not_found"):
                raise
            logger.warning("The names and statuses of the customers are unknown: %s", problem)
            return None
        return {
            _whole(row, "id", "get.customers"): (_text(row.get("name")), _text(row.get("status")))
            for row in rows
        }

    def _customer(
        self,
        customer_id: int,
        users: tuple[int, ...],
        listed: dict[int, tuple[str | None, str | None]] | None,
        known: Sequence[int],
    ) -> Customer:
        name, status = (listed or {}).get(customer_id, (None, None))
        if listed is not None and customer_id not in listed:
            status = ARCHIVED  # get.customers leaves those out, get.customer_users does not
        chosen = min(users, key=_preferred(known), default=None)
        if customer_id in self._settings.exclude_customer_ids:
            reason: str | None = EXCLUDED
        elif chosen is None:
            reason = NO_USER
        elif status is not None and is_closed(status):
            reason = f"its status is {status}"
        else:
            reason = None
        return Customer(customer_id, name, status, chosen, users, reason)


def _preferred(known: Sequence[int]) -> Callable[[int], tuple[int, int]]:
    """Which of a customer's users comes first: those of former runs, then the smallest id."""
    places = {user: place for place, user in enumerate(known)}
    return lambda user: (places.get(user, len(places)), user)


def is_closed(status: str) -> bool:
    """Whether a customer of this status has no sessions to give. One never met is asked.

    Source: get.customers, whose locks are `manual_lock`, `limit_lock` and `debt_lock`.
    """
    return status == ARCHIVED or status == "locked" or status.endswith("_lock")


def _text(value: object) -> str | None:
    return shown(value) if isinstance(value, (str, int)) and value != "" else None


def _whole(row: object, member: str, method: str) -> int:
    value = count(row.get(member)) if isinstance(row, dict) else None
    if value is None:
        raise TapError(f"{method} lists a row without a usable {member}: report it")
    return value
