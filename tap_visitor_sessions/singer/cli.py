"""The command line: the SDK's options, and what we add to them."""

from __future__ import annotations

import click
import msgspec
from singer_sdk.exceptions import ConfigValidationError

from tap_visitor_sessions.api.errors import ConfigError
from tap_visitor_sessions.singer.tap import TapVisitorSessions


class Command(TapVisitorSessions):
    """The tap as its command line runs it."""

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
    def _configured(cls, ctx: click.Context) -> Command:
        """The tap as the command line sets it."""
        config = ctx.params.get("config")
        return cls(
            config=config.config if config else None,
            parse_env_config=config.parse_env if config else False,
        )
