"""The tap: its settings, its stream, and the connection that they make."""

from __future__ import annotations

import copy
import threading
from functools import cached_property
from types import FrameType
from typing import Any, ClassVar

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.singerlib import StateMessage

from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.errors import ConfigError
from tap_visitor_sessions.config.settings import PROPERTIES, SECRETS, Settings, problems
from tap_visitor_sessions.sessions.account import Account
from tap_visitor_sessions.singer.catalog import handed
from tap_visitor_sessions.singer.output import Output, exit_soon
from tap_visitor_sessions.singer.state import check_state
from tap_visitor_sessions.singer.stream import VisitorSessions


class TapVisitorSessions(Tap):
    """Visitor sessions of CallGear, CoMagic and UIS accounts, complete and in order."""

    name = "tap-visitor-sessions"
    package_name = "tap-visitor-sessions"
    config_jsonschema: ClassVar[dict[str, Any]] = PROPERTIES.to_dict()
    message_writer_class = Output

    def __init__(self, *, catalog: object = None, **more: Any) -> None:
        # The SDK would take from it what the stream alone decides, for SCHEMA but not for RECORD.
        self.handed_catalog = handed(catalog)
        super().__init__(**more)

    def discover_streams(self) -> list[VisitorSessions]:
        """The one stream. No network."""
        return [VisitorSessions(self)]

    def setup_mapper(self) -> None:
        """The SDK's maps; one that names what is not there is an error."""
        [stream] = self.streams.values()
        assert isinstance(stream, VisitorSessions)
        about = (self.config, stream.name, stream.declared)
        if found := map_names.problems(*about):
            raise ConfigError("stream_maps", "; ".join(found))
        for slip in map_names.slips(*about):
            self.logger.warning("stream_maps: %s", slip)
        super(Tap, self).setup_mapper()
        # The SDK's own registers no column of a stream that is not selected: maps then fail.
        # A copy: maps change the schema that they are given.
        schema, key = copy.deepcopy(stream.schema), list(stream.primary_keys)
        self.mapper.register_raw_stream_schema(stream.name, schema, key)

    @cached_property
    def settings(self) -> Settings:
        """The settings, typed."""
        return Settings.from_config(self.config)

    @cached_property
    def stop(self) -> threading.Event:
        """Set when the process is to end: wakes whatever sleeps."""
        return threading.Event()

    @cached_property
    def client(self) -> Client:
        """The connection to the API, made at first use."""
        settings = self.settings
        return Client(
            settings.api_url,
            access_token=settings.access_token,
            login=settings.login,
            password=settings.password,
            timeout=settings.request_timeout,
            max_retries=settings.max_retries,
            on_daily_limit=settings.on_daily_limit,
            user_agent=f"{self.name}/{self.plugin_version}",
            stop=self.stop,
        )

    @cached_property
    def account(self) -> Account:
        """What the API tells of the account."""
        return Account(self.client, self.settings)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state; from here on a signal ends the run with a last STATE.

        Raises:
            StateError: it cannot be what a former run has said.
        """
        account = self.config.get("account") or None
        partner = self.config.get("account_type") == "partner"
        for warning in check_state(state, is_partner=partner, account=account):
            self.logger.warning("%s", warning)
        super().load_state(state)
        super()._setup_signal_handlers()

    def disconnect(self) -> None:
        """Log out of a login session, if there is one."""
        self.client.close()

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """The SDK's check by JSON Schema, without values of secrets, and our own."""
        found = []
        try:
            found = super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as problem:
            found = problem.errors
        for name in SECRETS:
            value = self._config.get(name)
            if value not in (None, ""):
                hidden = (line.replace(repr(value), "***") for line in found)
                found = [line.replace(str(value), "***") for line in hidden]
        if not found:
            found = problems(self._config)
        if found and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=found, schema=self.config_jsonschema
            )
        return found

    def _setup_signal_handlers(self) -> None:
        """Not yet: until the state is loaded, a last STATE would be an empty one."""

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End with a last STATE, and a code that says that it was a signal."""
        self.stop.set()
        exit_soon(128 + signum)

        writer = self.message_writer
        assert isinstance(writer, Output)

        def last_words() -> None:
            # Not through the SDK's StateWriter, which is silent when nothing has changed.
            writer.write_message(StateMessage(value=self.state))
            writer.end(128 + signum)

        writer.when_whole(last_words)
