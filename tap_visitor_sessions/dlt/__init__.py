"""The dlt source: `pipeline.run(visitor_sessions(access_token=…, start_date=…))`.

Needs the extra `tap-visitor-sessions[dlt]`.
"""

from tap_visitor_sessions.dlt.incomplete import Incomplete, raise_on_incomplete
from tap_visitor_sessions.dlt.source import visitor_sessions

__all__ = ["Incomplete", "raise_on_incomplete", "visitor_sessions"]
