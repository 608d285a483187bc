"""Meltano's log as the Airflow DAGs pass it on, and the settings of the DAGs. Without Airflow."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import airflow_support  # noqa: F401 - the DAGs' folder
import pytest
from visitor_sessions_log import Log
from visitor_sessions_meltano import Meltano
from visitor_sessions_settings import (
    AtParsing,
    SettingProblem,
    environment,
    kept,
    problems,
    text,
    whole,
)


def logged(*entries: dict[str, Any] | str) -> tuple[Log, list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    log = Log(lambda level, line: lines.append((level, line)))
    for entry in entries:
        log.take(entry if isinstance(entry, str) else json.dumps(entry))
    log.end()
    return log, lines


def test_each_line_has_its_level_and_the_summary_comes_last() -> None:
    _, lines = logged(
        {"event": "Environment 'production' is active", "level": "info"},
        {"event": "Done", "level": "info", "plugin_logger": "tap", "summary": {"points": 3}},
        {"event": "odd", "level": "warning", "plugin_logger": "tap-visitor-sessions.x"},
        "not JSON\n",
        "",
    )
    assert lines == [
        (logging.INFO, "meltano | Environment 'production' is active"),
        (logging.WARNING, "tap-visitor-sessions.x | odd"),
        (logging.INFO, "not JSON"),
        (logging.INFO, "tap | Done"),
    ]


@pytest.mark.parametrize("passes", [True, False])
def test_the_reason_is_the_taps_own_error_whoever_fails_after_it(passes: bool) -> None:
    log, _ = logged(
        {"event": "broken pipe", "level": "error", "name": "target-postgres"},
        {"event": "The key is blocked", "level": "error", "failure": {"passes": passes}},
        {"event": "Extractor failed", "level": "error", "exception": "Traceback\nRunnerError: 1"},
    )
    assert log.reason == "The key is blocked"
    assert log.passes is passes


def test_the_reason_has_the_errors_of_the_customers_that_were_skipped() -> None:
    skipped = {"level": "warning", "plugin_logger": "tap-visitor-sessions.customers"}
    log, _ = logged(
        {"event": "Skipped customer 6: no right", **skipped},
        {"event": "1 of 2 could not be read.", "level": "error", "failure": {"passes": False}},
    )
    assert log.reason == "1 of 2 could not be read. Skipped customer 6: no right"


def test_where_the_loader_fails_the_reason_is_its_first_error() -> None:
    failed = {"type": "OperationalError", "message": "disk full"}
    log, lines = logged(
        {"event": "Unhandled", "level": "error", "plugin_exception": failed},
        {"event": "Loader failed", "level": "error"},
    )
    assert log.reason == "Unhandled (OperationalError: disk full)"
    assert log.passes
    assert len(lines) == 2


def test_a_figure_is_shown_and_a_reason_is_one_line() -> None:
    log, lines = logged(
        {"event": "METRIC", "level": "info", "name": "sdk", "metric_info": {"value": 80}},
        {"event": "first\n  second", "level": "error"},
    )
    assert lines[0] == (logging.INFO, 'sdk | METRIC {"value": 80}')
    assert log.reason == "first second"


def test_a_command_or_project_that_is_not_there_is_named(tmp_path: Path) -> None:
    def check(**settings: str) -> None:
        Meltano({f"VISITOR_SESSIONS_{k}": v for k, v in settings.items()}, lambda *_: None).check()

    check(MELTANO=sys.executable)
    with pytest.raises(SettingProblem, match="VISITOR_SESSIONS_MELTANO: there is no command no"):
        check(MELTANO="no-such-command")
    with pytest.raises(SettingProblem, match="VISITOR_SESSIONS_PROJECT: "):
        check(MELTANO=sys.executable, PROJECT=str(tmp_path))


def test_null_and_empty_are_not_set() -> None:
    environ = {"TAP_VISITOR_SESSIONS_TIMEZONE": "UTC", "VISITOR_SESSIONS_POOL": "", "EMPTY": ""}
    extras = {
        "TAP_VISITOR_SESSIONS_TIMEZONE": None,
        "TAP_VISITOR_SESSIONS_START_DATE": "",
        "TAP_VISITOR_SESSIONS_PAGE_SIZE": 500,
        "TAP_VISITOR_SESSIONS_TIMEZONES": {"11": "UTC"},
    }
    assert environment(environ, extras) == {
        "TAP_VISITOR_SESSIONS_TIMEZONE": "UTC",
        "EMPTY": "",
        "TAP_VISITOR_SESSIONS_PAGE_SIZE": "500",
        "TAP_VISITOR_SESSIONS_TIMEZONES": '{"11": "UTC"}',
    }
    assert text({}, "LOADER", "target-postgres") == "target-postgres"


@pytest.mark.parametrize("value", ["five", "-1", "1.5", "0", "١", "9" * 30])
def test_a_number_that_cannot_work_is_named(value: str) -> None:
    with pytest.raises(SettingProblem, match="VISITOR_SESSIONS_GROUP_SIZE is"):
        whole({"VISITOR_SESSIONS_GROUP_SIZE": value}, "GROUP_SIZE", 1, least=1)
    parsing = AtParsing({"VISITOR_SESSIONS_RETRIES": value})
    assert parsing.whole("RETRIES", 5, least=1) == 5  # the DAG can be imported
    assert any("VISITOR_SESSIONS_RETRIES" in line for line in parsing.told({}))


def test_all_settings_of_tasks_that_cannot_work_are_named_at_once() -> None:
    assert problems({"VISITOR_SESSIONS_GROUP_SIZE": " ", "VISITOR_SESSIONS_KEEP_STATES": "7"}) == []
    wrong = {"VISITOR_SESSIONS_GROUP_SIZE": "0", "VISITOR_SESSIONS_KEEP_STATES": "soon"}
    named = problems(wrong)
    assert [line.split()[0] for line in named] == list(wrong)


def test_states_may_be_kept_longer_than_the_calendar_goes_back() -> None:
    keep = kept({"VISITOR_SESSIONS_KEEP_STATES": "999999999"})
    assert datetime(2024, 8, 20) - keep < datetime(1950, 1, 1)
    assert kept({}) == timedelta(days=30)


def test_a_text_of_which_nothing_can_be_made_leaves_the_default() -> None:
    parsing = AtParsing({"VISITOR_SESSIONS_ASSET": "five"})
    assert parsing.made("ASSET", "5", int) == 5
    assert [line.split(":")[0] for line in parsing.told({})] == ["VISITOR_SESSIONS_ASSET"]


def test_the_listing_needs_no_setting_of_a_day_beside_the_runs_own(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").touch()
    command = tmp_path / "meltano"
    days = ["TAP_VISITOR_SESSIONS_START_DATE", "TAP_VISITOR_SESSIONS_END_DATE"]
    said = f"print(json.dumps([os.environ.get(name) for name in {days}]))"
    command.write_text(f"#!{sys.executable}\nimport json, os\n{said}")
    command.chmod(0o755)
    ours = {"MELTANO": str(command), "PROJECT": str(tmp_path)}
    extras = {f"VISITOR_SESSIONS_{name}": value for name, value in ours.items()}
    meltano = Meltano(extras | {days[1]: "2020-01-01"}, lambda *_: None)
    assert meltano.customers("2024-03-01") == ["2024-03-01", None]
    meltano = Meltano(extras | {days[0]: "2023-01-01"}, lambda *_: None)
    assert meltano.customers() == ["2023-01-01", None]


def test_a_setting_that_stands_in_the_connection_in_vain_is_named() -> None:
    assert AtParsing({}).told({"VISITOR_SESSIONS_POOL": "p", "VISITOR_SESSIONS_QUEUE": None}) == [
        "VISITOR_SESSIONS_POOL counts in the environment only, where the DAGs are parsed: take it "
        "out of the connection"
    ]
