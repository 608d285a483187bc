"""The configuration as Airbyte's form has it, and as the settings are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import Settings, core_settings

CREDENTIALS, KIND = "credentials", "auth_type"
"""The form's choice of key or login, and the member that says which it is."""
WAYS: Mapping[str, tuple[str, ...]] = {
    "access_token": ("access_token",),
    "login": ("login", "password"),
}
"""What each choice holds."""


def settings_of(config: Mapping[str, Any]) -> Settings:
    """The settings, whether key and login stand in the form's choice or beside the others.

    Raises:
        TapError: one cannot work.
    """
    flat = dict(config)
    chosen = flat.pop(CREDENTIALS, None)
    if not chosen:
        return core_settings(flat)
    if not isinstance(chosen, Mapping):
        raise ConfigError(CREDENTIALS, "must be an object")
    kind = chosen.get(KIND)
    wanted = WAYS.get(kind) if isinstance(kind, str) else None
    if kind is not None and wanted is None:
        raise ConfigError(CREDENTIALS, f"{KIND} must be one of {', '.join(WAYS)}")
    for name, value in chosen.items():
        if name == KIND or value in (None, ""):
            continue
        if wanted is not None and name not in wanted:
            names = " and ".join(wanted)
            raise ConfigError(CREDENTIALS, f"{name!r} does not go with {KIND} {kind}, only {names}")
        if flat.get(name) not in (None, "", value):
            raise ConfigError(CREDENTIALS, f"{name} is set beside it, to another value")
        flat[name] = value
    return core_settings(flat)
