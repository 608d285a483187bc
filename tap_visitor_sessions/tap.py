"""Settings and discovery: what a user can turn, and the connection that it makes."""

from __future__ import annotations

import threading
from functools import cached_property
from types import FrameType
from typing import Any, ClassVar

import click
import msgspec
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.singerlib import StateMessage

from tap_visitor_sessions.account import Account
from tap_visitor_sessions.client import Client
from tap_visitor_sessions.errors import ConfigError
from tap_visitor_sessions.output import Output, exit_soon
from tap_visitor_sessions.settings import PROPERTIES, SECRETS, Settings, problems
from tap_visitor_sessions.streams import VisitorSessions


class TapVisitorSessions(Tap):
    """Visitor sessions of CallGear, CoMagic and UIS accounts, complete and in order."""

    name = "tap-visitor-sessions"
    package_name = "tap-visitor-sessions"
    config_jsonschema: ClassVar[dict[str, Any]] = PROPERTIES.to_dict()
    message_writer_class = Output

    def discover_streams(self) -> list[VisitorSessions]:
        """The one stream. No network."""
        return [VisitorSessions(self)]

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

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command line, and what we add to it."""
        command = super().get_singer_command()
        for name, callback, text in (
            (
                "--customers",
                cls._customers,
                "Partner: list the customers as JSON, each with how it is read, or why not.",
            ),
            (
                "--doctor",
                cls._doctor,
                "Check host, key, address, account, zone, components, "
                "a sample session and limits: each ok, or its cure.",
            ),
        ):
            option = click.Option(
                [name], is_flag=True, expose_value=False, callback=callback, help=text
            )
            command.params.append(option)
        return command

    @classmethod
    def _customers(cls, ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if not wanted:
            return
        tap = cls._configured(ctx)
        if not tap.settings.is_partner:
            raise ConfigError("account_type", "only a partner has customers to list")
        try:
            listing = tap.account.listing()
        finally:
            tap.disconnect()
        click.echo(msgspec.json.format(msgspec.json.encode(listing), indent=2))
        ctx.exit()

    @classmethod
    def _doctor(cls, ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if not wanted:
            return
        from tap_visitor_sessions.doctor import Check, checks  # jsonschema takes its time

        try:
            tap = cls._configured(ctx)
        except ConfigValidationError as problem:
            for error in problem.errors:
                click.echo(Check("settings", False, error))
            ctx.exit(1)
        click.echo(Check("settings", True, "valid"))
        all_ok = True
        schema = tap.streams["visitor_sessions"].schema
        try:
            for check in checks(tap.client, tap.account, tap.settings, schema):
                click.echo(check)
                all_ok = all_ok and bool(check.ok)
        finally:
            tap.disconnect()
        ctx.exit(0 if all_ok else 1)

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """The SDK's `--test`, and what a person wants to know first."""
        if value != "all":
            super().cb_test(ctx, param, value)
            return
        tap = cls._configured(ctx)
        try:
            tap.run_connection_test()
            tap._tell_account()
        finally:
            tap.disconnect()
        ctx.exit()

    def _tell_account(self) -> None:
        # Not by the users read: to choose them again would say again who is skipped.
        rows = self.account.listing() if self.settings.is_partner else []
        zones = (row["timezone"] for row in rows if row["read"])
        self.logger.info(
            "Account: %s. Time zone: %s. Points left: %s",
            self.account.described(),
            next(zones, None) or self.account.zone_name(),
            self.client.pacer.left() or "no limit is named",
        )

    @classmethod
    def _configured(cls, ctx: click.Context) -> TapVisitorSessions:
        """The tap as the command line sets it."""
        config = ctx.params.get("config")
        return cls(
            config=config.config if config else None,
            parse_env_config=config.parse_env if config else False,
        )

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state; from here on a signal ends the run with a last STATE."""
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
