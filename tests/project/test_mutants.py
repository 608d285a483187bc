"""What `dev.py mutants` goes by names what there is; it itself takes too long for the gate."""

from __future__ import annotations

import pytest
from mutants import PACKAGE, ROOT, STRICT, TESTS, Change, changes, functions_of, lines_of, survivors

SURVIVORS = survivors()


def test_what_the_promise_rests_on_is_measured() -> None:
    windows = {f"sessions/windows/{name}" for name in ("windows", "reader", "pipeline")}
    bookmarks = {f"sessions/bookmarks/{name}" for name in ("bookmarks", "state", "positions")}
    assert {*windows, *bookmarks, "sessions/zones", "singer/state"} == STRICT
    records = {f"sessions/records/{name}" for name in ("decoder", "coercion")}
    others = {*records, "sessions/extraction"}
    assert {*STRICT, *others, "api/envelope", "api/limits"} <= set(TESTS)


def test_each_module_has_tests_that_exist() -> None:
    for module, tests in TESTS.items():
        assert (ROOT / PACKAGE / f"{module}.py").exists(), module
        assert tests
        for test in tests:
            assert (ROOT / "tests" / test).exists(), test


def test_survivors_are_of_modules_that_are_measured() -> None:
    assert set(SURVIVORS) <= set(TESTS)
    assert set(TESTS) >= STRICT


@pytest.mark.parametrize("module", SURVIVORS)
def test_each_line_that_may_be_changed_is_there(module: str) -> None:
    source = (ROOT / PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    functions = {name: " ".join(lines_of(text)) for name, text in functions_of(source)}
    for change, why in SURVIVORS[module].items():
        assert change.was in functions[change.function], change
        assert change.was != change.now
        assert why


def test_a_change_is_the_lines_that_differ() -> None:
    mutated = """
def x_f__mutmut_orig(a):
    return min(
        a, 1
    )

def x_f__mutmut_1(a):
    return min(
        None, 1
    )

class C:
    def xǁ_Cǁ__init____mutmut_orig(self):
        return 1

    def xǁ_Cǁ__init____mutmut_2(self):
        return 2
"""
    assert changes(mutated) == {
        "x_f__mutmut_1": Change("f", "a, 1", "None, 1"),
        "xǁ_Cǁ__init____mutmut_2": Change("_C.__init__", "return 1", "return 2"),
    }
