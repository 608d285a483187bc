"""The connection that the settings make."""

from __future__ import annotations

import threading

from tap_visitor_sessions.api import Client, keep_secret
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts.account import Account


class Connection:
    """What every host makes of the settings: a client, and what the API tells of the account.

    Attributes:
        stop: Set when the process is to end: wakes whatever sleeps.
    """

    def __init__(self, settings: Settings, user_agent: str) -> None:
        keep_secret(settings.hash_key)
        self.settings = settings
        self.stop = threading.Event()
        self.client = Client(
            settings.api_url,
            access_token=settings.access_token,
            login=settings.login,
            password=settings.password,
            timeout=settings.request_timeout,
            max_retries=settings.max_retries,
            on_daily_limit=settings.on_daily_limit,
            user_agent=user_agent,
            stop=self.stop,
        )
        self.account = Account(self.client, settings)
