"""Which errors another try can mend: what an orchestrator is told."""

from __future__ import annotations

from typing import Any

import pytest

from tap_visitor_sessions.api import CustomersFailed, DailyLimitReached, TapError, passes
from tap_visitor_sessions.api.errors import error_from


def refused(mnemonic: str, **params: Any) -> TapError:
    data = {"mnemonic": mnemonic, "params": params}
    return error_from({"code": -32000, "message": "no", "data": data}, "get.report")


@pytest.mark.parametrize("mnemonic", ["internal_error", "limit_exceeded"])
def test_what_passes(mnemonic: str) -> None:
    assert passes(refused(mnemonic))


@pytest.mark.parametrize(
    "mnemonic",
    [
        "access_token_invalid",
        "access_token_blocked",
        "account_inactive",
        "auth_error",
        "forbidden",
        "ip_not_whitelisted",
        "method_component_disabled",
    ],
)
def test_what_does_not(mnemonic: str) -> None:
    assert not passes(refused(mnemonic))
    assert not passes(DailyLimitReached("the day's points are used up"))


def test_of_several_customers_one_that_passes_is_worth_another_try() -> None:
    passing, staying = refused("internal_error"), refused("forbidden")
    assert passes(CustomersFailed("", [staying, passing]))
    assert not passes(CustomersFailed("", [staying, staying]))
    assert passes(CustomersFailed(""))


def test_what_nobody_has_foreseen_may_pass() -> None:
    assert passes(RuntimeError())
    assert not passes(TapError("a setting"))
