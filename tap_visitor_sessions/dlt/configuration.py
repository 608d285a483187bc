"""The settings out of dlt's own places: `secrets.toml`, `config.toml`, the environment, vaults.

dlt's injection would end its search without a section, where `TIMEZONE` or `PASSWORD` of a machine
become settings, and would read texts by Python's types. So each name is looked up here, in the
same places and order but for that last one, and its text means what `docs/settings.md` says.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    LookupTrace,
    ValueNotSecretException,
)
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.vault import VaultDocProvider
from dlt.common.configuration.specs import BaseConfiguration, PluggableRunContext, configspec
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.typing import AnyType, ConfigValueSentinel, TSecretStrValue

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import (
    GUARDS,
    SCHEMA,
    SINGERS,
    SettingsError,
    foreign,
    is_unset,
    spelled_out,
    unknown,
)

logger = logging.getLogger("tap-visitor-sessions.dlt")

F = TypeVar("F", bound=Callable[..., Any])

CREDENTIALS = ["access_token", "login", "password"]
SECRETS = frozenset({*CREDENTIALS, "hash_key"})
"""Looked up as secrets: dlt refuses them in `config.toml`."""
OWN: dict[str, dict[str, Any]] = {
    "select": {"type": "array", "items": {"type": "string"}},
    "child_tables": {"type": "boolean"},
}
"""Arguments of this source alone, as JSON Schemas."""
SURELY = 0.8
"""How alike a name is to one that must be meant."""


@configspec
class Arguments(BaseConfiguration):
    """The arguments of the source that dlt is to resolve: none."""


@configspec
class VisitorSessions(BaseConfiguration):
    """The name that dlt's errors give to the settings."""


class Places:
    """Where dlt keeps the settings of the source that is being made."""

    def __init__(self) -> None:
        context = Container()[ConfigSectionContext]
        whole = tuple(context.sections)
        self._sections = [whole[:length] for length in range(len(whole), 0, -1)]
        if whole[1:2] != whole[2:3]:
            self._sections.insert(1, (whole[0], whole[2]))  # a clone with a section of its own
        self._pipelines = [context.pipeline_name or "", ""] if context.pipeline_name else [""]
        self._traces: dict[str, list[LookupTrace]] = {}

    def find(self, name: str) -> Any:
        """The value of a setting, None where there is none.

        Raises:
            ValueNotSecretException: a secret lies where dlt takes none from.
        """
        is_secret = name in SECRETS
        hint: Any = TSecretStrValue if is_secret else AnyType
        traces = self._traces.setdefault(name, [])
        for provider, pipeline, sections in self._all():
            value, key = provider.get_value(name, hint, pipeline, *sections)
            if value is not None and is_secret and not provider.supports_secrets:
                raise ValueNotSecretException(provider.name, key)
            if provider.supports_secrets or not is_secret:
                traces.append(LookupTrace(provider.name, list(sections), key, None))
            if value is not None:
                return value
        return None

    def unknown(self, known: Sequence[str]) -> set[str]:
        """Names that stand beside the settings and are none; of sections those that are nearly
        one, since dlt keeps what is its own in sections there too."""
        found: dict[str, bool] = {}
        for provider, pipeline, sections in self._all():
            if len(sections) > 1:
                found |= _held(provider, pipeline, sections)
        return {
            name
            for name, is_section in found.items()
            if name not in known and (not is_section or _nearest(name, [*known, *SINGERS], SURELY))
        }

    def missing(self, names: Sequence[str]) -> ConfigFieldMissingException:
        """dlt's error of settings that are nowhere, with the places that were looked at."""
        traces = {name: list(self._traces.get(name, [])) for name in names}
        return ConfigFieldMissingException(VisitorSessions(), cast(Any, traces))

    def _all(self) -> Iterator[tuple[ConfigProvider, str, tuple[str, ...]]]:
        providers = Container()[PluggableRunContext].providers.providers
        for pipeline in self._pipelines:
            for provider in providers:
                if not provider.is_empty and provider.supports_sections:
                    for sections in self._sections:
                        yield provider, pipeline, sections


def _held(provider: ConfigProvider, pipeline: str, sections: tuple[str, ...]) -> dict[str, bool]:
    """The names in a section, and whether each is a section itself. Vaults list no names."""
    if isinstance(provider, EnvironProvider):
        prefix = provider.get_key_name("", *filter(None, (pipeline, *sections)))
        names = [name.removeprefix(prefix) for name in os.environ if name.startswith(prefix)]
        return {name.split("__")[0].lower(): "__" in name for name in names}
    if isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
        held, _ = provider.get_value(sections[-1], AnyType, pipeline, *sections[:-1])
        if isinstance(held, Mapping):
            return {str(name): isinstance(value, Mapping) for name, value in held.items()}
    return {}


def _nearest(name: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def looked_up(source: F) -> F:
    """A source whose arguments come from dlt's places where they are not given.

    None that is given is a value too, as with dlt: not set, and not looked up.

    Raises:
        ConfigFieldMissingException: what is required is neither given nor there.
        SettingsError: an argument is unknown, or a name there is nearly that of a setting which
            keeps values from leaving.
    """
    signature = inspect.signature(source)
    names = list(signature.parameters)

    @functools.wraps(source)
    def filled(*args: Any, **kwargs: Any) -> Any:
        if wrong := unknown(name for name in kwargs if name not in names):
            raise SettingsError(wrong)
        bound = signature.bind_partial(*args, **kwargs).arguments
        given = {k: v for k, v in bound.items() if not isinstance(v, ConfigValueSentinel)}
        places = Places()
        wanted = [name for name in names if name not in given and not _replaced(name, given)]
        values = dict.fromkeys(names) | {name: places.find(name) for name in wanted} | given
        for name in sorted(places.unknown(names)):
            if name in SINGERS:
                logger.warning("Setting %s", foreign(name))
                continue
            near = _nearest(name, [*names, *SINGERS])
            if near in GUARDS:
                where = "[sources.visitor_sessions]"
                line = f"{' '.join(name.split())} of {where}: unknown: did you mean {near}?"
                raise SettingsError([line])
            logger.warning(
                "Setting %s of [sources.visitor_sessions]: unknown%s",
                " ".join(name.split()),
                f": did you mean {near}?" if near else "",
            )
        missing = [name for name in SCHEMA["required"] if is_unset(values[name])]
        if all(is_unset(values[name]) for name in CREDENTIALS):
            missing = [*CREDENTIALS, *missing]
        if missing:
            raise places.missing(missing)
        return source(**values)

    return cast(F, filled)


def _replaced(name: str, given: Mapping[str, Any]) -> bool:
    """Whether it is a credential, and one of the other kind is given."""
    if name == "access_token":
        return bool(given.get("login") or given.get("password"))
    return name in CREDENTIALS and bool(given.get("access_token"))


def own_settings(select: Any, child_tables: Any) -> tuple[list[str] | None, bool]:
    """The arguments of this source alone, however they are spelled.

    Raises:
        ConfigError: one is not what it must be.
    """
    found: dict[str, Any] = {"select": None, "child_tables": False}
    for name, value in {"select": select, "child_tables": child_tables}.items():
        if not is_unset(value):
            try:
                found[name] = spelled_out(value, OWN[name])
            except ValueError:
                wanted = "true or false" if name == "child_tables" else "a list of columns"
                raise ConfigError(name, f"must be {wanted}") from None
    return found["select"], found["child_tables"]
