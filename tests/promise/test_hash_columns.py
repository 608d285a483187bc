"""`hash_columns`, whichever host: the clear value leaves in no message and no log."""

from __future__ import annotations

import copy
import gzip
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from hosts import AND_DLT, Host
from jsonschema import Draft202012Validator
from support import config_of, run_tap

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.config.settings import PROPERTIES, Settings

KEY = "7d0c5be1f04a42b39c6e8a1d"
NAMES = ["visitor_ip_address", "person_id", "hits.hit_url", "referrer"]
IP, PERSON, REFERRER = "203.0.113.77", 987_654_321_012, "annas"
URL = "https://clear.example/?u=anna"
SECRETS = (IP, str(PERSON), URL, REFERRER, KEY)


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def personal(make_sandbox: MakeSandbox, **options: Any) -> Sandbox:
    rows = make_sessions(60, seed=9)
    for row in rows:
        row |= {"visitor_ip_address": IP, "person_id": PERSON, "referrer": REFERRER}
        row["hits"] = [{"hit_time": "x", "hit_duration": "y", "hit_url": URL}]
    return make_sandbox(rows=rows, **options)


def secret(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return config_of(sandbox, hash_columns=NAMES, hash_key=KEY, page_size=20, **more)


def check(records: list[dict[str, Any]]) -> None:
    assert len(records) == 60
    for record in records:
        assert record["visitor_ip_address"] == hashed(IP)
        assert record["person_id"] == hashed(str(PERSON))
        assert record["referrer"] == hashed(REFERRER)
        assert [hit["hit_url"] for hit in record["hits"]] == [hashed(URL)]
        assert record["hits"][0]["hit_time"] == "x"


def check_hidden(text: str) -> None:
    assert text
    assert [one for one in SECRETS if one in text] == []


@AND_DLT
@pytest.mark.parametrize("odd", [False, True], ids=["as declared", "of other types"])
def test_the_clear_value_leaves_in_no_message_and_no_log(
    host: Host, odd: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    faults = Faults(single_hit_object=odd, numbers_as_strings=odd)
    run = host.run(secret(personal(make_sandbox, faults=faults)), directory=tmp_path).check()
    check(run.records)
    check_hidden(run.output)


@pytest.mark.parametrize("compressed", ["gzip", None])
def test_in_files_of_batch_too(
    compressed: str | None, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    encoding = {"format": "jsonl", **({"compression": "gzip"} if compressed else {})}
    batch = {"encoding": encoding, "storage": {"root": tmp_path.as_uri()}, "batch_size": 50}
    run = run_tap(secret(personal(make_sandbox), batch_config=batch), directory=tmp_path)
    check_hidden(run.stdout + run.stderr)
    lines = []
    for path in sorted(tmp_path.glob("*.jsonl*")):
        data = path.read_bytes()
        lines += (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    check([json.loads(line) for line in lines])
    check_hidden(b"".join(lines).decode())


def test_in_parquet_too(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    batch = {"encoding": {"format": "parquet"}, "storage": {"root": tmp_path.as_uri()}}
    run = run_tap(secret(personal(make_sandbox), batch_config=batch), directory=tmp_path)
    assert run.code == 0, run.stderr
    check([row for path in tmp_path.glob("*.parquet") for row in pq.read_table(path).to_pylist()])


def test_maps_see_the_hash_and_the_schema_says_text(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    maps = {"visitor_sessions": {"who": "visitor_ip_address", "seven": "person_id[:7]"}}
    run = run_tap(secret(personal(make_sandbox), stream_maps=maps), directory=tmp_path).check()
    assert {record["who"] for record in run.records} == {hashed(IP)}
    assert {record["seven"] for record in run.records} == {hashed(str(PERSON))[:7]}
    check_hidden(run.stdout + run.stderr)
    flat = secret(personal(make_sandbox), flattening_enabled=True, flattening_max_depth=2)
    run = run_tap(flat, directory=tmp_path).check()
    [message] = run.of("SCHEMA")
    Draft202012Validator(message["schema"]).validate(run.records[0])
    assert message["schema"]["properties"]["person_id"]["type"] == ["string", "null"]
    check_hidden(run.stdout + run.stderr)


@AND_DLT
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"hash_columns": ["visitor_ip_adress"]}, "did you mean visitor_ip_address?"),
        ({"hash_columns": ["hits.url"]}, "hits.url: did you mean hits.hit_url?"),
        ({"hash_columns": ["hits"]}, "holds members: name those, such as hits.hit_time"),
        ({"hash_columns": ["id"]}, "id is the stream's own key"),
        ({"hash_columns": ["date_time"]}, "date_time is the stream's own key or bookmark"),
        ({"hash_key": "k" * 15}, "hash_key: must have 16 characters or more"),
        ({"hash_key": " k \n" + " " * 30}, "hash_key: must have 16 characters or more"),
        ({"hash_key": "k" * 20 + "\n"}, "hash_key: begins or ends with white space"),
        ({"hash_key": PROPERTIES["hash_key"]["examples"][0]}, "hash_key: is the example of"),
        ({"hash_columns": ["referrer"], "hash_key": ""}, "hash_key: is required with"),
        ({"hash_columns": None, "hash_colums": NAMES}, "unknown: did you mean hash_columns?"),
        ({"hash_columns": [["referrer"]]}, "hash_columns: must be"),
    ],
)
def test_a_name_that_is_none_ends_the_run_before_any_request(
    host: Host, more: dict[str, Any], words: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = personal(make_sandbox)
    if host.name == "dlt" and "hash_colums" in more:
        pytest.skip("an argument that there is not is Python's own error")
    run = host.run({**secret(sandbox), **more}, directory=tmp_path)
    assert words in run.error
    assert (run.records, sandbox.calls) == ([], [])
    assert KEY not in run.output


def test_a_catalog_from_before_is_refused_by_name(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """A loader's column would be a number, and get texts."""
    sandbox = personal(make_sandbox)
    before = json.loads(run_tap(config_of(sandbox), "--discover", directory=tmp_path).stdout)
    run = run_tap(secret(sandbox), catalog=before, directory=tmp_path)
    assert (run.code, run.records) == (1, [])
    assert "person_id" in run.stderr
    after = json.loads(run_tap(secret(sandbox), "--discover", directory=tmp_path).stdout)
    check(run_tap(secret(sandbox), catalog=after, directory=tmp_path).check().records)


def test_a_member_left_out_and_a_column_left_out_need_no_hash(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = personal(make_sandbox)
    catalog = json.loads(run_tap(secret(sandbox), "--discover", directory=tmp_path).stdout)
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] in (
            ["properties", "hits", "properties", "hit_url"],
            ["properties", "referrer"],
        ):
            item["metadata"]["selected"] = False
    run = run_tap(secret(sandbox), catalog=catalog, directory=tmp_path).check()
    assert all("referrer" not in r and "hit_url" not in r["hits"][0] for r in run.records)
    assert {record["visitor_ip_address"] for record in run.records} == {hashed(IP)}
    check_hidden(run.stdout + run.stderr)


def test_the_checks_do_not_show_it(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = personal(make_sandbox, faults=Faults(numbers_as_strings=True))
    for option in ("--doctor", "--test"):
        run = run_tap(secret(sandbox), option, directory=tmp_path)
        check_hidden(run.stdout + run.stderr)


def test_the_key_stands_in_no_form_of_the_settings() -> None:
    config = {"access_token": "x", "start_date": "2024-01-01", "hash_columns": "referrer"}
    settings = Settings.from_config({**config, "hash_key": KEY})
    assert settings.hash_columns == ("referrer",)
    assert KEY not in repr(copy.copy(settings))
