"""A table holds what RECORD messages say, value by value."""

from __future__ import annotations

import json
import logging
import tracemalloc
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import json_values

from sandbox import make_sessions
from tap_visitor_sessions.api import Unreadable
from tap_visitor_sessions.config.schema import partner_schema, stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.kinds import kind_of
from tap_visitor_sessions.sessions.records.tables import NESTED, Tables
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = stream_schema()
COLUMNS = SCHEMA["properties"]
FREE = [name for name in COLUMNS if name not in ("id", "date_time")]
HUGE = 2**63
big = st.integers(-(2**70), 2**70)
odd_rows = st.dictionaries(
    st.sampled_from(FREE),
    json_values
    | big
    | st.lists(
        st.dictionaries(
            st.sampled_from(["hit_url", "hit_duration", "communication_id", "old_banner_ids"]),
            big | st.text(max_size=5) | st.lists(big, max_size=2),
        ),
        max_size=2,
    ),
    max_size=5,
)


def records_of(rows: list[dict[str, Any]], **extra: Any) -> list[Any]:
    schema = partner_schema() if extra else SCHEMA
    decoder = Decoder(schema, Zone(ZoneInfo("Europe/Moscow")), extra)
    return decoder.finish(decoder.rows(json.dumps(rows).encode()))


def as_recorded(records: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(msgspec.json.encode(record)) for record in records]


def fitting(value: Any) -> Any:
    """Without the numbers that Arrow cannot hold."""
    if isinstance(value, dict):
        return {name: fitting(item) for name, item in value.items()}
    if isinstance(value, list):
        return [fitting(item) for item in value if item is not None and fitting(item) is not None]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return None if is_number and not -HUGE <= value < HUGE else value


def whole(value: Any, declared: dict[str, Any]) -> Any:
    """With all members: a struct lacks none."""
    kind = kind_of(declared)
    if value is None:
        return None
    if kind == "object":
        return {m: whole(value.get(m), d) for m, d in declared["properties"].items()}
    return [whole(item, declared["items"]) for item in value] if kind == "array" else value


def plain(value: Any) -> Any:
    """What a table holds, with date-times as RECORD has them."""
    if isinstance(value, datetime):
        return msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=examples(150))
@given(odd=st.lists(odd_rows, max_size=6), usual=st.integers(0, 5), seed=st.integers(0, 50))
def test_tables_are_equal_to_records_over_random_data(
    odd: list[dict[str, Any]], usual: int, seed: int
) -> None:
    rows = make_sessions(len(odd) + usual, seed=seed)
    rows = [{**row, **more} for row, more in zip(rows, [*odd, *[{}] * usual], strict=True)]
    logging.disable(logging.WARNING)
    try:
        records = records_of(rows)
        structs, texts = Tables(SCHEMA), Tables(SCHEMA, texts=True)
        table, flat = structs.table(records), texts.table(records)
    finally:
        logging.disable(logging.NOTSET)
    wanted = as_recorded(records)
    for made in (table, flat):
        made.validate(full=True)
    assert table.schema == structs.schema
    assert [plain(row) for row in table.to_pylist()] == [
        {name: whole(fitting(row[name]), declared) for name, declared in COLUMNS.items()}
        for row in wanted
    ]
    nested = {name for name, declared in COLUMNS.items() if kind_of(declared) in NESTED}
    assert [plain(row) for row in flat.to_pylist()] == [
        {n: msgspec.json.encode(v).decode() if n in nested else fitting(v) for n, v in row.items()}
        for row in wanted
    ]


def test_records_that_have_more_fields_than_others_are_one_table() -> None:
    rows = make_sessions(6)
    rows[3]["brand_new"] = rows[5]["brand_new"] = 1
    rows[4]["hist"] = rows[4].pop("hits")
    records = records_of(rows)
    for some in (records, records[::-1]):
        assert Tables(SCHEMA).table(some)["id"].to_pylist() == [record.id for record in some]
        found = Tables(SCHEMA, texts=True).table(some)["hits"].to_pylist()
        assert [json.loads(text) for text in found] == [one["hits"] for one in as_recorded(some)]


@pytest.mark.parametrize("texts", [True, False])
def test_of_what_it_is_made_of_nothing_is_kept(texts: bool) -> None:
    """Arrow has its own memory; that of the lines of JSON is Python's."""
    records = records_of(make_sessions(300))
    tables = Tables(SCHEMA, texts=texts)
    size = len(msgspec.json.encode(records))
    tracemalloc.start()
    try:
        tables.table(records)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            tables.table(records)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < size


def test_types_are_those_of_the_schema() -> None:
    schema = Tables(partner_schema()).schema
    assert schema.field("date_time").type == pa.timestamp("us", tz="UTC")
    assert not schema.field("id").nullable
    assert schema.field("customer_id").type == pa.int64()
    hit = schema.field("hits").type.value_type
    assert {hit.field(i).name for i in range(hit.num_fields)} == {
        *COLUMNS["hits"]["items"]["properties"]
    }
    texts = Tables(SCHEMA, texts=True).schema
    assert texts.field("hits").type == texts.field("integrated_campaign_data").type == pa.string()
    assert Tables(SCHEMA).table([]).num_rows == 0


def test_columns_of_a_partner_stand_in_the_table() -> None:
    records = records_of(make_sessions(3, seed=1), customer_id=7, user_id=11)
    table = Tables(partner_schema()).table(records)
    assert table["customer_id"].to_pylist() == [7, 7, 7]


def test_numbers_that_do_not_fit_are_counted_and_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = make_sessions(3, seed=1)
    for row in rows:
        row["visitor_id"] = HUGE
        row["integrated_campaign_data"] = {"banner_id": HUGE, "old_banner_ids": [1, HUGE]}
    tables = Tables(SCHEMA)
    caplog.set_level(logging.WARNING, "tap-visitor-sessions")
    for _ in range(2):
        table = tables.table(records_of(rows))
    assert table["visitor_id"].null_count == 3
    campaign = table["integrated_campaign_data"].to_pylist()[0]
    assert (campaign["banner_id"], campaign["old_banner_ids"]) == (None, [1])
    assert tables.warnings.losses == {
        "visitor_id": 6,
        "integrated_campaign_data.banner_id": 6,
        "integrated_campaign_data.old_banner_ids": 6,
    }
    said = [record.getMessage() for record in caplog.records if "64 bits" in record.getMessage()]
    assert len(said) == 3


def test_a_table_of_members_says_whose_they_are() -> None:
    rows = make_sessions(1, seed=1)
    rows[0]["visitor_id"] = HUGE
    tables = Tables(SCHEMA, within="hits.")
    tables.table(records_of(rows))
    assert tables.warnings.losses == {"hits.visitor_id": 1}


def test_an_id_that_does_not_fit_is_an_error() -> None:
    [row] = make_sessions(1, seed=1)
    with pytest.raises(Unreadable, match="does not fit into 64 bits"):
        Tables(SCHEMA).table(records_of([{**row, "id": HUGE}]))
