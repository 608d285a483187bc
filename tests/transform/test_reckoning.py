"""The reckoning itself, against the journeys' truths, which are stated by hand."""

from __future__ import annotations

from collections import defaultdict

import pytest
from reckoning import Account, Reckoning, Rules

from sandbox.journeys import make_journeys

pytestmark = pytest.mark.half


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Yekaterinburg"])
@pytest.mark.parametrize("stage", ["at first", "later"])
def test_credits_are_the_true_ones(zone: str, stage: str) -> None:
    made = make_journeys(100, zone=zone)
    rows, credits = made.rows, made.credits
    if stage == "later":
        rows, credits = made.later_rows, made.later_credits
    found: dict[tuple[str, int], dict[str, dict[int, float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in Reckoning([Account(rows, zone)], Rules()).tables["attribution"]:
        conversion = (row["communication_type"], int(row["communication_id"]))
        found[conversion][row["model"]][row["session_id"]] = row["credit"]
    for conversion, models in credits.items():
        for model, shares in models.items():
            assert found[conversion][model] == pytest.approx(shares, abs=1e-6), conversion
