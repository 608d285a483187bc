"""The tap: its settings, its stream, and the connection that they make."""

from __future__ import annotations

import atexit
import copy
from functools import cached_property
from types import FrameType
from typing import Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.singerlib import StateMessage

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import (
    SCHEMA,
    STREAM,
    Settings,
    SettingsError,
    environment,
    normalized,
    problems,
    storage_problems,
    unknown,
)
from tap_visitor_sessions.sessions import Connection, exit_soon
from tap_visitor_sessions.singer import maps
from tap_visitor_sessions.singer.batches import format_problems
from tap_visitor_sessions.singer.catalog import handed
from tap_visitor_sessions.singer.days import VisitorSessionDays
from tap_visitor_sessions.singer.output import Output
from tap_visitor_sessions.singer.state import check_state
from tap_visitor_sessions.singer.stream import VisitorSessions


class TapVisitorSessions(Tap):
    """Visitor sessions of CallGear, CoMagic and UIS accounts, complete and in order."""

    name = "tap-visitor-sessions"
    package_name = "tap-visitor-sessions"
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SCHEMA)
    message_writer_class = Output

    def __init__(self, *, catalog: object = None, **more: Any) -> None:
        # The SDK would take from it what the stream alone decides, for SCHEMA but not for RECORD.
        self._handed = handed(catalog)
        super().__init__(**more)

    def discover_streams(self) -> list[Stream]:
        """The sessions, and their days. No network."""
        days = VisitorSessionDays(self, self._handed)
        return [VisitorSessions(self, self._handed, lambda: self.connection, days), days]

    def load_streams(self) -> list[Stream]:  # type: ignore[misc]
        """The same, the sessions first: whoever reads a catalog looks there."""
        return self.discover_streams()

    def setup_mapper(self) -> None:
        """The SDK's maps; one that cannot work, or names what is not there, ends the run before
        it begins.

        Raises:
            ConfigError: names `stream_maps`, map and column.
        """
        stream, days = self.streams.values()
        assert isinstance(stream, VisitorSessions)
        maps.check_config(self.config)
        about = (self.config, stream.name, stream.declared)
        found = maps.unknown_names(*about, {days.name}) or maps.dropped_maps(
            self.config, stream.name
        )
        if found:
            raise ConfigError("stream_maps", "; ".join(found))
        for slip in maps.likely_slips(*about):
            self.logger.warning("stream_maps: %s", slip)
        with maps.naming("stream_maps" if self.config.get("stream_maps") else "flattening_enabled"):
            super(Tap, self).setup_mapper()
            # The SDK's own registers no column of a stream that is not selected: maps then fail.
            # A copy: maps change the schema that they are given.
            for one in (stream, days):
                schema, key = copy.deepcopy(one.schema), list(one.primary_keys)
                self.mapper.register_raw_stream_schema(one.name, schema, key)
        maps.check_targets(self.config, self.mapper)
        columns = {one.name: list(one.schema["properties"]) for one in (stream, days)}
        maps.check_expressions(self.config, self.mapper, columns)
        maps.name_failures(self.mapper)

    @cached_property
    def settings(self) -> Settings:
        """The settings, typed."""
        return Settings.from_config(self.config)

    @cached_property
    def connection(self) -> Connection:
        """The client, and what the API tells of the account; made at first use."""
        made = Connection(self.settings, f"{self.name}/{self.plugin_version}")
        atexit.register(made.client.close)  # once STATE and the error line are out
        return made

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

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:
        """Texts as they are: `normalized` reads them, wherever a setting comes from."""
        return dict(environment.texts(cls._env_var_prefix, SCHEMA["properties"]))

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Our own check instead of the SDK's, which shows values of secrets and takes a text for
        no number. From here on the SDK sees the configuration as it is declared.

        Raises:
            SettingsError: what cannot work, in one line; for a discovery nothing is needed.
        """
        found = problems(self._config)
        self._config, _ = normalized(self._config)
        for line in unknown(self._config):
            if raise_errors and line in found:
                continue
            self.logger.warning("Setting %s", line)
        if not raise_errors:
            return found
        if not found and self._config.get("batch_config"):
            batch_config = self._config["batch_config"]
            found = format_problems(batch_config["encoding"]["format"])
            found = found or storage_problems(batch_config)
        if found:
            raise SettingsError(found)
        return found

    def _setup_signal_handlers(self) -> None:
        """Not yet: until the state is loaded, a last STATE would be an empty one."""

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End with a last STATE, and a code that says that it was a signal."""
        self.connection.stop.set()
        exit_soon(128 + signum)

        writer = self.message_writer
        assert isinstance(writer, Output)

        def last_words() -> None:
            sessions = self.streams[STREAM]
            assert isinstance(sessions, VisitorSessions)
            sessions.keep_days()
            # Not through the SDK's StateWriter, which is silent when nothing has changed.
            writer.write_message(StateMessage(value=self.state))
            writer.end(128 + signum)

        writer.when_whole(last_words)
