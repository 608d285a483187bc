"""What a catalog can do to the stream, and what is refused or told by name."""

from __future__ import annotations

import copy
import gzip
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import messages
from jsonschema import Draft202012Validator, FormatChecker
from meltano.core.plugin.singer.catalog import SelectExecutor
from oracle import as_emitted
from singer_sdk.plugin_base import PluginBase
from singer_sdk.singerlib import Catalog
from support import config_of, run_tap, table_rows

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.config.schema import partner_schema, stream_schema, with_account
from tap_visitor_sessions.singer.catalog.catalog import Wanted, handed, wanted
from tap_visitor_sessions.singer.catalog.entry import CatalogError, Declaration, declared
from tap_visitor_sessions.singer.catalog.selection import as_text, each, only
from tap_visitor_sessions.singer.tap import TapVisitorSessions

ZONE = "Europe/Moscow"
ROWS = make_sessions(25, seed=5)
DECLARED = with_account(stream_schema())
OWN = Declaration("visitor_sessions", stream_schema(), ("id",), "date_time")
Path_ = tuple[str, ...]


def paths(schema: dict[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """Each column and member with its declaration."""
    # SCHEMA says items one step down.
    [inner] = [part["items"] for part in (schema, *schema.get("allOf", ())) if "items" in part] or [
        schema
    ]
    for name, value in inner.get("properties", {}).items():
        yield (*path, name), value
        yield from paths(value, (*path, name))


ALL = dict(paths(DECLARED))
ALWAYS = {("id",), ("date_time",), ("account",)}
FREE = [path for path in ALL if path not in ALWAYS]
MEMBERS = [path for path in FREE if len(path) > 1]
SCALARS = [path for path, value in ALL.items() if {"object", "array"}.isdisjoint(value["type"])]
NUMBERS = [path for path in SCALARS if "integer" in ALL[path]["type"]]
some_paths = st.sets(st.sampled_from(FREE), max_size=15) | st.sets(
    st.sampled_from(MEMBERS), max_size=30
)


def discovered(**config: Any) -> dict[str, Any]:
    config = {"access_token": "x", "start_date": "2024-05-01", **config}
    return copy.deepcopy(dict(TapVisitorSessions(config=config).catalog_dict))


def node_of(schema: dict[str, Any], path: Path_) -> tuple[dict[str, Any], str]:
    """The properties in which a column or member stands, and its name there."""
    for name in path[:-1]:
        schema = schema["properties"][name]
        schema = schema.get("items", schema)
    return schema["properties"], path[-1]


def crumbs(path: Path_, *, with_items: bool) -> list[str]:
    """A breadcrumb in either spelling."""
    found: list[str] = []
    for depth, name in enumerate(path):
        found += ["properties", name]
        if with_items and depth < len(path) - 1 and "items" in ALL[path[: depth + 1]]:
            found.append("items")
    return found


def is_left(path: Path_, out: set[Path_]) -> bool:
    """Whether a column or member is emitted when `out` is taken out."""
    if path in ALWAYS:
        return True
    if any(path[:depth] in out for depth in range(1, len(path) + 1)):
        return False
    members = [other for other in FREE if other[:-1] == path]
    return not members or any(is_left(member, out) for member in members)


def projected(value: Any, path: Path_, out: set[Path_], texts: set[Path_]) -> Any:
    """A value as it must be emitted."""
    if isinstance(value, dict):
        value = {
            name: projected(item, (*path, name), out, texts)
            for name, item in value.items()
            if is_left((*path, name), out)
        }
    elif isinstance(value, list) and path != ("integrated_campaign_data", "old_banner_ids"):
        value = [projected(item, path, out, texts) for item in value]
        return value
    return str(value) if path in texts and value is not None else value


def closed(schema: Any) -> Any:
    """The schema with nothing allowed that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        result["additionalProperties"] = False
    return result


def batch_records(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records = []
    for message in found:
        for name in message.get("manifest", ()):
            path = Path(name.removeprefix("file://"))
            if path.suffix == ".parquet":
                records += table_rows(path)
            else:
                lines = gzip.decompress(path.read_bytes()).split(b"\n")
                records += [json.loads(line) for line in lines if line]
    return records


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    logging.disable(logging.CRITICAL)
    with (
        ExitStack() as stack,
        patch.object(PluginBase, "_setup_signal_handlers", lambda self: None),
    ):
        yield stack.enter_context(Sandbox(sessions=0).running())
    logging.disable(logging.NOTSET)


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    lacking=some_paths,
    deselected=some_paths,
    selected=some_paths,
    spellings=st.randoms(use_true_random=False),
    texts=st.sets(st.sampled_from(NUMBERS), max_size=8),
    widened=st.sets(st.sampled_from(SCALARS), max_size=8),
    key=st.sampled_from(["as discovered", "absent", "empty", "null", "in metadata only"]),
    method=st.sampled_from([None, "INCREMENTAL", "Full_Table", "full_table"]),
    strange=st.booleans(),
    account=st.sampled_from([None, "shop"]),
    mode=st.sampled_from(["records", "records", "maps", "jsonl", "parquet"]),
)
def test_records_fit_schema_and_are_no_wider_and_no_narrower_whatever_the_catalog(
    sandbox: Sandbox,
    tmp_path: Path,
    lacking: set[Path_],
    deselected: set[Path_],
    selected: set[Path_],
    spellings: Any,
    texts: set[Path_],
    widened: set[Path_],
    key: str,
    method: str | None,
    strange: bool,
    account: str | None,
    mode: str,
) -> None:
    more = {} if account is None else {"account": account}
    catalog = discovered(**more)
    entry, _ = catalog["streams"]
    if account is None:
        texts, widened = texts - {("account",)}, widened - {("account",)}
    widened -= texts
    for path in [*texts, *widened]:
        where, name = node_of(entry["schema"], path)
        null = ["null"] if "null" in ALL[path]["type"] or path in widened else []
        where[name] = {"type": ["string", *null] if path in texts else ["integer", "string", *null]}
    for path in sorted(lacking, key=len, reverse=True):
        where, name = node_of(entry["schema"], path)
        where.pop(name)
    rules = [*((path, False) for path in deselected), *((path, True) for path in selected)]
    spellings.shuffle(rules)
    for path, chosen in rules:  # both may be said of one: that it is left out counts
        said: dict[str, Any] = {"selected": chosen, "inclusion": "automatic"}
        if not chosen and spellings.random() < 0.3:
            said = {"inclusion": "unsupported", "selected": True}
        one = {"breadcrumb": crumbs(path, with_items=spellings.random() < 0.5), "metadata": said}
        entry["metadata"].append(one)
    if strange:
        entry["schema"]["properties"]["gone"] = {"type": ["object", "null"], "properties": {}}
        entry["metadata"].append(
            {"breadcrumb": ["properties", "gone"], "metadata": {"selected": True}}
        )
    if key != "as discovered":
        for word in ("key_properties", "replication_key", "replication_method"):
            entry.pop(word)
    if key in ("empty", "null"):
        empty: Any = {"empty": [], "null": None}[key]
        entry |= {"key_properties": empty, "replication_key": None}
    if method is not None:
        entry["replication_method"] = method

    out = lacking | deselected
    if account is None:
        assert all(path[0] != "account" for path in out)
    config = config_of(sandbox, **more)
    sandbox.hold(ROWS, timezone=ZONE, faults=Faults())
    if mode == "maps":
        config["stream_maps"] = {"visitor_sessions": {"added": "str(date_time)"}}
    elif mode != "records":
        config["batch_config"] = {
            "encoding": {"format": mode, "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
            "batch_size": 10,
        }
    found = messages(config, catalog)

    [schema] = [message for message in found if message["type"] == "SCHEMA"]
    assert schema["key_properties"] == ["id", *more]
    assert schema["bookmark_properties"] == ["date_time"]
    if mode in ("records", "maps"):
        records = [message["record"] for message in found if message["type"] == "RECORD"]
    else:
        records = batch_records(found)
    if mode == "maps":
        assert schema["schema"]["properties"].pop("added")
        assert all(record.pop("added") == record["date_time"] for record in records)
    have = {path for path, _ in paths(schema["schema"])}
    assert have == {path for path in ALL if is_left(path, out)} - (
        {("account",)} if account is None else set()
    )
    if mode == "parquet":  # it has no object without its members
        for record in records:
            if not any((record.get("integrated_campaign_data") or {"": 1}).values()):
                record["integrated_campaign_data"] = {}
    validator = Draft202012Validator(closed(schema["schema"]), format_checker=FormatChecker())
    for record in records:
        validator.validate(record)
    want = [projected({**as_emitted(row, ZONE), **more}, (), out, texts) for row in ROWS]
    want.sort(key=lambda record: (record["date_time"], int(record["id"])))
    assert records == want
    asked = {path[0] for path in have if len(path) == 1} - {"account"}
    assert {frozenset(call.params["fields"]) for call in sandbox.reports} == {frozenset(asked)}
    says_bookmark = "replication_key_value" in json.dumps(found[-1])
    assert found[-1]["type"] == "STATE"
    assert says_bookmark is ((method or "").upper() != "FULL_TABLE")


# What is refused


def catalog_of(**entry: Any) -> dict[str, Any]:
    own = {"tap_stream_id": "visitor_sessions", "schema": stream_schema(), "metadata": []}
    return {"streams": [{**own, **entry}]}


def column(path: str, node: Any) -> dict[str, Any]:
    """A catalog in which one column or member is declared so."""
    schema = stream_schema()
    where, name = node_of(schema, tuple(path.split(".")))
    where[name] = node
    return catalog_of(schema=schema)


def item(breadcrumb: Sequence[str], **said: Any) -> dict[str, Any]:
    return {"breadcrumb": list(breadcrumb), "metadata": said}


REFUSED: dict[str, tuple[Any, str]] = {
    "another key": (catalog_of(key_properties=["visitor_id"]), "key_properties.*visitor_id.*is id"),
    "another key in metadata": (
        catalog_of(metadata=[item([], **{"table-key-properties": ["visitor_id"]})]),
        "table-key-properties.*visitor_id",
    ),
    "another key of a view": (
        catalog_of(metadata=[item([], **{"view-key-properties": "visitor_id"})]),
        "view-key-properties.*visitor_id",
    ),
    "account in the key without the setting": (
        catalog_of(key_properties=["id", "account"]),
        "key_properties.*account",
    ),
    "another bookmark": (catalog_of(replication_key="duration"), "replication_key duration"),
    "another bookmark in metadata": (
        catalog_of(metadata=[item([], **{"replication-key": "duration"})]),
        "replication-key duration",
    ),
    "another valid bookmark": (
        catalog_of(metadata=[item([], **{"valid-replication-keys": ["id"]})]),
        "valid-replication-keys.*id",
    ),
    "LOG_BASED": (catalog_of(replication_method="LOG_BASED"), "replication_method 'LOG_BASED'"),
    "log_based in metadata": (
        catalog_of(metadata=[item([], **{"replication-method": "log_based"})]),
        "replication-method 'log_based'",
    ),
    "forced LOG_BASED": (
        catalog_of(metadata=[item([], **{"forced-replication-method": "LOG_BASED"})]),
        "forced-replication-method 'LOG_BASED'",
    ),
    "a method that is none": (catalog_of(replication_method="FULL"), "replication_method 'FULL'"),
    "a method that is a number": (catalog_of(replication_method=1), "replication_method 1"),
    "text to integer": (column("gclid", {"type": ["integer", "null"]}), "gclid.*to integer"),
    "time to number": (column("date_time", {"type": "number"}), "date_time.*to number"),
    "integer to boolean": (column("site_id", {"type": ["boolean", "null"]}), "site_id.*boolean"),
    "without null": (column("site_id", {"type": "string"}), "site_id.*null"),
    "a member without null": (column("hits.hit_url", {"type": "string"}), "hits.hit_url.*null"),
    "member to integer": (
        column("communications.ext_id", {"type": ["integer", "null"]}),
        "communications.ext_id.*to integer",
    ),
    "array to object": (column("hits", {"type": ["object", "null"]}), "hits.*to object"),
    "another format": (
        column("gclid", {"type": ["string", "null"], "format": "date"}),
        "gclid.*format 'date'",
    ),
    "a length": (
        column("gclid", {"type": ["string", "null"], "maxLength": 3}),
        "gclid.*maxLength",
    ),
    "an enum": (column("channel", {"enum": ["paid"]}), "channel.*enum"),
    "a required member": (
        column("hits", {"items": {"type": "object", "required": ["hit_url"]}}),
        "hits.*required",
    ),
    "alternatives of formats": (
        column("gclid", {"anyOf": [{"type": "string", "format": "date"}, {"type": "string"}]}),
        "gclid.*anyOf",
    ),
    "a type that is none": (column("gclid", {"type": 5}), "gclid.*type is 5"),
    "a schema that is a text": (column("gclid", "string"), "gclid.*not an object"),
    "a rule for a column that is not there": (
        catalog_of(metadata=[item(["properties", "visiter_id"], selected=False)]),
        "visiter_id.*did you mean visitor_id",
    ),
    "a rule for a member that is not there": (
        catalog_of(metadata=[item(["properties", "hits", "properties", "url"], selected=False)]),
        "hits.url.*did you mean hits.hit_url",
    ),
    "a rule that is odd": (
        catalog_of(metadata=[item(["properties", "gclid"], selected="no")]),
        "gclid.*selected is 'no'",
    ),
    "another tap's": ({"streams": [{"tap_stream_id": "users"}]}, "lacks.*visitor_sessions.*users"),
    "no stream": ({"streams": []}, "lacks the stream visitor_sessions"),
    "nothing": ({}, "list of streams"),
    "a list": ([], "not an object"),
    "streams that are none": ({"streams": [1]}, "list of streams"),
    "the stream twice": (
        {"streams": catalog_of()["streams"] * 2},
        "visitor_sessions 2 times",
    ),
    "another name": (catalog_of(stream="sessions"), "stream 'sessions'.*stream_maps"),
    "an alias": (catalog_of(stream_alias="sessions"), "stream_alias 'sessions'"),
    "metadata without breadcrumb": (catalog_of(metadata=[{"selected": True}]), "breadcrumb"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_catalog_cannot_have_is_refused_by_name_in_one_line(name: str) -> None:
    catalog, text = REFUSED[name]
    with pytest.raises(CatalogError, match=f"^Catalog: .*{text}") as problem:
        wanted(OWN, handed(catalog))
    assert "\n" not in str(problem.value)
    with pytest.raises(CatalogError):
        TapVisitorSessions(
            config={"access_token": "x", "start_date": "2024-05-01"}, catalog=catalog
        )


def test_all_that_is_refused_is_named_at_once() -> None:
    catalog = column("gclid", {"type": ["integer", "null"]})
    catalog["streams"][0]["replication_method"] = "LOG_BASED"
    with pytest.raises(CatalogError, match=r"LOG_BASED.*gclid"):
        wanted(OWN, catalog)


def test_an_error_of_the_catalog_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", "api_url": "http://127.0.0.1:9/"}
    catalog = catalog_of(replication_method="LOG_BASED")
    run = run_tap(config, catalog=catalog, directory=tmp_path)
    assert (run.code, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.count("LOG_BASED") == 1


# What is told


def notes(found: Wanted) -> list[str]:
    return [f"{logging.getLevelName(level)} {text}" for level, text in found.notes]


def selected_catalog(*items: dict[str, Any], **entry: Any) -> dict[str, Any]:
    return catalog_of(metadata=[item([], selected=True), *items], **entry)


def test_a_catalog_that_says_all_says_nothing() -> None:
    found = wanted(declared({}), discovered())
    assert notes(found) == []
    assert found.schema == stream_schema()


def test_columns_that_are_gone_or_new_are_named() -> None:
    schema = stream_schema()
    schema["properties"]["gone"] = {"type": "string"}
    schema["properties"]["hits"]["items"]["properties"]["gone"] = {"type": "string"}
    del schema["properties"]["channel"], schema["properties"]["engine"]
    rules = [
        item(["properties", "gone"], selected=False),
        item(["properties", "other"], selected=True),
        item(["properties", "engine"], selected=True),
    ]
    assert notes(wanted(OWN, selected_catalog(*rules, schema=schema))) == [
        "WARNING Left out: gone, hits.gone, other: in the catalog, but the stream has no such "
        "column",
        "WARNING Left out: engine: selected in the catalog, but not in its schema",
        "INFO Left out: channel: not in the catalog's schema; discover again to have it",
    ]


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}, None])
def test_a_catalog_without_a_schema_says_nothing_of_it(schema: Any) -> None:
    found = wanted(OWN, selected_catalog(schema=schema))
    assert found.schema["properties"] == stream_schema()["properties"]
    assert [note[:34] for note in notes(found)] == ["WARNING The catalog has no schema "]


def test_a_column_none_of_whose_members_is_selected_is_left_out_with_a_warning() -> None:
    rules = [
        item(["properties", "segments", "properties", name], selected=False)
        for name in ("segment_name", "segment_id")
    ]
    found = wanted(OWN, selected_catalog(*rules))
    assert "segments" not in found.schema["properties"]
    assert notes(found)[0].startswith("WARNING Left out: segments: selected without any")


@pytest.mark.parametrize(
    ("entry", "selected"),
    [
        ({"metadata": []}, True),
        ({"metadata": [item([], selected=True)]}, True),
        ({"metadata": [item([], **{"selected-by-default": True})]}, True),
        ({"metadata": [], "selected": True}, True),
        ({"metadata": [item(["properties", "id"], selected=True)], "selected": True}, True),
        ({"metadata": [item([], selected="true")]}, True),
        ({"metadata": [item([], selected=False)]}, False),
        ({"metadata": [item([], selected="False")]}, False),
        ({"metadata": [item([], selected=False)], "selected": True}, False),
        ({"metadata": [item([], inclusion="available")]}, False),
        ({"metadata": [item([], selected=True, inclusion="unsupported")]}, False),
        ({"metadata": [item(["properties", "id"], selected=True)]}, False),
        ({"metadata": [], "selected": False}, False),
    ],
)
def test_a_stream_that_is_not_selected_is_warned_about(
    entry: dict[str, Any], selected: bool
) -> None:
    found = wanted(OWN, catalog_of(**entry))
    assert found.metadata.resolve_selection()[()] is selected
    assert any("does not select the stream" in note for note in notes(found)) is not selected


def test_nothing_is_read_of_a_stream_that_is_not_selected(tmp_path: Path) -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", "api_url": "http://127.0.0.1:9/"}
    run = run_tap(config, catalog=catalog_of(metadata=[item([])]), directory=tmp_path)
    assert (run.code, run.messages) == (0, [])
    assert "The catalog does not select the stream visitor_sessions" in run.stderr


@pytest.mark.parametrize(
    ("entry", "root", "full", "told"),
    [
        ({}, {}, False, False),
        ({"replication_method": "full_table"}, {}, True, False),
        ({"replication_method": ""}, {"forced-replication-method": "FULL_TABLE"}, True, False),
        ({"replication_method": "FULL_TABLE"}, {"replication-method": "Full_Table"}, True, False),
        ({"replication_method": "INCREMENTAL"}, {"replication-method": "FULL_TABLE"}, True, True),
        ({"replication_method": "FULL_TABLE"}, {"replication-method": "incremental"}, False, True),
        (
            {"replication_method": "FULL_TABLE"},
            {"forced-replication-method": "INCREMENTAL"},
            True,
            True,
        ),
    ],
)
def test_what_a_user_wrote_of_the_method_comes_first(
    entry: dict[str, Any], root: dict[str, Any], full: bool, told: bool
) -> None:
    catalog = catalog_of(**entry, metadata=[item([], selected=True, **root)])
    found = wanted(OWN, catalog)
    assert found.full_table is full
    assert any("The catalog says" in note for note in notes(found)) is told


def test_a_catalog_of_before_the_setting_account_fits() -> None:
    own = Declaration("visitor_sessions", DECLARED, ("id", "account"), "date_time")
    found = wanted(own, catalog_of(key_properties=["id"]))
    assert found.schema["properties"]["account"]["type"] == "string"
    assert found.schema["required"] == ["id", "date_time"]  # as that catalog has it


def test_what_the_stream_knows_not_of_other_streams_is_reported() -> None:
    catalog = {"streams": [*catalog_of()["streams"], {"tap_stream_id": "calls"}]}
    assert notes(wanted(OWN, catalog)) == [
        "WARNING The catalog has streams that this tap does not: calls"
    ]


# Casts


@pytest.mark.parametrize(
    ("path", "node", "emitted"),
    [
        ("id", {"type": "string"}, str),
        ("site_id", {"type": ["null", "string"]}, str),
        ("site_id", {"type": ["number", "null"]}, int),
        ("site_id", {"type": ["integer", "string", "null"]}, int),
        ("site_id", {"type": ["string", "number", "null"]}, int),
        ("site_id", {"anyOf": [{"type": "string"}, {"type": "null"}]}, str),
        ("site_id", {"description": "a site"}, int),
        ("site_id", {}, int),
        ("date_time", {"type": "string"}, str),
        ("date_time", {"type": ["string", "null"], "format": "date-time"}, str),
        ("hits", {"type": ["string", "null"]}, str),
        ("hits", {"type": ["array", "null"]}, list),
        ("integrated_campaign_data", {"type": ["string", "null"], "x-sql-datatype": "json"}, str),
        ("integrated_campaign_data", {"additionalProperties": False}, dict),
    ],
)
@pytest.mark.parametrize("mode", ["records", "maps", "jsonl", "parquet"])
def test_casts_that_lose_nothing(
    sandbox: Sandbox, tmp_path: Path, path: str, node: dict[str, Any], emitted: type, mode: str
) -> None:
    sandbox.hold(ROWS, timezone=ZONE, faults=Faults())
    config = config_of(sandbox)
    if mode == "maps":
        config["stream_maps"] = {"visitor_sessions": {"added": "str(date_time)"}}
    elif mode != "records":
        config["batch_config"] = {
            "encoding": {"format": mode, "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
        }
    found = messages(config, column(path, node))
    [schema] = [message["schema"] for message in found if message["type"] == "SCHEMA"]
    records = [message["record"] for message in found if message["type"] == "RECORD"]
    records = records or batch_records(found)
    assert {type(record[path]) for record in records} == {emitted}
    for record in records:
        Draft202012Validator(schema).validate(record)
    back = [
        json.loads(r[path]) if path in ("hits",) and emitted is str else r[path] for r in records
    ]
    if path == "hits":
        by_id = {row["id"]: row["hits"] for row in ROWS}
        assert back == [by_id[record["id"]] for record in records]


@pytest.mark.parametrize(
    ("path", "came", "kept"),
    [
        ("integrated_campaign_data.group_id", "abc", "abc"),
        ("integrated_campaign_data.group_id", 7, "7"),
        ("integrated_campaign_data.old_banner_ids", [1, "b-2"], ["1", "b-2"]),
        ("segments.segment_id", "007", "007"),
        ("duration", 12.6, "12.6"),
    ],
)
def test_what_is_cast_to_text_is_kept_whatever_it_is(
    sandbox: Sandbox, path: str, came: Any, kept: Any
) -> None:
    column_name, *member = path.split(".")
    odd: Any = came
    if member:
        odd = {member[0]: came}
    if column_name == "segments":
        odd = [odd]
    sandbox.hold([{**ROWS[0], column_name: odd}], timezone=ZONE, faults=Faults())
    text = {"type": ["string", "null"]}
    node = {"type": ["array", "null"], "items": text} if isinstance(kept, list) else text
    found = messages(config_of(sandbox), column(path, node))
    [schema] = [message["schema"] for message in found if message["type"] == "SCHEMA"]
    [record] = [message["record"] for message in found if message["type"] == "RECORD"]
    Draft202012Validator(schema).validate(record)
    value = record[column_name]
    for name in member:
        value = (value[0] if isinstance(value, list) else value)[name]
    assert value == kept


def test_flattened_records_fit_their_schema(sandbox: Sandbox) -> None:
    sandbox.hold(ROWS, timezone=ZONE, faults=Faults())
    config = config_of(sandbox, flattening_enabled=True, flattening_max_depth=1)
    catalog = column("integrated_campaign_data.banner_id", {"type": ["string", "null"]})
    for path in (("integrated_campaign_data", "keyword"), ("hits", "hit_url")):
        rule = item(crumbs(path, with_items=True), selected=False)
        catalog["streams"][0]["metadata"] += [item([], selected=True), rule]
    found = messages(config, catalog)
    [schema] = [message["schema"] for message in found if message["type"] == "SCHEMA"]
    assert "integrated_campaign_data__banner_id" in schema["properties"]
    for message in found:
        if message["type"] == "RECORD":
            Draft202012Validator(closed(schema)).validate(message["record"])
            assert "hit_url" not in json.dumps(message)
            assert "integrated_campaign_data__keyword" not in message["record"]


def test_changes_let_null_pass() -> None:
    def inner(value: Any) -> Any:
        raise AssertionError(value)

    assert only({})(None) is each(inner)(None) is as_text(inner)(None) is None


# Discovery and Meltano


def test_discovery_lists_each_column_and_member_once() -> None:
    entry, _ = discovered()["streams"]
    listed = [tuple(one["breadcrumb"]) for one in entry["metadata"]]
    assert len(listed) == len(set(listed))
    members = {tuple(crumbs(path, with_items=False)) for path in ALL if path != ("account",)}
    assert set(listed) == {(), *members, ("properties", "read_at")}
    automatic = {
        tuple(one["breadcrumb"])
        for one in entry["metadata"]
        if one["metadata"].get("inclusion") == "automatic"
    }
    assert automatic == {("properties", "id"), ("properties", "date_time")}


@pytest.mark.parametrize(
    ("patterns", "out", "kept"),
    [
        (["*.*", "!visitor_sessions.hits.hit_url"], "hits.hit_url", "hits.hit_time"),
        (["*.*", "!visitor_sessions.*.hit_url"], "hits.hit_url", "hits.hit_time"),
        (
            ["*.*", "!visitor_sessions.integrated_campaign_data.keyword"],
            "integrated_campaign_data.keyword",
            "integrated_campaign_data.keyword_id",
        ),
        (["visitor_sessions.hits.hit_time"], "hits.hit_url", "hits.hit_time"),
        (["visitor_sessions.hits.*"], "channel", "hits.hit_url"),
        (["*.*", "!visitor_sessions.hits"], "hits", "channel"),
        (["*.*", "!visitor_sessions.hits.*"], "hits", "channel"),
    ],
)
def test_patterns_of_meltano_do_what_they_say(patterns: list[str], out: str, kept: str) -> None:
    catalog = discovered()
    SelectExecutor(["!*.*"]).visit(catalog)  # as Meltano begins
    SelectExecutor(patterns).visit(catalog)
    have = {".".join(path) for path, _ in paths(wanted(declared({}), catalog).schema)}
    assert out not in have
    assert kept in have
    assert {"id", "date_time"} < have


def test_the_catalog_of_a_narrowed_tap_is_what_it_emits() -> None:
    config = {"access_token": "x", "start_date": "2024-05-01"}
    catalog = selected_catalog(item(["properties", "hits", "items"], selected=False))
    tap = TapVisitorSessions(config=config, catalog=catalog)
    assert "hits" not in tap.catalog_dict["streams"][0]["schema"]["properties"]
    stream = tap.streams["visitor_sessions"]
    assert stream.effective_schema == stream.schema
    stream.apply_catalog(Catalog.from_dict(catalog_of()))
    assert "hits" in stream.schema["properties"]


# The setting account


@pytest.mark.parametrize("declared", [stream_schema, partner_schema])
def test_account_is_part_of_the_record_and_never_null(declared: Any) -> None:
    schema = with_account(declared())
    assert schema["properties"]["account"]["type"] == "string"
    assert schema["required"] == [*declared()["required"], "account"]
    assert "account" not in declared()["properties"]


@pytest.mark.parametrize("maps", [None, {"visitor_sessions": {"added": "account + str(id)"}}])
def test_account_stands_in_every_record_and_in_the_key(
    make_sandbox: Any, tmp_path: Path, maps: Any
) -> None:
    sandbox = make_sandbox(sessions=40)
    more = {"stream_maps": maps} if maps else {}
    config = config_of(sandbox, account="Zürich 1", **more)
    run = run_tap(config, directory=tmp_path).check()
    assert [message["key_properties"] for message in run.of("SCHEMA")] == [["id", "account"]]
    assert [record["account"] for record in run.records] == ["Zürich 1"] * 40
    assert all("account" not in call.params["fields"] for call in sandbox.reports)
    listed = run_tap(config, "--discover", directory=tmp_path)
    entry, _ = json.loads(listed.stdout)["streams"]
    assert entry["key_properties"] == ["id", "account"]
    said = {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}
    assert said["properties", "account"]["inclusion"] == "automatic"


@pytest.mark.parametrize("account", [None, ""])
def test_without_the_setting_nothing_changes(account: str | None) -> None:
    assert discovered(account=account) == discovered()


@pytest.mark.parametrize("encoding", ["jsonl", "parquet"])
def test_account_stands_in_files_and_beside_a_partners_columns(
    make_sandbox: Any, tmp_path: Path, encoding: str
) -> None:
    rows = {10: make_sessions(8, seed=1), 20: make_sessions(5, seed=2, first_id=5)}
    sandbox = make_sandbox(sessions=0, partner={1: [10], 2: [20]}, rows_by_user=rows)
    batch = {
        "encoding": {"format": encoding, "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    more = {"account_type": "partner", "timezone": ZONE, "account": "agency"}
    plain = run_tap(config_of(sandbox, **more), directory=tmp_path)
    run = run_tap(config_of(sandbox, **more, batch_config=batch), directory=tmp_path)
    assert (plain.code, run.code) == (0, 0), plain.stderr + run.stderr
    for records in (plain.records, batch_records(run.messages)):
        found = sorted((r["account"], r["customer_id"], r["user_id"]) for r in records)
        assert found == [("agency", 1, 10)] * 8 + [("agency", 2, 20)] * 5
    key = ["customer_id", "id", "account"]
    assert [message["key_properties"] for message in run.of("SCHEMA")] == [key]


@pytest.mark.parametrize("maps", [None, {"visitor_sessions": {"added": "str(id)"}}])
def test_a_partners_columns_can_be_taken_out(make_sandbox: Any, tmp_path: Path, maps: Any) -> None:
    rows = {10: make_sessions(8, seed=1)}
    sandbox = make_sandbox(sessions=0, partner={1: [10]}, rows_by_user=rows)
    config = config_of(sandbox, account_type="partner", timezone=ZONE)
    if maps:
        config["stream_maps"] = maps
    catalog = discovered(account_type="partner", timezone=ZONE)
    rule = item(["properties", "user_id"], selected=False)
    catalog["streams"][0]["metadata"].append(rule)
    run = run_tap(config, catalog=catalog, directory=tmp_path).check()
    [schema] = run.of("SCHEMA")
    assert "user_id" not in schema["schema"]["properties"]
    assert len(run.records) == 8
    assert all("user_id" not in record and record["customer_id"] == 1 for record in run.records)
    assert "WARNING" not in run.stderr
