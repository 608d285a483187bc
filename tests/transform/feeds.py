"""Accounts with journeys in sandboxes: whose ids meet, whose clocks differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from reckoning import Account

from sandbox import Sandbox
from sandbox.journeys import Journeys, make_journeys

ZONES = ("Europe/Berlin", "Asia/Yekaterinburg")
"""One with a change of its clocks within the data, one in UTC+5."""
SPAN = {"start_date": "2024-08-01", "end_date": "2024-12-31"}
LOOK_BACK, CHANGES_FROM = "P60D", "2024-11-03"
"""A run reads again what is younger; so far back sessions change."""


@dataclass(frozen=True)
class Held:
    """An account in a sandbox: its user there, and what the tables call it."""

    sandbox: Sandbox
    zone: str
    journeys: Journeys
    account: str | None = None
    customer_id: int | None = None
    user: int | None = None
    gone: list[dict[str, Any]] = field(default_factory=list)
    """Sessions that went, and are in the table still."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the API has now."""
        return self.sandbox.rows(self.user)

    @property
    def later(self) -> list[dict[str, Any]]:
        """What the API has once sessions have changed, come late and gone."""
        old = [row for row in self.journeys.rows if row["date_time"] < CHANGES_FROM]
        young = [row for row in self.journeys.later_rows if row["date_time"] >= CHANGES_FROM]
        return old + young

    def hold(self, rows: list[dict[str, Any]]) -> None:
        """From now on the API has these."""
        held, kept = self.rows, {row["id"] for row in rows}
        self.gone[:] = [row for row in [*self.gone, *held] if row["id"] not in kept]
        self.sandbox.delete([row["id"] for row in held], self.user)
        self.sandbox.add(rows, self.user)


@dataclass
class Feed:
    """What a lane reads.

    Attributes:
        configs: Settings of the tap for each of its runs.
    """

    held: list[Held] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)

    def accounts(self) -> list[Account]:
        """What the tables should tell: what the API has, and what has gone there since."""
        return [
            Account([*one.rows, *one.gone], one.zone, one.account, one.customer_id)
            for one in self.held
        ]


@contextmanager
def feed_of(kind: str, wanderers: int, seed: int = 0) -> Iterator[Feed]:
    """A feed: `one` account, `two` under names of their own, or an `agency` of two customers."""
    feed = Feed()
    made = [make_journeys(wanderers, seed=seed + n, zone=zone) for n, zone in enumerate(ZONES)]
    with ExitStack() as stack:
        if kind == "agency":
            users = {number * 10: one for number, one in enumerate(made, 1)}
            sandbox = Sandbox(
                sessions=0,
                partner={user // 10: [user] for user in users},
                rows_by_user={user: one.rows for user, one in users.items()},
            )
            stack.enter_context(sandbox.running())
            zones = dict(zip((1, 2), ZONES, strict=True))
            feed.held = [
                Held(sandbox, zones[user // 10], one, customer_id=user // 10, user=user)
                for user, one in users.items()
            ]
            more = {"account_type": "partner", "timezone": ZONES[0], "customer_timezones": zones}
            feed.configs = [_config(sandbox, **more)]
            return (yield feed)
        for name, zone, one in zip(("north", "south"), ZONES, made, strict=True):
            sandbox = stack.enter_context(Sandbox(rows=one.rows, timezone=zone).running())
            account = name if kind == "two" else None
            feed.held.append(Held(sandbox, zone, one, account))
            feed.configs.append(_config(sandbox, **({"account": account} if account else {})))
            if kind == "one":
                break
        yield feed


def _config(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    place = {"api_url": sandbox.url, "access_token": sandbox.token}
    return {**place, **SPAN, "lookback_window": LOOK_BACK, **more}
