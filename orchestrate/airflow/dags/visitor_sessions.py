"""DAGs for the sessions of all customers of a partner account, through Meltano.

`visitor_sessions` loads each new customer by quarter of a year, then reads what is new, daily.
`visitor_sessions_backfill` reads a span again. See ../README.md for what to set.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseHook, BaseOperator, Param, TriggerRule, dag, get_current_context, task
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from visitor_sessions_meltano import Meltano
from visitor_sessions_plan import (
    DAY,
    Customer,
    Piece,
    bookmarks,
    by_quarter,
    current,
    first_load,
    readable,
)

log = logging.getLogger("airflow.task")

CONNECTION = "visitor_sessions"
POOL = os.environ.get("VISITOR_SESSIONS_POOL", "visitor_sessions")
ARGS = {
    "queue": os.environ.get("VISITOR_SESSIONS_QUEUE", "default"),
    "retries": int(os.environ.get("VISITOR_SESSIONS_RETRIES", "5")),
    "retry_delay": timedelta(seconds=int(os.environ.get("VISITOR_SESSIONS_RETRY_DELAY", "60"))),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(hours=1),
}
CUSTOMERS = Param(
    None, type=["null", "array"], items={"type": "integer"}, description="Ids; empty: all."
)


def meltano(log: Any) -> Meltano:
    """Meltano as the connection and the worker's environment set it up.

    The connection's extras are environment variables; none of their values is ever logged.
    """
    try:
        extras = BaseHook.get_connection(CONNECTION).extra_dejson
    except AirflowNotFoundException:
        extras = {}
    command = Meltano({name: str(value) for name, value in extras.items()}, log.info)
    for secret in {*command.secrets, *map(str, extras.values())}:
        mask_secret(secret)
    return command


def most_pieces() -> int:
    """How many tasks Airflow lets a mapping become."""
    return int(conf.getint("core", "max_map_length", fallback=1024))


def day_of(name: str) -> date:
    """A day from the run's params, or else from the tap's own setting."""
    text = get_current_context()["params"].get(name) or os.environ.get(
        f"TAP_VISITOR_SESSIONS_{name.upper()}_DATE"
    )
    if not text:
        raise ValueError(f"Set the param `{name}` or TAP_VISITOR_SESSIONS_{name.upper()}_DATE")
    return date.fromisoformat(str(text)[:10])


def today() -> date:
    """Today in UTC."""
    return datetime.now(timezone.utc).date()


class MeltanoRun(BaseOperator):
    """Runs tap and loader for a piece, and returns its suffix when all of it is loaded."""

    def __init__(self, *, piece: Piece, **options: Any) -> None:
        super().__init__(**options)
        self.piece = piece
        self._meltano: Meltano | None = None

    def execute(self, context: Any) -> str:
        """Read the piece, from where its STATE says."""
        self._meltano = meltano(self.log)
        self._meltano.read(self.piece)
        return self.piece["suffix"]

    def on_kill(self) -> None:
        """Let Meltano store the last STATE and end; `execute` fails then."""
        if self._meltano:
            self._meltano.end()


def reading(task_id: str) -> Any:
    """A task to be mapped over pieces, within the pool."""
    return MeltanoRun.partial(
        task_id=task_id, pool=POOL, map_index_template="{{ task.piece['suffix'] }}"
    )


@task(pool=POOL)
def customers() -> list[Customer]:
    """The customers to read, from the tap."""
    chosen = get_current_context()["params"]["customers"]
    found, left_out = readable(meltano(log).customers(), chosen or None)
    for line in left_out:
        log.warning(line)
    log.info("%d customers are read", len(found))
    return found


@task
def plan_first_load(listed: list[Customer]) -> list[Piece]:
    """The closed quarters of the customers that are not yet read day by day."""
    command = meltano(log)
    known = bookmarks(command.states(), command.state_prefix)
    pieces, waiting = first_load(
        listed, known, start=day_of("start"), today=today(), most=most_pieces()
    )
    if waiting:
        log.warning(
            "%d customers wait for the next run: raise core.max_map_length, or start the DAG "
            "again after this run. They are %s",
            len(waiting),
            waiting,
        )
    return pieces


@task(trigger_rule=TriggerRule.ALL_DONE)
def plan_current(
    listed: list[Customer], planned: list[Piece], loaded: Iterable[str] | None
) -> list[Piece]:
    """What is new, of the customers whose first load is done. Each piece's state is made here,
    from the newest bookmarks of its customers."""
    command = meltano(log)
    pieces, states = current(
        listed,
        bookmarks(command.states(), command.state_prefix),
        planned=planned,
        loaded=loaded or (),
        start=day_of("start"),
        today=today(),
        group_size=get_current_context()["params"]["group_size"],
        most=most_pieces(),
    )
    if states:
        command.save(states)
    return pieces


@task
def plan_backfill(listed: list[Customer]) -> list[Piece]:
    """The span by customer and quarter, with state ids that belong to this run alone."""
    run = re.sub(r"\W+", "-", str(get_current_context()["run_id"]))
    after = day_of("end") + DAY
    pieces = by_quarter(listed, day_of("start"), after, before=f"backfill-{run}-")
    if len(pieces) > most_pieces():
        raise ValueError(
            f"{len(pieces)} pieces are more than core.max_map_length: raise it, or choose fewer "
            "customers or a shorter span"
        )
    return pieces


@dag(
    schedule="@daily",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=ARGS,
    tags=["tap-visitor-sessions"],
    doc_md=__doc__,
    params={
        "customers": CUSTOMERS,
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            description="First day wanted; empty: TAP_VISITOR_SESSIONS_START_DATE.",
        ),
        "group_size": Param(
            int(os.environ.get("VISITOR_SESSIONS_GROUP_SIZE", "1")),
            type="integer",
            minimum=1,
            description="Customers that one run of the tap reads, once their first load is done.",
        ),
    },
)
def visitor_sessions() -> None:
    """All customers: a first load by quarters, then what is new."""
    listed: Any = customers()
    planned: Any = plan_first_load(listed)
    loaded = reading("first_load").expand(piece=planned)
    read = reading("current").expand(piece=plan_current(listed, planned, loaded.output))
    done = EmptyOperator(task_id="done", trigger_rule=TriggerRule.NONE_FAILED)
    # A quarter that failed fails the run, though the other customers went on.
    [loaded, read] >> done


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=ARGS,
    tags=["tap-visitor-sessions"],
    doc_md=__doc__,
    params={
        "customers": CUSTOMERS,
        "start": Param(type="string", format="date", description="First day."),
        "end": Param(type="string", format="date", description="Last day."),
    },
)
def visitor_sessions_backfill() -> None:
    """A span of some or all customers once more, into the same table."""
    listed: Any = customers()
    reading("read").expand(piece=plan_backfill(listed))


visitor_sessions()
visitor_sessions_backfill()
