"""The account: its zone, a partner's customers and their users, and the connection to it."""

from tap_visitor_sessions.sessions.accounts.account import User, Users
from tap_visitor_sessions.sessions.accounts.connection import Connection
from tap_visitor_sessions.sessions.accounts.failures import PATIENCE, Failures, is_customers

__all__ = ["PATIENCE", "Connection", "Failures", "User", "Users", "is_customers"]
