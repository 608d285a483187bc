"""The SDK's own standard tests of a tap, against the sandbox."""

from __future__ import annotations

import atexit

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from sandbox import Sandbox
from tap_visitor_sessions.singer.tap import TapVisitorSessions

_SANDBOX = Sandbox(sessions=200)
_RUNNING = _SANDBOX.running()
_RUNNING.__enter__()
# Not with the module: its tests may be run in several goes.
atexit.register(_RUNNING.__exit__, None, None, None)


TestStandard = get_tap_test_class(
    TapVisitorSessions,
    config={
        "api_url": _SANDBOX.url,
        "access_token": _SANDBOX.token,
        "start_date": "2024-05-01T00:00:00",
        "end_date": "2024-06-01T00:00:00",
    },
    suite_config=SuiteConfig(
        max_records_limit=50, ignore_no_records_for_streams=["visitor_session_days"]
    ),
)
