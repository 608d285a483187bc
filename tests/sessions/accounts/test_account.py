"""What the API tells of the account: its zone, a partner's customers, their users and zones."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tap_visitor_sessions.api import Client
from tap_visitor_sessions.api.errors import (
    ApiError,
    ConfigError,
    LimitExceeded,
    TapError,
    TransientError,
    Unreadable,
)
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts.account import Account, Customer, User

Answers = Mapping[str, Any]


class Fake:
    """A client with an answer, or an error, by method (or method and user); notes the calls."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        self.calls.append((method, params or {}))
        user = (params or {}).get("user_id")
        answer = self.answers.get(f"{method} {user}", self.answers.get(method))
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(data=json.dumps(answer).encode())

    def items(self, method: str, params: Mapping[str, Any] | None = None) -> list[Any]:
        self.calls.append((method, params or {}))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


def account(answers: Answers, **more: Any) -> Account:
    config = {"access_token": "x", "start_date": "2024-05-01", **more}
    return Account(cast(Client, Fake(answers)), Settings.from_config(config))


def agency(
    users: Mapping[int, Sequence[int]],
    statuses: Mapping[int, str] | None = None,
    *,
    more: Answers | None = None,
    **settings: Any,
) -> Account:
    """A partner whose customers have these users and statuses; "archived" ones are not listed."""
    status = dict.fromkeys(users, "active") | dict(statuses or {})
    answers: dict[str, Any] = {
        "get.customer_users": [
            {"id": user, "customer_id": one} for one, all_ in users.items() for user in all_
        ],
        "get.customers": [
            {"id": one, "name": f"C{one}", "status": how}
            for one, how in status.items()
            if how != "archived"
        ],
    }
    return account({**answers, **(more or {})}, account_type="partner", **settings)


def calls_of(one: Account) -> list[tuple[str, Mapping[str, Any]]]:
    return cast(Fake, one._client).calls


def user_of(user_id: int, customer_id: int, *users: int) -> User:
    whole = Customer(customer_id, "C", "active", user_id, users or (user_id,), None)
    return User(user_id, whole)


def refusal(mnemonic: str, kind: type[ApiError] = ApiError) -> ApiError:
    return kind(f"no ({mnemonic}).", mnemonic=mnemonic)


# A customer's account


def test_its_zone_is_asked_for_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = account({"get.account": [{"app_id": 7, "name": "A", "timezone": "Asia/Omsk"}]})
    zone = one.timezone()
    assert (zone.name, zone.by) == ("Asia/Omsk", "api")
    assert one.timezone() is zone
    assert calls_of(one) == [("get.account", {})]
    assert caplog.messages == ["The account's time zone is Asia/Omsk"]


def test_a_zone_that_is_set_is_not_asked_for() -> None:
    one = account({}, timezone="Asia/Tokyo")
    assert (one.timezone().name, one.timezone().by) == ("Asia/Tokyo", "setting")
    assert one.set_zone() == "Asia/Tokyo"
    assert calls_of(one) == []


@pytest.mark.parametrize("mnemonic", ["forbidden", "method_component_disabled", "auth_error"])
def test_a_zone_that_the_key_may_not_ask_for_can_be_set(mnemonic: str) -> None:
    one = account({"get.account": refusal(mnemonic)})
    with pytest.raises(ApiError) as caught:
        one.timezone()
    fix = f"no ({mnemonic}). Or set `timezone`: then get.account is not asked."
    assert str(caught.value) == (f"no ({mnemonic})." if mnemonic == "auth_error" else fix)


@pytest.mark.parametrize("odd", [None, "", "Mars/Olympus", 3, ["Asia/Omsk"]])
def test_a_zone_that_is_none_is_named(odd: object) -> None:
    one = account({"get.account": [{"timezone": odd}]})
    with pytest.raises(TapError, match=r"The API names the account's time zone .*set `timezone`$"):
        one.timezone()


@pytest.mark.parametrize(("profile", "app_id"), [([{"app_id": 7}], "7"), ([{"app_id": "a"}], "a")])
def test_whose_account_it_is(profile: Any, app_id: str) -> None:
    assert account({"get.account": profile}).app_id == app_id


@pytest.mark.parametrize("profile", [[], [{}], {}, None, [[1]], [{"app_id": [7]}]])
def test_an_account_that_the_answer_does_not_hold(profile: Any) -> None:
    assert account({"get.account": profile}).app_id == ""


