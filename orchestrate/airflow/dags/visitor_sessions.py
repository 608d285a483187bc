"""DAGs for the sessions of all customers of a partner account, through Meltano.

See ../README.md for what to set.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

try:
    from airflow.sdk import (
        Asset,
        BaseHook,
        BaseOperator,
        Param,
        TriggerRule,
        dag,
        get_current_context,
        task,
    )
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
    )
    from airflow.sdk.log import mask_secret
except ImportError as problem:
    raise ImportError(f"visitor_sessions needs Airflow 3.2 or later: {problem}") from None
import visitor_sessions_alerts as alerts
import visitor_sessions_settings as settings
from visitor_sessions_meltano import Meltano, MeltanoError
from visitor_sessions_plan import (
    Piece,
    Plan,
    Planned,
    PlanProblem,
    backfill,
    current,
    day_of,
    first_load,
    one_day,
    readable,
    suffix_of,
    undone,
)
from visitor_sessions_states import (
    Position,
    StateProblem,
    customers_with,
    expired,
    positions,
    positions_in,
    run_record,
    run_suffix,
)

log = logging.getLogger("airflow.task")

CONNECTION = "visitor_sessions"
AT_PARSING = settings.AtParsing(os.environ)
POOL = AT_PARSING.text("POOL", "visitor_sessions")
SESSIONS = AT_PARSING.made("ASSET", "visitor_sessions", Asset)
ARGS: dict[str, Any] = {
    "queue": AT_PARSING.text("QUEUE", "default"),
    "retries": AT_PARSING.whole("RETRIES", 5),
    "retry_delay": timedelta(seconds=AT_PARSING.whole("RETRY_DELAY", 60)),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(hours=1),
    "execution_timeout": timedelta(seconds=AT_PARSING.whole("TASK_TIMEOUT", 86_400, least=1)),
    "on_failure_callback": alerts.TASK_FAILED,
}
RUN_TIMEOUT = AT_PARSING.whole("RUN_TIMEOUT", 0)
RUNS: dict[str, Any] = {
    "max_active_runs": 1,
    "default_args": ARGS,
    "tags": ["tap-visitor-sessions"],
    "dagrun_timeout": timedelta(seconds=RUN_TIMEOUT) if RUN_TIMEOUT else None,
    "on_failure_callback": alerts.RUN_FAILED,
}
FORGOTTEN = 20
"""States removed by a run, each with a call of Meltano."""
CUSTOMERS = Param(
    None, type=["null", "array"], items={"type": "integer"}, description="Ids; empty: all."
)
GROUP_SIZE = Param(
    None,
    type=["null", "integer"],
    minimum=1,
    description="Customers that one run of the tap reads; empty: VISITOR_SESSIONS_GROUP_SIZE.",
)


@contextmanager
def told() -> Iterator[None]:
    """Errors as Airflow takes them: one that will not pass is not tried again."""
    try:
        yield
    except (PlanProblem, StateProblem, settings.SettingProblem) as problem:
        raise AirflowFailException(str(problem)) from None
    except MeltanoError as problem:
        kind = AirflowException if problem.passes else AirflowFailException
        raise kind(str(problem)) from None


def extras() -> dict[str, Any]:
    """What the connection sets."""
    try:
        found: dict[str, Any] = BaseHook.get_connection(CONNECTION).extra_dejson
    except AirflowNotFoundException:
        return {}
    return found


def meltano(log: Any) -> Meltano:
    """Meltano as the connection and the worker's environment set it up.

    Of the connection no value is logged but those of settings that are no secret.
    """
    its = extras()
    command = Meltano(its, log.log)
    for secret in command.secrets(its):
        mask_secret(secret)
    if problems := AT_PARSING.told(its) + settings.problems(command.env):
        raise settings.SettingProblem("; ".join(problems))
    command.check()
    return command


def param(name: str, setting: str, env: Mapping[str, str]) -> str:
    """A day from the run's params, or else from the setting.

    Raises:
        PlanProblem: it is in neither.
    """
    given = get_current_context()["params"].get(name) or env.get(setting)
    if not given:
        raise PlanProblem(
            f"Set the param `{name}`, or {setting} in the connection {CONNECTION} or the "
            "environment"
        )
    day_of(given, f"The param `{name}` or {setting}")
    return str(given).strip()


def group_size(env: Mapping[str, str]) -> int:
    """Customers of a run of the tap."""
    given = get_current_context()["params"].get("group_size")
    return int(given or settings.group_size(env))


def cleared(ti: Any) -> int:
    """The number of the try after which somebody has cleared a task; 0 where nobody has.

    Airflow grants a cleared task its retries anew, on top of the tries that it has had.
    """
    return max(int(ti.max_tries) - int(ti.task.retries or 0), 0)


def owners(rows: list[Any]) -> dict[int, int]:
    """User id -> customer id."""
    return {
        int(user): int(row["customer_id"])
        for row in rows
        for user in [row["user_id"], *(row.get("users") or [])]
        if user is not None
    }


def plan_of(command: Meltano, rows: list[Any]) -> Plan:
    """What a run plans from: how far each customer has been read, or, where somebody has cleared
    the run, how far it had been read when the run began. A run of `airflow backfill` begins anew
    in either case.

    Raises:
        PlanProblem: that is not known any more.
    """
    context = get_current_context()
    run: Any = context["dag_run"]
    now, states = datetime.now(timezone.utc), command.states()
    known: Mapping[int, Position] | None = None
    most = int(conf.getint("core", "max_map_length", fallback=1024))
    if cleared(context["ti"]) and not is_backfill(run):
        record = command.state_prefix + run_suffix(run.dag_id, run.run_id)
        known = positions_in(states, record, owners(rows))
        if known is not None:
            log.info("The run was cleared: what it has read is read once more")
            return Plan(rows, known, now, most, again=True)
        if run.run_after < now - settings.kept(command.env):
            raise PlanProblem(
                f"From where the run of {run.run_after:%Y-%m-%d} began is not known any more "
                "(VISITOR_SESSIONS_KEEP_STATES): read the span again with visitor_sessions_backfill"
            )
    return Plan(rows, positions(states, command.state_prefix, owners(rows)), now, most)


def saved(command: Meltano, planned: Planned, more: Mapping[str, Any] | None = None) -> list[Piece]:
    """The pieces, once the states from which they begin are saved."""
    states = {piece["suffix"]: state for piece, state in planned} | dict(more or {})
    if states:
        command.save(states)
    return [piece for piece, _ in planned]


def is_backfill(run: Any) -> bool:
    """Whether `airflow backfill` has made a run."""
    return str(getattr(run.run_type, "value", run.run_type)) == "backfill"


class MeltanoRun(BaseOperator):
    """Runs tap and loader for a piece, and returns its state's suffix when all of it is loaded.

    A retry goes on where the last try has stopped, and with those customers only that are not
    done. A task that somebody has cleared begins anew.
    """

    def __init__(self, *, piece: Piece, **options: Any) -> None:
        super().__init__(**options)
        self.piece = piece
        self._meltano: Meltano | None = None

    def execute(self, context: Any) -> str:
        """Read the piece."""
        with told():
            return self._read(context["ti"])

    def _read(self, ti: Any) -> str:
        command = self._meltano = meltano(self.log)
        piece, since = self.piece, cleared(ti)
        suffix, rows = suffix_of(piece, since), piece["rows"]
        if since or int(ti.try_number) > 1:
            state_id = command.state_prefix + suffix
            known = positions_in(command.state(suffix), state_id, owners(rows))
            if known is None:
                command.save({suffix: piece["again"]})
            else:
                rows = undone(piece, known)
                done = len(piece["rows"]) - len(rows)
                self.log.info("%d of %d customers are done", done, len(piece["rows"]))
        if rows:
            command.read(piece, suffix, rows)
        return suffix

    def on_kill(self) -> None:
        """Let Meltano store the last STATE and end; `execute` fails then."""
        if self._meltano:
            self._meltano.end()


def reading(task_id: str, **options: Any) -> Any:
    """A task to be mapped over pieces, within the pool."""
    return MeltanoRun.partial(
        task_id=task_id,
        pool=POOL,
        map_index_template="{{ task.piece['suffix'] }}",
        weight_rule="absolute",
        **options,
    )


@task(pool=POOL, show_return_value_in_logs=False)
def customers() -> dict[str, Any]:
    """The customers to read, from the tap, and a line on each one that is not."""
    with told():
        params = get_current_context()["params"]
        listed = meltano(log).customers(params.get("start"))
        rows, left_out = readable(listed, params["customers"] or None)
    for line in left_out:
        log.warning(line)
    log.info("%d customers are read", len(rows))
    return {"rows": rows, "left_out": left_out}


@task(show_return_value_in_logs=False)
def plan_current(listed: dict[str, Any]) -> list[Piece]:
    """What is new, in groups of customers; in a run of `airflow backfill` its day."""
    with told():
        command, run = meltano(log), get_current_context()["dag_run"]
        plan, size = plan_of(command, listed["rows"]), group_size(command.env)
        if is_backfill(run):
            day = (run.logical_date or run.run_after).date()
            return saved(command, one_day(plan, day, group_size=size))
        start = param("start", f"{settings.TAP}START_DATE", command.env)
        planned, more = current(plan, start=start, group_size=size), {}
        if not plan.again:
            record = run_record(customers_with(plan.rows, plan.known), plan.now)
            more[run_suffix(run.dag_id, run.run_id)] = record
        return saved(command, planned, more)


@task(show_return_value_in_logs=False)
def plan_first_load(listed: dict[str, Any], _after: list[Piece]) -> list[Piece]:
    """The closed quarters that have not been read, of customers that are new, or of all where
    the start has moved to an earlier day."""
    with told():
        if is_backfill(get_current_context()["dag_run"]):
            return []
        command = meltano(log)
        start = param("start", f"{settings.TAP}START_DATE", command.env)
        return saved(command, first_load(plan_of(command, listed["rows"]), start=start))


@task(show_return_value_in_logs=False)
def plan_backfill(listed: dict[str, Any]) -> list[Piece]:
    """The span by customer and quarter, with states of their own."""
    with told():
        command = meltano(log)
        start = param("start", f"{settings.TAP}START_DATE", command.env)
        end = param("end", f"{settings.TAP}END_DATE", command.env)
        now = datetime.now(timezone.utc)
        known = positions(command.states(), command.state_prefix, owners(listed["rows"]))
        most = int(conf.getint("core", "max_map_length", fallback=1024))
        plan = Plan(listed["rows"], known, now, most)
        return saved(command, backfill(plan, start=start, end=end))


@task(trigger_rule=TriggerRule.NONE_FAILED, outlets=[SESSIONS])
def done(listed: dict[str, Any], *planned: list[Piece]) -> None:
    """The end: old states go, and customers that were asked for and not read are named."""
    with told():
        command = meltano(log)
        try:
            tidy(command, [int(row["customer_id"]) for row in listed["rows"]], planned)
        except MeltanoError as problem:  # the next run's turn: what was read is read
            log.warning("Old states are still there: %s", problem)
        if get_current_context()["params"]["customers"] and listed["left_out"]:
            raise PlanProblem("; ".join(listed["left_out"]))


def tidy(command: Meltano, covered: list[int], planned: tuple[list[Piece], ...]) -> None:
    """Remove states of finished pieces after their time."""
    active = {piece["suffix"] for pieces in planned for piece in pieces}
    # Only where what is new was planned do the run's states hold whole positions.
    is_daily = any(piece["end"] is None for pieces in planned for piece in pieces)
    gone = expired(
        command.states(),
        command.state_prefix,
        covered=covered if is_daily else (),
        active=active,
        now=datetime.now(timezone.utc),
        keep=settings.kept(command.env),
    )
    for state_id in gone[:FORGOTTEN]:
        command.forget(state_id)
    if gone:
        log.info("States removed: %d of %d", len(gone[:FORGOTTEN]), len(gone))


@dag(
    schedule="@daily",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    doc_md="""Reads what is new, of all customers, daily; the closed quarters of a new customer, or
