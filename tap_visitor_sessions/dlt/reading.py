"""One read of the sessions, as dlt's extraction drives it.

dlt keeps the state with the load package, as a whole: the bookmarks move before a table is handed
over, and count once it is loaded. An error in an extraction would make dlt throw away what was
read, and its points with it: so a read that has come further ends there instead, and says so.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import dlt
import msgspec
import pendulum
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.runtime import signals

from tap_visitor_sessions.api import ConfigError, CustomersFailed, DailyLimitReached, TapError
from tap_visitor_sessions.config import DAYS, Settings
from tap_visitor_sessions.dlt.dispositions import replaces
from tap_visitor_sessions.dlt.hints import REMOVED, check_types, child_table
from tap_visitor_sessions.dlt.incomplete import INCOMPLETE
from tap_visitor_sessions.dlt.shared import TABLE, check_others
from tap_visitor_sessions.dlt.tables import Made, Maker
from tap_visitor_sessions.sessions import Columns, Connection, Extraction, StreamState
from tap_visitor_sessions.startup import collecting_seldom, share_one_heap

logger = logging.getLogger("tap-visitor-sessions.dlt")

FILES = "parquet"
"""By which the tables are loaded, where the destination takes them so: measured, the fastest."""
STOPPED = "stopped_at"
"""Member of the state: when a read ended before its end; there only after such a one."""
GOES_ON = "What has been read is loaded, and the next run goes on from there"
LIMITED = "The pipeline ended the read (add_limit does); there may be more sessions"


class Reading:
    """Reads as often as the source runs."""

    def __init__(self, settings: Settings, maker: Maker) -> None:
        self._settings = settings
        self._maker = maker
        names = [*maker.schema["properties"], *maker.children]
        self._columns = Columns(names)
        self._waiting: dict[str, deque[Any]] = {column: deque() for column in maker.children}
        self._days: deque[Any] = deque()

    def members(self, column: str) -> Callable[[Any], Any]:
        """What makes of a table of sessions those of a column's items."""
        waiting = self._waiting[column]

        def tables(_: Any) -> Any:
            # dlt may ask for the next window first: whichever is there is taken.
            found = [waiting.popleft() for _ in range(len(waiting))]
            # A table without rows is none: PostgreSQL's ADBC fails at it.
            return [table for table in found if table.num_rows] or self._nothing()

        return tables

    def days(self) -> Callable[[Any], Any]:
        """What makes of a table of sessions the rows of days that end with it."""

        def rows(_: Any) -> Any:
            found = [self._days.popleft() for _ in range(len(self._days))]
            return [msgspec.structs.asdict(day) for day in found] or None

        return rows

    def _nothing(self) -> Any:
        """What is handed on of no items: where tables are replaced, that there are none."""
        return None if self._maker.marks_removed else dlt.mark.materialize_table_schema()

    def tables(self) -> Iterator[Any]:
        """The tables of sessions, window by window."""
        name = dlt.current.resource_name()
        resources = dlt.current.source().resources
        children = [child_table(column) for column in self._maker.children]
        limit = resources[name].limit
        if limit is not None and limit.max_items == 0:
            return  # dlt would take a table and drop it
        replace = replaces(resources.selected, name, children)
        if replace and limit is not None and (limit.max_items or limit.max_time):
            raise ConfigError("add_limit", "a table is never replaced by a part of it: use merge")
        progress = dlt.current.resource_state(name)
        check_others(progress, str(resources[name].table_name), replace=replace)
        _suit(resources, [name, *children], replace)
        self._maker.marks_removed = not replace
        for waiting in self._waiting.values():
            waiting.clear()
        self._days.clear()
        write_days = self._days.extend if DAYS in resources.selected else None
        if replace:
            progress.clear()  # no bookmark stands for rows that are dropped
        _know_table(progress, str(resources[name].table_name))
        share_one_heap()
        metrics = resources[name].custom_metrics
        _known_differences.names = [name, *children]
        logging.getLogger("dlt").addFilter(_known_differences)
        with collecting_seldom():
            while True:
                pass_ = _Pass(self._settings, self._maker, self._columns, progress, write_days)
                windows = pass_.windows()
                has_rows = False
                try:
                    for made in windows:
                        has_rows = True
                        for column, table in made.members.items():
                            self._waiting[column].append(table)
                        yield made.sessions
                    if replace and not has_rows:
                        yield dlt.mark.materialize_table_schema()  # the items' tables too
                except GeneratorExit:
                    pass_.stop(windows)
                    self._days.clear()  # nothing more is taken
                except DailyLimitReached as problem:
                    if pass_.may_end(replace):
                        pass_.end(problem)
                    elif self._settings.on_daily_limit == "wait":
                        _wait(problem)
                        continue
                    else:
                        raise
                except TapError as problem:
                    if not pass_.may_end(replace, problem):
                        raise
                    pass_.end(problem)
                finally:
                    metrics.update({**pass_.figures(), INCOMPLETE: pass_.incomplete})
                if self._days:
                    yield []  # has the days taken that no table of sessions came after
                return