@pytest.mark.parametrize(("data", "app_id"), [({"app_id": 7}, "7"), ([{"app_id": 7}], "")])
def test_a_partners_account_is_asked_for_as_an_object(data: Any, app_id: str) -> None:
    one = account({"getobj.account": data}, account_type="partner")
    assert one.app_id == app_id
    assert calls_of(one) == [("getobj.account", {})]


def test_a_zone_that_the_api_contradicts(caplog: pytest.LogCaptureFixture) -> None:
    named = {"get.account": [{"timezone": "Europe/Berlin"}]}
    wrong = account(named, timezone="Europe/Moscow")
    text = (
        "timezone is Europe/Moscow, and the API names Europe/Berlin as the account's: all times "
        "would be off. Correct timezone, or leave it out"
    )
    assert wrong.contradiction() == text
    wrong.compare_timezone()
    assert caplog.messages == [text]
    for right in ("Europe/Berlin", "Europe/Paris"):  # the same clock
        one = account(named, timezone=right)
        assert one.contradiction() is None
    assert account(named).contradiction() is None
    assert agency({}, more=named, timezone="Europe/Moscow").contradiction() is None
    assert account({"get.account": [{"timezone": "?"}]}, timezone="UTC").contradiction() is None
    assert account({"get.account": refusal("forbidden")}, timezone="UTC").contradiction() is None
    caplog.clear()
    unasked = account(named, timezone="Europe/Moscow")
    unasked.compare_timezone()
    assert (caplog.messages, calls_of(unasked)) == ([], [])


def test_a_clock_that_differs_in_summer_alone_contradicts_too() -> None:
    named = {"get.account": [{"timezone": "Europe/London"}]}
    assert account(named, timezone="Africa/Abidjan", start_date="2024-01-01").contradiction()


@pytest.mark.parametrize("kind", [TransientError, LimitExceeded])
def test_a_failure_to_ask_is_no_refusal(kind: type[TapError]) -> None:
    class Failed(kind, ApiError):  # type: ignore[misc,valid-type]
        pass

    one = account({"get.account": Failed("no", mnemonic="internal_error")}, timezone="UTC")
    with pytest.raises(Failed):
        one.contradiction()


def test_how_it_is_described() -> None:
    profile = {"get.account": [{"app_id": 7, "name": "Acme", "timezone": "UTC"}]}
    assert account(profile).described() == "Acme (app_id 7)"
    assert account(profile, timezone="UTC").described() == "Acme (app_id 7)"
    refused = {"get.account": refusal("forbidden")}
    assert account(refused, timezone="UTC").described() == (
        "not told: the key may not call get.account"
    )
    with pytest.raises(ApiError):
        account(refused).described()
    both = agency({1: [10], 2: [20]}, {2: "debt_lock"})
    assert both.described() == "a partner of 2 customers, 1 of them read"


# A partner's customers and users


def test_one_user_of_each_customer_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = agency(
        {3: [31, 30], 1: [12, 11], 2: [], 4: [40], 5: [50], 6: [60]},
        {4: "debt_lock", 5: "archived"},
        exclude_customer_ids=[6],
    )
    users = one.users()
    assert [(user.user_id, user.customer_id) for user in users.read] == [(11, 1), (30, 3)]
    assert str(users.read[0]) == "customer 1 (C1) as user 11"
    assert users.read[0].customer.users == (11, 12)
    assert users.missing == {}
    assert users.unread == {
        "customer 2 (C2)": "has no user on whose behalf it could be read",
        "customer 4 (C4)": "its status is debt_lock",
        "customer 5": "its status is archived",
    }
    assert caplog.messages[:2] == [
        "Skipped customer 2 (C2): has no user on whose behalf it could be read",
        "Skipped customer 4 (C4): its status is debt_lock",
    ]
    assert caplog.messages[-1] == "Skipped customer 6 (C6): left out by exclude_customer_ids"
    levels = {record.args[0].customer_id: record.levelname for record in caplog.records}  # type: ignore[index,union-attr]
    assert levels == {2: "WARNING", 4: "WARNING", 5: "WARNING", 6: "INFO"}
    asked = [("get.customer_users", ["id", "customer_id"])]
    asked += [("get.customers", ["id", "name", "status"])]
    one.users()
    assert [(method, params["fields"]) for method, params in calls_of(one)] == asked


