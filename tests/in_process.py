"""The tap in this process."""

from __future__ import annotations

import io
import json
import sys
from typing import Any
from unittest.mock import patch

from tap_visitor_sessions.singer.tap import TapVisitorSessions


def messages(config: dict[str, Any], catalog: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    out = io.StringIO()
    with patch.object(sys, "stdout", out):
        TapVisitorSessions(config=dict(config), catalog=json.loads(json.dumps(catalog))).sync_all()
    found = [json.loads(line) for line in out.getvalue().split("\n") if line]
    return [{k: v for k, v in m.items() if k != "time_extracted"} for m in found]