class _Pass:
    """A read until its end, or until an error.

    Attributes:
        incomplete: Why there is more to read; None where there is not.
    """

    def __init__(
        self,
        settings: Settings,
        maker: Maker,
        columns: Columns,
        progress: dict[str, Any],
        write_days: Callable[[Sequence[Any]], None] | None,
    ) -> None:
        # What is read of a day is loaded, not held for days: it is for the caller to wait.
        settings = msgspec.structs.replace(settings, on_daily_limit="fail")
        self._kept = StreamState(progress, is_partner=settings.is_partner, account=settings.account)
        connection = Connection(settings, "tap-visitor-sessions-dlt")
        self._client = connection.client
        self._progress, self._began = progress, settings.now.isoformat()
        self._extraction = Extraction(
            connection,
            self._kept,
            looks_back=not _is_past(progress, self._kept, settings),
            write_days=write_days,
        )
        maker.warn(self._extraction.warnings)
        self._columns, self._made = columns, maker.made
        self._has_read = False
        self.incomplete: str | None = None
        self.figures = self._extraction.figures

    def windows(self) -> Generator[Made, None, None]:
        """The tables of all windows; the bookmarks move before each."""
        with (
            closing(self._client),
            self._extraction.run(),
            self._extraction.parts(self._columns, self._made) as parts,
        ):
            self._progress[STOPPED] = self._began
            for part in parts:
                for taken in part.windows():
                    self._has_read = True
                    if taken.ready is not None:
                        part.emitted(taken.ready.until, taken.ready.count)
                    part.finished(taken)
                    if taken.ready is not None:
                        try:
                            yield taken.ready
                        except GeneratorExit:
                            return  # and log out
            self._progress.pop(STOPPED, None)

    def may_end(self, replace: bool, problem: TapError | None = None) -> bool:
        """Whether what was read is to be loaded, though it is not all: never in place of a whole
        table, nor where a next run would come no further."""
        if replace:
            return False
        return self._has_read if isinstance(problem, CustomersFailed) else self._kept.moved

    def stop(self, windows: Generator[Made, None, None]) -> None:
        """End a read of which dlt wants no more."""
        if self._extraction.progress.fraction < 1:
            self.incomplete = LIMITED
            logger.warning("%s. %s", LIMITED, GOES_ON)
        try:
            windows.close()
        except TapError as problem:
            self.end(problem)

    def end(self, problem: TapError) -> None:
        """Say that there is more to come."""
        self.incomplete = str(problem)
        logger.error("%s. %s", self.incomplete.rstrip("."), GOES_ON)


def _is_past(progress: dict[str, Any], kept: StreamState, settings: Settings) -> bool:
    """Whether a read that did not come to its end has stopped where sessions were older than the
    look-back already: they change no more, so the next run goes on without reading them again.
    Else steps that are shorter than the look-back would come no further."""
    stopped = progress.get(STOPPED)
    all_ = [kept.former.own, *(one.bookmarks for one in kept.former.known)]
    untils = [one.until for one in all_ if one.until]
    if not isinstance(stopped, str) or not untils:
        return False
    return max(untils) < pendulum.instance(datetime.fromisoformat(stopped)) - settings.lookback


def _wait(problem: DailyLimitReached) -> None:
    logger.warning("The day's points are used up: waiting %.0f s for the reset", problem.reset)
    signals.sleep(problem.reset)


def _know_table(progress: dict[str, Any], table: str) -> None:
    """Note which table the bookmarks stand for.

    Raises:
        ConfigError: they stand for another.
    """
    schema = dlt.current.source_schema()
    loaded = progress.get(TABLE)
    if loaded is None and progress and table not in schema.data_table_names(seen_data_only=True):
        loaded = dlt.current.resource_name()  # of a version that kept no name
    if loaded not in (None, table):
        raise ConfigError(
            "table_name",
            f"is {table}, and what has been read is in {loaded}: the rest alone would go there. "
            "A resource with_name has a state of its own",
        )
    progress[TABLE] = table


def _suit(resources: Any, names: Sequence[str], replace: bool) -> None:
    """Fit the hints to the destination, as far as it is known."""
    pipeline = dlt.current.pipeline()
    kind = pipeline.destination.destination_name if pipeline.destination else ""
    tables = dlt.current.source_schema().tables
    for name in names:
        resource = resources[name]
        before = tables.get(str(resource.table_name), {})
        asked = resource.compute_table_schema().get("file_format")
        # PostgreSQL's JSON columns are json in a table made for Parquet, else jsonb, into which
        # Parquet cannot be loaded.
        is_jsonb = kind == "postgres" and bool(before) and before.get("file_format") != FILES
        if asked == FILES and (is_jsonb or not _takes_files(resource)):
            resource.apply_hints(file_format="")
        columns = dict(resource.columns)
        if kind == "sqlalchemy":
            # It would write texts of JSON as JSON once more.
            nested = [c for c, how in columns.items() if how.get("data_type") == "json"]
            for column in nested:
                resource.apply_hints(columns=[{"name": column, "data_type": "text"}])
        check_types(str(resource.table_name), resource.columns, before.get("columns", {}))
        if replace and REMOVED in columns:
            resource.apply_hints(columns=[{"name": REMOVED, "hard_delete": False}])


def _takes_files(resource: Any) -> bool:
    """Whether the destination, as far as it is known, loads Parquet: asked for it in vain, dlt
    warns."""
    container = Container()
    if DestinationCapabilitiesContext not in container:
        return True
    capabilities = container[DestinationCapabilitiesContext]
    supported = capabilities.supported_loader_file_formats or []
    if (selector := capabilities.loader_file_format_selector) is not None:
        quiet: Any = {"name": resource.name}
        _, supported = selector(
            capabilities.preferred_loader_file_format, [*supported], table_schema=quiet
        )
    return FILES in supported


class _KnownDifferences(logging.Filter):
    """Without dlt's warning, for each window anew, that JSON columns of ours come as texts.

    It stays: dlt writes the last tables when the read has ended.
    """

    names: Sequence[str] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        begins = (f"In resource: {name}, when merging arrow schema with" for name in self.names)
        return not any(map(text.startswith, begins))


_known_differences = _KnownDifferences()