def test_who_could_be_read_in_a_user_s_place() -> None:
    user = user_of(12, 1, 11, 12, 13)
    assert list(user.others(None)) == [User(11, user.customer), User(13, user.customer)]
    assert list(user.others([13, 12])) == [User(13, user.customer)]


@pytest.mark.parametrize(
    ("status", "closed"),
    [
        *((one, True) for one in ("archived", "locked", "manual_lock", "limit_lock")),
        *((one, False) for one in ("active", "waiting", "locked_soon", "")),
    ],
)
def test_customers_of_which_statuses_are_not_read(status: str, closed: bool) -> None:
    one = agency({1: [10]}, {1: status})
    [customer] = one.customers()
    assert (customer.reason is not None) is closed
    assert customer.status == (status or None)


def test_names_that_are_none_and_rows_that_are_no_customers() -> None:
    def named(name: object) -> str | None:
        listed = [{"id": 1, "name": name, "status": "active"}]
        return agency({1: [10]}, more={"get.customers": listed}).customers()[0].name

    assert [named(one) for one in ("A", 7, "", None, ["x"])] == ["A", "7", None, None, None]
    for rows in ([{"id": None}], ["x"], [{"name": "A"}]):
        one = agency({1: [10]}, more={"get.customers": rows})
        with pytest.raises(TapError) as caught:
            one.customers()
        assert str(caught.value) == "get.customers lists a row without a usable id: report it"


def test_users_of_former_runs_are_kept_those_first_that_came_the_furthest() -> None:
    one = agency({1: [11, 12, 13], 2: [20]})
    assert [user.user_id for user in one.users([13, 12]).read] == [13, 20]
    assert [user.user_id for user in one.users([12, 99]).read] == [12, 20]


def test_user_ids_names_whom_to_read(caplog: pytest.LogCaptureFixture) -> None:
    users = {1: [11, 12], 2: [20], 3: [30]}
    one = agency(users, {3: "debt_lock"}, user_ids=[20, 12, 11, 30, 99])
    found = one.users([12])
    assert [(user.user_id, user.customer_id) for user in found.read] == [(12, 1), (20, 2)]
    assert found.missing == {
        "user 30 of customer 3 (C3)": "its status is debt_lock",
        "user 99": "not among the users of your customers",
    }
    assert found.unread == {}
    assert caplog.messages == [
        "user_ids names users 12 and 11 of customer 1 (C1), who see the same sessions: they are "
        "read once, as user 12"
    ]
    with pytest.raises(ConfigError) as caught:
        agency(users, {3: "debt_lock"}, user_ids=[30, 99]).users()
    assert (caught.value.setting, caught.value.reason) == (
        "user_ids",
        "user 30 of customer 3 (C3): its status is debt_lock; user 99: not among the users of "
        "your customers",
    )


