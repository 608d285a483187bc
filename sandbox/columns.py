"""The report's columns as the vendor's page lists them: allowlists and the default reply."""

from __future__ import annotations

NUMBERS = [
    "id",
    "duration",
    "campaign_id",
    "site_id",
    "person_id",
    "visitor_id",
    "hits_count",
    "source_id",
]
OBJECTS = ["integrated_campaign_data"]
ARRAYS = ["visitor_custom_properties", "hits", "segments", "communications"]
ENUMS = ["channel", "engine", "visitor_device", "visitor_type"]
COLUMNS = [
    "date_time",
    "id",
    "ua_client_id",
    "ym_client_id",
    "gclid",
    "yclid",
    "ef_id",
    "ymclid",
    "cm_id",
    "integrated_campaign_data",
    "referrer_domain",
    "referrer",
    "search_engine",
    "search_query",
    "entrance_page",
    "exit_page",
    "duration",
    "channel",
    "engine",
    "campaign_id",
    "campaign_name",
    "site_id",
    "site_domain_name",
    "person_id",
    "visitor_id",
    "visitor_device",
    "visitor_country",
    "visitor_city",
    "visitor_region",
    "visitor_ip_address",
    "visitor_type",
    "visitor_browser_name",
    "visitor_browser_version",
    "visitor_os_name",
    "visitor_os_version",
    "visitor_provider",
    "visitor_screen",
    "visitor_language",
    "visitor_custom_properties",
    "utm_source",
    "utm_medium",
    "utm_term",
    "utm_content",
    "utm_campaign",
    "openstat_ad",
    "openstat_campaign",
    "openstat_service",
    "openstat_source",
    "hits_count",
    "hits",
    "segments",
    "communications",
    "source_id",
    "source_name",
    "source_new",
    "channel_new",
    "channel_code",
    "ext_id",
]
DEFAULT = ["campaign_id", "site_id", "person_id", "visitor_id", "visitor_device", "ext_id"]
SORTABLE = {
    "campaign_id",
    "campaign_name",
    "site_id",
    "site_domain_name",
    "visitor_id",
    "visitor_device",
    "visitor_country",
    "visitor_city",
    "visitor_region",
    "visitor_type",
    "visitor_browser_name",
    "visitor_browser_version",
    "visitor_os_name",
    "visitor_screen",
    "visitor_language",
    "source_id",
    "source_name",
    "source_new",
    "channel_new",
    "channel_code",
}
FILTERABLE = SORTABLE | {
    "ext_id",
    "cm_id",
    "integrated_campaign_data",
    "person_id",
    "visitor_custom_properties",
    "utm_source",
    "utm_medium",
    "utm_term",
    "utm_content",
    "utm_campaign",
    "openstat_ad",
    "openstat_campaign",
    "openstat_service",
    "openstat_source",
    "segments",
    "communications",
}


def kind(column: str) -> str:
    """number, string, enum, object, array or iso8601."""
    if column == "date_time":
        return "iso8601"
    for name, members in (
        ("number", NUMBERS),
        ("object", OBJECTS),
        ("array", ARRAYS),
        ("enum", ENUMS),
    ):
        if column in members:
            return name
    return "string"
