"""Which errors are one customer's, and when they are the API's or the whole account's."""

from __future__ import annotations

import logging

import pytest

from tap_visitor_sessions.api.errors import (
    ApiError,
    CountMismatch,
    CustomersFailed,
    DailyLimitReached,
    InternalError,
    LimitExceeded,
    SecondTooFull,
    SessionEnded,
    TapError,
    TransientError,
    Unreachable,
    Unreadable,
)
from tap_visitor_sessions.sessions.accounts.failures import Failures, is_customers

OWN = ("ip_not_whitelisted", "forbidden", "method_component_disabled", "limit_exceeded")


def refused(mnemonic: str) -> ApiError:
    kind = {"internal_error": InternalError, "limit_exceeded": LimitExceeded}
    return kind.get(mnemonic, ApiError)(f"no: {mnemonic}", mnemonic=mnemonic)


UNREACHED = [TransientError("504"), Unreachable("gone"), refused("internal_error")]


@pytest.mark.parametrize(
    ("problem", "theirs"),
    [
        *((one, True) for one in UNREACHED),
        *((refused(mnemonic), True) for mnemonic in (*OWN, "account_inactive")),
        (refused("parameter_component_disabled"), True),
        (ApiError("no", mnemonic="invalid_parameter_value", field="user_id"), True),
        (ApiError("no", mnemonic="invalid_parameter_value", field="filter"), False),
        *((kind("no"), True) for kind in (CountMismatch, SecondTooFull, Unreadable)),
        (refused("access_token_blocked"), False),
        (SessionEnded("no", mnemonic="access_token_expired"), False),
        (DailyLimitReached("no"), False),
        (TapError("Stopped"), False),
    ],
)
def test_whose_fault_an_error_is(problem: TapError, theirs: bool) -> None:
    assert is_customers(problem) is theirs
    failures = Failures(skips=True)
    if theirs:
        failures.note("customer 1", problem)
        with pytest.raises(CustomersFailed, match=r"1 of 1 customers could .*: customer 1\."):
            failures.end()
    else:
        with pytest.raises(type(problem)):
            failures.note("customer 1", problem)


@pytest.mark.parametrize("mnemonic", [*OWN, "unreached"])
def test_three_alike_in_a_row_end_the_run(mnemonic: str) -> None:
    """The last of them, or where others have been read an error that says so, names all three."""
    for read in (0, 2):
        failures = Failures(skips=True)
        problems = UNREACHED if mnemonic == "unreached" else [refused(mnemonic) for _ in range(3)]
        for _ in range(read):
            failures.passed()
        failures.note("customer 1", problems[0])
        failures.note("customer 2", problems[1])
        with pytest.raises(TapError) as caught:
            failures.note("customer 3", problems[2])
        assert isinstance(caught.value, CustomersFailed) is bool(read)
        text = str(caught.value)
        assert text.startswith("customer 1, customer 2, customer 3, 3 customers in a row: ")
        assert ("the API is down" in text) is (mnemonic == "unreached")


@pytest.mark.parametrize("between", ["read", "forbidden", "account_inactive", "miscounted"])
def test_whatever_comes_in_between_ends_the_row(between: str) -> None:
    failures = Failures(skips=True)
    for number in range(9):
        failures.note(f"customer {number}", refused("internal_error"))
        if between == "read":
            failures.passed()
        elif between == "miscounted":
            failures.note("customer x", CountMismatch("off"))
        else:
            failures.note("customer x", refused(between))
    with pytest.raises(CustomersFailed, match="could not be read"):
        failures.end()


def test_several_that_fail_for_themselves_end_nothing() -> None:
    failures = Failures(skips=True)
    for number in range(9):
        failures.note(f"customer {number}", refused("account_inactive"))
    failures.passed()
    with pytest.raises(CustomersFailed, match="9 of 10"):
        failures.end()


def test_a_warning_says_whose_list_right_or_component_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    failures = Failures(skips=True)
    words = {"ip_not_whitelisted": "allowlist", "forbidden": "right", **{OWN[2]: "component"}}
    for mnemonic in words:
        failures.note("customer 7", refused(mnemonic))
    for line, word in zip(caplog.messages, words.values(), strict=True):
        assert line.startswith("Skipped customer 7: no: ")
        assert f"The {word} is " in line
        assert "customer's" in line


def test_where_the_first_ends_the_run_it_is_named() -> None:
    failures = Failures(skips=False)
    with pytest.raises(ApiError, match=r"^customer 1: no: forbidden$"):
        failures.note("customer 1", refused("forbidden"))
    with pytest.raises(TransientError, match=r"^customer 1: 504$"):
        failures.note("customer 1", TransientError("504"))
    failures.end()


@pytest.mark.parametrize("before", [0, 2])
def test_a_row_after_others_were_read_says_what_is_complete(before: int) -> None:
    failures = Failures(skips=True)
    failures.passed()
    failures.passed()
    problems: list[TapError] = [refused("account_inactive") for _ in range(before)]
    problems += [refused("forbidden") for _ in range(3)]
    for number, problem in enumerate(problems[:-1], 1):
        failures.note(f"customer {number}", problem)
    with pytest.raises(CustomersFailed) as caught:
        failures.note("the last", problems[-1])
    row = [f"customer {number}" for number in range(before + 1, before + 3)]
    more = "; 2 more could not be read before" if before else ""
    assert str(caught.value) == (
        f"{', '.join(row)}, the last, 3 customers in a row: no: forbidden. So it is the whole "
        f"account's, and the others are not asked{more}. 2 customers are complete: the next run "
        "begins with those not read"
    )
    assert caught.value.causes == tuple(problems)


def test_where_none_was_read_a_row_is_the_problem_itself() -> None:
    failures = Failures(skips=True)
    for number in (1, 2):
        failures.note(f"customer {number}", TransientError("no answer."))
    with pytest.raises(TransientError) as caught:
        failures.note("customer 3", TransientError("no answer."))
    assert str(caught.value) == (
        "customer 1, customer 2, customer 3, 3 customers in a row: no answer. So the API is down"
    )


def test_all_that_could_not_be_read_are_named_at_the_end_with_their_causes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = Failures(skips=True)
    problem = CountMismatch("off")
    failures.missing("user 9", "not among the users of your customers")
    failures.note("customer 2", problem)
    failures.passed()
    assert caplog.messages == [
        "Skipped user 9: not among the users of your customers",
        "Skipped customer 2: off",
    ]
    with pytest.raises(CustomersFailed) as caught:
        failures.end()
    assert str(caught.value) == (
        "2 of 3 customers could not be read, the others are complete: user 9, customer 2. Their "
        "errors are above; exclude_customer_ids leaves out those that never can be"
    )
    missing, other = caught.value.causes
    assert (str(missing), other) == ("not among the users of your customers", problem)


def test_one_that_is_missing_ends_the_run_where_the_first_does() -> None:
    with pytest.raises(CustomersFailed) as caught:
        Failures(skips=False).missing("user 9", "gone")
    assert str(caught.value) == "user 9 cannot be read: gone"
    assert [str(cause) for cause in caught.value.causes] == ["gone"]


def test_a_run_that_has_read_all_ends_well() -> None:
    failures = Failures(skips=True)
    failures.passed()
    failures.end()