of an earlier `start`, each in a task of its own.

- **A run or task that is cleared** is done again, from where it began. A retry goes on.
- **`airflow backfill`** reads the day of each run's logical date again.
- **To read a span again**: `visitor_sessions_backfill`.
""",
    params={
        "customers": CUSTOMERS,
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            description="First day wanted; empty: TAP_VISITOR_SESSIONS_START_DATE.",
        ),
        "group_size": GROUP_SIZE,
    },
    **RUNS,
)
def visitor_sessions() -> None:
    """All customers: what is new, and quarters that have not been read."""
    listed: Any = customers()
    new: Any = plan_current(listed)
    old: Any = plan_first_load(listed, new)
    read = [
        reading("current", priority_weight=10).expand(piece=new),
        reading("first_load", priority_weight=1).expand(piece=old),
    ]
    read >> done(listed, new, old)


@dag(
    schedule=None,
    doc_md="""Reads a span of some or all customers again, by customer and quarter, and upserts.

By hand: `start` and `end` are days by each customer's clock, both included. Each run does it
anew, and so does one that is cleared; a retry goes on. The daily bookmarks stay as they are.
""",
    params={
        "customers": CUSTOMERS,
        "start": Param(type="string", format="date", description="First day."),
        "end": Param(type="string", format="date", description="Last day."),
    },
    **RUNS,
)
def visitor_sessions_backfill() -> None:
    """A span of some or all customers once more, into the same table."""
    listed: Any = customers()
    pieces: Any = plan_backfill(listed)
    reading("read").expand(piece=pieces) >> done(listed, pieces)


visitor_sessions()
visitor_sessions_backfill()
