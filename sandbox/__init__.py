"""The CallGear Data API on loopback, with its documented limits, for demos and tests.

Nothing in `tap_visitor_sessions` imports it, and it is no part of the wheel.
"""

from sandbox.data import make_sessions
from sandbox.faults import Faults, Limits
from sandbox.likeness import sandbox_like
from sandbox.server import Call, Sandbox

__all__ = ["Call", "Faults", "Limits", "Sandbox", "make_sessions", "sandbox_like"]
