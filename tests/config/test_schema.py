"""The declaration of the stream against the columns of the report page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tap_visitor_sessions.config.schema import (
    PARTNER_PROPERTIES,
    Column,
    columns,
    partner_schema,
    stream_schema,
)


def words(text: str) -> list[str]:
    """The names in a text, in order."""
    return text.split()


PAGE = words("""
date_time id ua_client_id ym_client_id gclid yclid ef_id ymclid cm_id integrated_campaign_data
referrer_domain referrer search_engine search_query entrance_page exit_page duration channel engine
campaign_id campaign_name site_id site_domain_name person_id visitor_id visitor_device
visitor_country visitor_city visitor_region visitor_ip_address visitor_type visitor_browser_name
visitor_browser_version visitor_os_name visitor_os_version visitor_provider visitor_screen
visitor_language visitor_custom_properties utm_source utm_medium utm_term utm_content utm_campaign
openstat_ad openstat_campaign openstat_service openstat_source hits_count hits segments
communications
""")
LATER = ["source_id", "source_name", "source_new", "channel_new", "channel_code", "ext_id"]

FILTERABLE = words("""
cm_id integrated_campaign_data campaign_id campaign_name site_id site_domain_name person_id
visitor_id visitor_device visitor_country visitor_city visitor_region visitor_type
visitor_browser_name visitor_browser_version visitor_os_name visitor_screen visitor_language
visitor_custom_properties utm_source utm_medium utm_term utm_content utm_campaign openstat_ad
openstat_campaign openstat_service openstat_source segments communications
""")
SORTABLE = words("""
campaign_id campaign_name site_id site_domain_name visitor_id visitor_device visitor_country
visitor_city visitor_region visitor_type visitor_browser_name visitor_browser_version
visitor_os_name visitor_screen visitor_language
""")

MEMBERS = {
    "integrated_campaign_data": """
        adv_system ext_campaign_id ext_campaign_name keyword_id keyword current_banner_id
        old_banner_ids banner_id banner_name group_id group_name auditory_id auditory_name
        placement_name yandex_placement_type campaign_type device_type position_type
        yandex_region_id yandex_region_name yandex_region_type""",
    "visitor_custom_properties": "property_name property_value",
    "hits": "hit_time hit_duration hit_url",
    "segments": "segment_name segment_id",
    "communications": "communication_type communication_id communication_date_time ext_id",
}

JSON_TYPES = {
    "number": "integer",
    "string": "string",
    "enum": "string",
    "iso8601": "string",
    "object": "object",
    "array": "array",
}


def declared(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property at any depth with its path, and the items of arrays."""
    for name, value in schema.get("properties", {}).items():
        yield f"{path}{name}", value
        yield from declared(value, f"{path}{name}.")
        if "items" in value:
            yield f"{path}{name}[]", value["items"]
            yield from declared(value["items"], f"{path}{name}[].")


def test_schema_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(stream_schema())
    Draft202012Validator.check_schema(partner_schema())


def test_every_column_in_page_order() -> None:
    assert list(stream_schema()["properties"]) == PAGE + LATER
    assert list(columns()) == PAGE + LATER


def test_white_lists_of_the_page() -> None:
    found = columns().values()
    assert [c.name for c in found if c.filterable] == FILTERABLE + LATER
    assert [c.name for c in found if c.sortable] == SORTABLE + LATER[:-1]  # not ext_id


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_nested_columns(name: str) -> None:
    column = stream_schema()["properties"][name]
    nested = column.get("items", column)
    assert list(nested["properties"]) == MEMBERS[name].split()


def test_null_allowed_everywhere_but_in_key_and_bookmark() -> None:
    schema = stream_schema()
    assert schema["required"] == ["id", "date_time"]
    never_null = {path for path, value in declared(schema) if "null" not in value["type"]}
    items = {path for path in never_null if path.endswith("[]")}
    assert never_null - items == {"id", "date_time"}


def test_no_free_form_object_or_array() -> None:
    for path, value in declared(stream_schema()):
        if "object" in value["type"]:
            assert value.get("properties"), path
        if "array" in value["type"]:
            assert value.get("items"), path


def test_no_constraint_drops_an_unknown_member() -> None:
    for path, value in [("", stream_schema()), *declared(stream_schema())]:
        assert "enum" not in value, path
        assert value.get("additionalProperties", True) is True, path


def test_every_property_is_described() -> None:
    for path, value in declared(partner_schema()):
        assert path.endswith("[]") or value["description"].endswith("."), path


@pytest.mark.parametrize("name", PAGE + LATER)
def test_api_type_and_json_type_agree(name: str) -> None:
    json_type = stream_schema()["properties"][name]["type"]
    expected = JSON_TYPES[columns()[name].api_type]
    assert json_type in (expected, [expected, "null"])


def test_times_have_a_format() -> None:
    formats = {path for path, value in declared(stream_schema()) if "format" in value}
    assert formats == {"date_time", "communications[].communication_date_time"}


def test_stream_schema_has_no_annotations_and_is_a_copy() -> None:
    schema = stream_schema()
    assert not [key for _, value in declared(schema) for key in value if key.startswith("x-")]
    schema["properties"].clear()
    assert stream_schema()["properties"]


def test_partner_schema_adds_its_two_properties() -> None:
    schema = partner_schema()
    added = list(schema["properties"])[len(PAGE + LATER) :]
    assert added == list(PARTNER_PROPERTIES) == ["customer_id", "user_id"]
    schema["properties"]["user_id"].clear()
    assert PARTNER_PROPERTIES["user_id"]


def test_column_carries_its_description() -> None:
    assert columns()["duration"] == Column(
        "duration", "number", False, False, "Session duration in seconds."
    )


@pytest.mark.parametrize(
    ("record", "valid"),
    [
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z"}, True),
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z", "channel": "a new one"}, True),
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z", "added_later": [1]}, True),
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z", "hits": None}, True),
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z", "hits": {"hit_url": "/"}}, False),
        ({"id": 1, "date_time": "2024-01-01T00:00:00Z", "duration": "12"}, False),
        ({"id": None, "date_time": "2024-01-01T00:00:00Z"}, False),
        ({"id": 1, "date_time": None}, False),
        ({"id": 1}, False),
    ],
)
def test_records(record: dict[str, Any], valid: bool) -> None:
    assert Draft202012Validator(stream_schema()).is_valid(record) is valid


def test_import_needs_no_jsonschema() -> None:
    code = (
        "import sys; from tap_visitor_sessions.config import schema, filters; schema.columns(); "
        "sys.exit('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
