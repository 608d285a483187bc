"""What the DAGs tell Airflow to mask in a task's log."""

from __future__ import annotations

import json
import sys

import pytest
from support import ROOT

sys.path.insert(0, str(ROOT / "orchestrate" / "airflow" / "dags"))

from visitor_sessions_meltano import Meltano

from tap_visitor_sessions.config.settings import SENSITIVE


def masked(name: str, value: str) -> set[str]:
    before, after = (Meltano(extras, lambda *_: None) for extras in ({}, {name: value}))
    return after.secrets({}) - before.secrets({})


@pytest.mark.parametrize(
    "name",
    [
        *(f"TAP_VISITOR_SESSIONS_{name.upper()}" for name in sorted(SENSITIVE)),
        "TAP_VISITOR_SESSIONS_STREAM_MAPS",
        "TARGET_POSTGRES_SQLALCHEMY_URL",
        "TARGET_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE",
        "TARGET_BIGQUERY_CREDENTIALS_JSON",
        "MELTANO_DATABASE_URI",
        "MELTANO_STATE_BACKEND_AZURE_CONNECTION_STRING",
        "AWS_SECRET_ACCESS_KEY",
        "AZURE_STORAGE_CONNECTION_STRING",
        "PGPASSWORD",
        "https_proxy",
        "HTTPS_PROXY",
    ],
)
def test_a_variable_that_can_hold_a_secret_is_masked(name: str) -> None:
    assert masked(name, "s3cr3t-word") == {"s3cr3t-word"}


def test_what_of_a_value_is_a_secret_by_itself_is_masked_too() -> None:
    assert "p@ss" in masked("TARGET_POSTGRES_SQLALCHEMY_URL", "postgresql://u:p%40ss@h/d")
    config = {"storage": {"root": "x", "params": {"key": ["s3cr3t-word"]}}}
    assert "s3cr3t-word" in masked("TAP_VISITOR_SESSIONS_BATCH_CONFIG", json.dumps(config))


@pytest.mark.parametrize(
    "name",
    ["TAP_VISITOR_SESSIONS_API_URL", "TAP_VISITOR_SESSIONS_USER_IDS", "TARGET_POSTGRES_USER"],
)
def test_what_a_log_needs_is_not(name: str) -> None:
    assert masked(name, "some-value") == set()


def test_of_a_connection_all_is_masked_but_what_is_known_to_be_no_secret() -> None:
    extras = {
        "TARGET_OTHER_WORD": "s3cr3t-word",
        "TAP_VISITOR_SESSIONS_START_DATE": "2024-01-01",
        "VISITOR_SESSIONS_GROUP_SIZE": "20",
    }
    command = Meltano(extras, lambda *_: None)
    assert command.secrets(extras) - command.secrets({}) == {"s3cr3t-word"}
