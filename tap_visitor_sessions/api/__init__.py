"""The vendor's Data API: bytes, envelope, authentication, limits, errors, one call.

Knows no stream and no host.
"""

from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.envelope import Reply, count
from tap_visitor_sessions.api.errors import (
    MNEMONICS,
    AllowanceSpent,
    ApiError,
    ConfigError,
    CountMismatch,
    CustomersFailed,
    DailyLimitReached,
    LimitExceeded,
    SecondTooFull,
    TapError,
    TransientError,
    Unreachable,
    Unreadable,
    passes,
    unforeseen,
)
from tap_visitor_sessions.api.redaction import holds, keep_secret, printable, redacted, shown
from tap_visitor_sessions.api.repair import TOO_DEEP, without_odd_tokens
from tap_visitor_sessions.api.transport import Arrival

__all__ = [
    "MNEMONICS",
    "TOO_DEEP",
    "AllowanceSpent",
    "ApiError",
    "Arrival",
    "Client",
    "ConfigError",
    "CountMismatch",
    "CustomersFailed",
    "DailyLimitReached",
    "LimitExceeded",
    "Reply",
    "SecondTooFull",
    "TapError",
    "TransientError",
    "Unreachable",
    "Unreadable",
    "count",
    "holds",
    "keep_secret",
    "passes",
    "printable",
    "redacted",
    "shown",
    "unforeseen",
    "without_odd_tokens",
]
