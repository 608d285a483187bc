"""The command line: the SDK's options, and what we add to them.

Whatever is wrong with what it is handed (a file that is not there, or is no JSON) ends in a
TapError: one line, which `__main__` prints.
"""

from __future__ import annotations

import codecs
import json
import logging
import sys
from pathlib import Path
from typing import Any

import click
from singer_sdk.plugin_base import SingerCommand, _ConfigInput

from tap_visitor_sessions.api import ConfigError, TapError
from tap_visitor_sessions.config import object_of, text_of
from tap_visitor_sessions.sessions import listing
from tap_visitor_sessions.singer.state import read_state
from tap_visitor_sessions.singer.tap import TapVisitorSessions

logger = logging.getLogger(TapVisitorSessions.name)

REPORT = "--report"


class _Command(SingerCommand):
    """The SDK's, without its hook for errors: `__main__` has the last word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; of what is none nothing is shown, it may be a configuration's."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as problem:
            if "extra argument" not in problem.message:
                raise
            raise TapError("Too many arguments: each option takes the path of one file") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if REPORT in ctx.meta:  # the doctor would have ended it
            raise TapError(f"{REPORT} is the doctor's: write --doctor {REPORT} FILE")
        return click.Command.invoke(self, ctx)


class Command(TapVisitorSessions):
    """Visitor sessions of CallGear, CoMagic and UIS: complete, in order, resumable."""

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command line, and what we add to it."""
        made = super().get_singer_command()
        command = _Command(
            name=made.name,
            callback=made.callback,
            context_settings=made.context_settings,
            params=made.params,
            help=made.help,
            logger=cls.logger,
        )
        for option in command.params:
            if option.name in ("state", "catalog"):
                option.type = click.STRING  # a path: what is wrong with the file we say ourselves
        added = (
            (
                "--customers",
                cls._customers,
                "Partner: list the customers as JSON, each with how it is read, or why not.",
            ),
            (
                "--doctor",
                cls._doctor,
                "Check host, key, address, account, zone, components, "
                "a sample session and limits: each ok, or its fix.",
            ),
        )
        for name, callback, text in added:
            option = click.Option(
                [name], is_flag=True, expose_value=False, callback=callback, help=text
            )
            command.params.append(option)
        report = click.Option(
            [REPORT],
            metavar="FILE",
            is_eager=True,  # before --doctor, which ends the command
            expose_value=False,
            callback=cls._report,
            help="With --doctor: write to FILE how the API behaves, with shapes and no values.",
        )
        command.params.append(report)
        return command

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: str | None = None,
        catalog: str | None = None,
    ) -> None:
        """Run the tap.

        Args:
            state: Path of a state file.
            catalog: Path of a catalog file.

        Raises:
            TapError: with what went wrong and the fix.
        """
        if about:
            cls.print_about(about_format)
            sys.exit(0)
        cls.print_version(print_fn=logger.info)
        config = config or _ConfigInput()
        tap = cls(
            config=config.config,
            state=None if state is None else _state(state),
            catalog=None if catalog is None else object_of(catalog, "catalog"),
            parse_env_config=config.parse_env,
        )
        tap.sync_all()

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """The config files, the later over the earlier, and whether `ENV` is among them."""
        config: dict[str, Any] = {}
        for path in value:
            if path != "ENV":
                config |= object_of(path, "config")
        return _ConfigInput(config=config, parse_env="ENV" in value)

    @classmethod
    def _customers(cls, ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if not wanted:
            return
        tap = cls._configured(ctx)
        if not tap.settings.is_partner:
            raise ConfigError("account_type", "only a partner has customers to list")
        rows = listing(tap.connection)
        is_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
        print(json.dumps(rows, indent=2, ensure_ascii=not is_utf8))
        ctx.exit()

    @classmethod
    def _doctor(cls, ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if not wanted:
            return
        from tap_visitor_sessions.doctor import Check, checks, reported  # take their time

        try:
            tap = cls._configured(ctx)
        except TapError as problem:
            print(Check("settings", False, str(problem)))
            ctx.exit(1)
        # Not by click, which writes UTF-8 where the locale's encoding is ASCII.
        print(Check("settings", True, "valid"))
        all_ok = True
        path = ctx.meta.get(REPORT)
        found = checks(tap.connection)
        if path is not None:
            found = reported(tap.connection, Path(path), tap.plugin_version)
        for check in found:
            print(check, flush=True)
            all_ok = all_ok and bool(check.ok)
        ctx.exit(0 if all_ok else 1)

    @classmethod
    def _report(cls, ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
        if path is not None:
            ctx.meta[REPORT] = path

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """The SDK's `--test`, and what a person wants to know first."""
        if value != "all":
            super().cb_test(ctx, param, value)
            return
        tap = cls._configured(ctx)
        tap.run_connection_test()
        tap._tell_account()
        ctx.exit()

    def _tell_account(self) -> None:
        # Not by the users read: to choose them again would say again who is skipped.
        if self.settings.is_partner:
            rows = self.connection.account.listing()
            zones = [row["timezone"] for row in rows if row["read"]] or [self.settings.timezone]
            zone = zones[0] or "of each customer, as the API says"
        else:
            zone = self.connection.account.timezone().name
        if contradiction := self.connection.account.contradiction():
            self.logger.warning("%s", contradiction)
        self.logger.info(
            "Account: %s. Time zone: %s. Points left: %s",
            self.connection.account.described(),
            zone,
            self.connection.client.pacer.left() or "no limit is named",
        )

    @classmethod
    def _configured(cls, ctx: click.Context) -> Command:
        """The tap as the command line sets it."""
        config = ctx.params.get("config")
        return cls(
            config=config.config if config else None,
            parse_env_config=config.parse_env if config else False,
        )


def _state(path: str) -> dict[str, Any]:
    state, notes, warnings = read_state(text_of(path, "state"), f"The state file {path}")
    for note in notes:
        logger.info("%s", note)
    for warning in warnings:
        logger.warning("%s", warning)
    return state
