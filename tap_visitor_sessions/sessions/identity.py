"""Whose account it is: a state is never gone on from with the key of another."""

from __future__ import annotations

import logging
from typing import Any

from tap_visitor_sessions.api import ApiError
from tap_visitor_sessions.sessions.accounts import Connection
from tap_visitor_sessions.sessions.bookmarks import FIX, StateError, StreamState

logger = logging.getLogger("tap-visitor-sessions.identity")

REFUSALS = {
    "forbidden",
    "internal_error",
    "method_component_disabled",
    "method_not_found",
    "parameter_component_disabled",
}
"""Answers that say nothing of the key: the sessions may be open to it all the same."""


def listing(connection: Connection) -> list[dict[str, Any]]:
    """Partner: the customers as `--customers` prints them, each with whose account it is of: what
    the setting `customers_file` takes."""
    rows = connection.account.listing()
    try:
        app_id = connection.account.app_id
    except ApiError as problem:
        if problem.mnemonic not in REFUSALS:
            raise
        logger.info("The API does not say whose account it is: %s", problem)
        app_id = ""
    return [row | {"app_id": app_id} for row in rows]


def check_identity(connection: Connection, state: StreamState) -> None:
    """Note whose bookmarks the state holds; asked at first, and when the login or key has changed.

    A rotated key is no other account. Where the API does not say, nothing is known of it.

    Raises:
        StateError: the state is of another account.
    """
    settings, account = connection.settings, connection.account
    credential = settings.login or settings.access_token or ""
    is_known = state.is_of(credential)
    if is_known and (settings.is_partner or settings.timezone):
        return
    if not settings.is_partner and not settings.timezone:
        account.timezone()  # get.account is asked in any case: its own error says what to do
    try:
        app_id = account.app_id
    except ApiError as problem:
        if problem.mnemonic not in REFUSALS:
            raise
        logger.log(
            logging.WARNING if state.has_credential else logging.INFO,
            "The API does not say whose account it is, so that a key of another account would not "
            "be noticed, and its sessions would be taken for those of the state: %s",
            problem,
        )
        app_id = ""
    if app_id and state.app_id and app_id != state.app_id:
        raise StateError(
            f"The state is of the account with app_id {state.app_id}, and the "
            f"{'login' if settings.login else 'access_token'} is of app_id {app_id}: each account "
            "has a state (a connection, a pipeline) of its own; the setting account tells them "
            f"apart in one table. Or {FIX}"
        )
    if not settings.is_partner and settings.timezone:
        account.compare_timezone()
    if not is_known or (app_id and not state.app_id):
        state.name(app_id, credential)
