"""Whether a run of a pipeline has brought all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt.common.pipeline import LoadInfo

from tap_visitor_sessions.api import TapError

INCOMPLETE = "incomplete"
"""Metric of the resource: why there is more to read; None where there is not."""


class Incomplete(TapError):
    """What was read is loaded, and there is more to come."""


def raise_on_incomplete(info: LoadInfo | None) -> None:
    """Raise after a load that has not brought all: `raise_on_incomplete(pipeline.run(source))`.

    Raises:
        Incomplete: the day's points, an error or a limit ended the read; customers were left out;
            jobs of the load have failed; or the run has loaded but what was pending, and read
            nothing.
    """
    trace = getattr(info.pipeline, "last_trace", None) if info is not None else None
    metrics = {
        load: found
        for step in (trace.steps if trace else ())
        if step.step == "extract" and step.step_info is not None
        for load, found in step.step_info.metrics.items()
    }
    if info is not None and info.has_failed_jobs:
        raise Incomplete(
            "Jobs of the load have failed, and the bookmarks have moved past their rows: read them "
            "again, by refresh or without the pipeline's state"
        )
    loaded = [metrics.get(load) for load in (info.loads_ids if info is not None else ())]
    if not loaded:
        loaded = [*metrics.values()]  # there was nothing to load
    if not loaded or None in loaded:
        raise Incomplete("The run has loaded what was pending and read nothing: run it again")
    if reasons := [*_reasons(loaded)]:
        raise Incomplete("; ".join(dict.fromkeys(reasons)))


def _reasons(loaded: Any) -> Iterator[str]:
    for metrics in loaded:
        for one in metrics:
            for resource in one["resource_metrics"].values():
                if reason := (resource.custom_metrics or {}).get(INCOMPLETE):
                    yield reason