@pytest.mark.parametrize("mnemonic", ["forbidden", "method_not_found", "internal_error"])
def test_without_the_right_to_list_them_customers_have_no_name(
    mnemonic: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = agency({1: [10]}, more={"get.customers": refusal(mnemonic)})
    if mnemonic == "internal_error":
        with pytest.raises(ApiError):
            one.customers()
        return
    [customer] = one.customers()
    assert (customer.name, customer.status, customer.reason) == (None, None, None)
    assert str(customer) == "customer 1"
    [line] = caplog.messages
    assert "names and statuses" in line
    assert line.endswith(f": no ({mnemonic}).")


def test_what_is_listed() -> None:
    one = agency(
        {1: [11, 12, 13], 2: [20]},
        {2: "debt_lock"},
        user_ids=[13, 12, 20],
        timezone="UTC",
        customer_timezones={"2": "Asia/Omsk"},
    )
    rows = [
        (row["customer_id"], row["user_id"], row["timezone"], row["read"], row["reason"])
        for row in one.listing()
    ]
    sees = "sees what user 12 sees, by whom its customer is read"
    assert rows == [
        (1, 12, "UTC", True, None),
        (1, 13, "UTC", False, sees),
        (2, 20, "Asia/Omsk", False, "its status is debt_lock"),
    ]
    first = one.listing()[0]
    assert (first["name"], first["status"], first["users"]) == ("C1", "active", [11, 12, 13])
    by_user = agency({1: [11], 2: []}, timezones={"11": "Asia/Tokyo", "1": "UTC", "0": "UTC"})
    assert [row["timezone"] for row in by_user.listing()][:1] == ["Asia/Tokyo"]
    none = agency({1: [11]}, user_ids=[99]).listing()
    assert [(row["user_id"], row["reason"]) for row in none] == [
        (None, "none of its users is among user_ids")
    ]
    assert none[0]["timezone"] is None


# The zone of a partner's customer


def test_the_zone_of_a_user_comes_before_its_customers_and_that_before_all() -> None:
    zones = {"timezones": {"11": "Asia/Tokyo"}, "customer_timezones": {"1": "Asia/Omsk"}}
    one = agency({}, timezone="UTC", **zones)
    named = {
        user_of(11, 1): "Asia/Tokyo",
        user_of(12, 1, 11, 12): "Asia/Tokyo",  # the customer's, whoever is read
        user_of(13, 1): "Asia/Omsk",
        user_of(20, 2): "UTC",
    }
    for user, zone in named.items():
        assert (one.timezone(user).name, one.timezone(user).by) == (zone, "setting")
        assert one.set_zone(user) == zone
    assert calls_of(one) == []


def test_who_says_so_is_each_customers_own() -> None:
    one = agency({}, customer_timezones={"1": "Asia/Omsk"})
    said = [one.timezone(user_of(11, 1)), one.timezone(user_of(20, 2), told="Asia/Omsk")]
    assert [(zone.name, zone.by) for zone in said] == [
        ("Asia/Omsk", "setting"),
        ("Asia/Omsk", "api"),
    ]


def test_what_timezones_says_of_a_user_that_is_gone_holds_for_its_successor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    one = agency({}, timezones={"7": "Asia/Tokyo", "9": "Asia/Omsk"})
    assert one.timezone(user_of(11, 1), [9, 7]).name == "Asia/Tokyo"
    assert one.set_zone(user_of(11, 1), [9]) == "Asia/Omsk"
    assert caplog.messages == [
        "customer 1 (C) as user 11 is read in the time zone Asia/Tokyo, which timezones gives its "
        "user 7: name the customer in customer_timezones"
    ]
    assert one.timezone(user_of(9, 1)).name == "Asia/Omsk"
    assert len(caplog.messages) == 1


def test_where_no_setting_gives_it_the_api_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = agency({}, more={"getobj.account": {"timezone": "Asia/Omsk"}})
    zone = one.timezone(user_of(11, 1))
    assert (zone.name, zone.by) == ("Asia/Omsk", "api")
    assert one.set_zone(user_of(11, 1)) is None
    assert calls_of(one) == [("getobj.account", {"user_id": 11})]
    assert caplog.messages == ["The time zone of customer 1 (C) is Asia/Omsk, by the API"]
    told = one.timezone(user_of(20, 2), told="Asia/Tokyo")
    assert (told.name, told.by) == ("Asia/Tokyo", "api")
    assert len(calls_of(one)) == 1


def test_one_whose_zone_nobody_says_is_named_with_the_fix() -> None:
    odd = agency({}, more={"getobj.account": {"timezone": "Mars/Olympus"}})
    with pytest.raises(Unreadable) as unreadable:
        odd.timezone(user_of(11, 1))
    assert str(unreadable.value) == (
        "The API names the time zone of customer 1 (C) 'Mars/Olympus', which is not known. "
        "Set it in customer_timezones (1), or timezone for all"
    )
    off = agency({}, more={"getobj.account": refusal("method_component_disabled")})
    for user in (user_of(11, 1), user_of(20, 2)):
        with pytest.raises(ApiError) as refused:
            off.timezone(user)
        assert refused.value.mnemonic == "method_component_disabled"
        assert str(refused.value) == (
            f"The time zone of {user.customer} is not known: no (method_component_disabled). "
            f"Set it in customer_timezones ({user.customer_id}), or timezone for all"
        )
    assert len(calls_of(off)) == 1  # the first refusal for the component ends the asking


def test_a_user_without_the_right_to_it_stops_no_other() -> None:
    answers = {
        "getobj.account 11": refusal("forbidden"),
        "getobj.account 20": {"timezone": "Asia/Omsk"},
        "getobj.account 30": refusal("internal_error"),
    }
    one = agency({}, more=answers)
    with pytest.raises(ApiError, match="customer_timezones") as caught:
        one.timezone(user_of(11, 1))
    assert caught.value.mnemonic == "forbidden"
    assert one.timezone(user_of(20, 2)).name == "Asia/Omsk"
    with pytest.raises(ApiError) as passing:
        one.timezone(user_of(30, 3))
    assert str(passing.value) == "no (internal_error)."
