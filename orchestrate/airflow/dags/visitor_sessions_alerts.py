"""Who is told when something fails. Fill in: callbacks or notifiers, as Airflow takes them.

    from airflow.providers.smtp.notifications.smtp import SmtpNotifier
    TASK_FAILED = [SmtpNotifier(to="data@example.com", subject="{{ ti.task_id }} failed")]

The context of a task's failure holds `exception`, which says what is wrong in one line.
"""

from __future__ import annotations

from typing import Any

TASK_FAILED: list[Any] = []
"""Called when a task has failed for good, its retries used up."""
RUN_FAILED: list[Any] = []
"""Called when a run of a DAG has failed, or has taken longer than it may."""
