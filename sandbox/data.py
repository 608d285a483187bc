"""Sessions that read like real traffic, deterministic by seed."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from typing import Any

SITES = [
    (101, "shop.example"),
    (102, "xn--e1afmkfd.example"),
    (103, "clinic.example"),
    (104, "متجر.example"),
]
PLACES = [
    ("Россия", "Москва", "Московская область"),
    ("Россия", "Нижний Новгород", "Нижегородская область"),
    ("الإمارات", "دبي", "دبي"),
    ("Deutschland", "München", "Bayern"),
    ("España", "A Coruña", "Galicia"),
]
BROWSERS = [("Chrome", "126.0"), ("Safari", "17.5"), ("Firefox", "127.0"), ("YaBrowser", "24.6")]
SYSTEMS = [("Windows", "11"), ("Android", "14"), ("iOS", "17.5"), ("macOS", "14.5")]
PHRASES = ["купить окна", "dental implants", "تأجير سيارات", "ремонт 🚗 срочно", "best crm 2024"]
CHANNELS = [
    "display",
    "paid",
    "affiliate",
    "messenger",
    "social",
    "email",
    "organic",
    "internal",
    "recommendation",
    "cashed",
    "referral",
    "direct",
]
WEIGHTS = [6, 24, 2, 3, 10, 4, 25, 1, 2, 1, 7, 15]
AD_CHANNELS = {"paid", "display"}
LEFT_OPEN = 83
"""Of so many sessions one has a last page that is left open for more than a day."""


def _times(count: int, source: random.Random, start: datetime, end: datetime) -> list[datetime]:
    """Times with a daily and a weekly rhythm: quiet nights, busy noons, slow weekends."""
    span = int((end - start).total_seconds())
    hours = []
    for hour in range(span // 3600 + 1):
        at = start + timedelta(hours=hour)
        day = 0.15 + max(0.0, math.sin((at.hour - 5) / 19 * math.pi)) ** 2
        hours.append(day * (0.55 if at.weekday() >= 5 else 1.0))
    picked = source.choices(range(len(hours)), weights=hours, k=count)
    seconds = (hour * 3600 + source.randrange(3600) for hour in picked)
    return [start + timedelta(seconds=second % span if span else 0) for second in seconds]


def make_sessions(
    count: int,
    *,
    seed: int = 0,
    start: datetime = datetime(2024, 5, 1),
    end: datetime = datetime(2024, 5, 31),
    first_id: int = 1_000_000,
) -> list[dict[str, Any]]:
    """`count` sessions in [start, end) (wall clock), every column of the page present.

    Ids have no relation to time; visitors return; what a session says of its ad fits its
    channel.
    """
    source = random.Random(seed)
    ids = list(range(first_id, first_id + count))
    source.shuffle(ids)
    visitors = max(count * 2 // 3, 1)
    return [
        make_session(id_, at, source, 1 + int(visitors * source.random()))
        for id_, at in zip(ids, _times(count, source, start, end), strict=False)
    ]


def make_session(
    id_: int, at: datetime, source: random.Random, visitor: int, channel: str = ""
) -> dict[str, Any]:
    """One session at a wall-clock time, as `source` draws it; of this channel, if one is told."""
    who = random.Random(visitor)  # a visitor keeps place and device
    country, city, region = who.choice(PLACES)
    browser, version = who.choice(BROWSERS)
    system, system_version = who.choice(SYSTEMS)
    device = {"Android": "mobile", "iOS": who.choice(["mobile", "tablet"])}.get(system, "desktop")
    drawn = source.choices(CHANNELS, WEIGHTS)[0]
    channel = channel or drawn
    site_id, domain = source.choice(SITES)
    google = source.random() < 0.4
    ad = channel in AD_CHANNELS
    campaign = source.randrange(40) if ad else None
    phrase = source.choice(PHRASES)
    hits = _hits(at, domain, source)
    if hits and id_ % LEFT_OPEN == 0:
        hits[-1]["hit_duration"] = f"{24 + id_ % 90}:00:10"
    duration = sum(map(_seconds, hits))
    search = {"google": "google"} if google else {"yandex": "yandex"}
    return {
        "date_time": at.strftime("%Y-%m-%d %H:%M:%S"),
        "id": id_,
        "ua_client_id": f"{who.randrange(10**9)}.{who.randrange(10**9)}",
        "ym_client_id": str(who.randrange(10**18)),
        "gclid": f"Cj0KCQ{source.getrandbits(180):x}" if ad and google else None,
        "yclid": str(source.getrandbits(60)) if ad and not google else None,
        "ef_id": f"{source.getrandbits(80):x}:G:s" if ad and source.random() < 0.2 else None,
        "ymclid": str(source.getrandbits(50)) if channel == "display" else None,
        "cm_id": f"{campaign}_{source.randrange(999)}_cm" if ad else None,
        "integrated_campaign_data": _campaign(campaign, google, phrase, source),
        "referrer_domain": None if channel == "direct" else f"{next(iter(search))}.example",
        "referrer": None if channel == "direct" else f"https://{next(iter(search))}.example/?q=1",
        "search_engine": next(iter(search)) if channel in ("organic", "paid") else None,
        "search_query": phrase if channel == "organic" else None,
        "entrance_page": hits[0]["hit_url"] if hits else f"https://{domain}/",
        "exit_page": hits[-1]["hit_url"] if hits else None,
        "duration": duration,
        "channel": channel,
        "engine": ("google.adwords" if google else "yandex.direct") if ad else None,
        "campaign_id": 5000 + campaign if campaign is not None else 4999,
        "campaign_name": f"Кампания {campaign}" if campaign is not None else "Без рекламы",
        "site_id": site_id,
        "site_domain_name": domain,
        "person_id": visitor if visitor % 5 else None,
        "visitor_id": 700_000 + visitor,
        "visitor_device": device,
        "visitor_country": country,
        "visitor_city": city,
        "visitor_region": region,
        "visitor_ip_address": f"203.0.113.{who.randrange(256)}",
        "visitor_type": source.choice(["New", "Returned"]),
        "visitor_browser_name": browser,
        "visitor_browser_version": version,
        "visitor_os_name": system,
        "visitor_os_version": system_version,
        "visitor_provider": "ПАО «Связь»" if country == "Россия" else "Example Telecom",
        "visitor_screen": who.choice(["1920x1080", "390x844", "1366x768"]),
        "visitor_language": {"Россия": "ru", "Deutschland": "de"}.get(country, "en"),
        "visitor_custom_properties": [
            {"property_name": "plan", "property_value": source.choice(["базовый", "pro"])}
        ]
        * (source.random() < 0.1),
        "utm_source": ("google" if google else "yandex") if ad else None,
        "utm_medium": "cpc" if ad else ("email" if channel == "email" else None),
        "utm_term": phrase if ad else None,
        "utm_content": f"ad{source.randrange(300)}" if ad else None,
        "utm_campaign": f"campaign-{campaign}" if ad else None,
        "openstat_ad": str(source.randrange(9999)) if ad and not google else None,
        "openstat_campaign": str(campaign) if ad and not google else None,
        "openstat_service": "direct.yandex" if ad and not google else None,
        "openstat_source": "search" if ad and not google else None,
        "hits_count": len(hits),
        "hits": hits,
        "segments": [{"segment_name": "Горячие", "segment_id": 3}] * (source.random() < 0.15),
        "communications": _communications(id_, at, source),
        "source_id": site_id * 10 + int(google),
        "source_name": "Google" if google else "Яндекс",
        "source_new": "google" if google else "yandex",
        "channel_new": channel,
        "channel_code": channel.upper(),
        "ext_id": f"session-{id_}" if id_ % 10 == 0 else None,
    }


def _hits(at: datetime, domain: str, source: random.Random) -> list[dict[str, Any]]:
    count = min(int(source.paretovariate(1.1)) * 2 - 1, 300) if source.random() > 0.03 else 0
    hits = []
    for number in range(count):
        page = f"https://{domain}/каталог/страница-{source.randrange(500)}?ref={number}"
        seconds = source.randrange(1, 180)
        hits.append(
            {
                "hit_time": at.strftime("%Y-%m-%d %H:%M:%S"),
                "hit_duration": f"00:{seconds // 60:02}:{seconds % 60:02}",
                "hit_url": page,
            }
        )
        at += timedelta(seconds=seconds)
    return hits


def _seconds(hit: dict[str, Any]) -> int:
    hours, minutes, seconds = map(int, hit["hit_duration"].split(":"))
    return (hours * 60 + minutes) * 60 + seconds


def _communications(id_: int, at: datetime, source: random.Random) -> list[dict[str, Any]]:
    if source.random() > 0.12:
        return []
    moment = at + timedelta(minutes=source.randrange(30))
    return [
        {
            "communication_type": source.choice(["chat", "call", "goal", "offline_message"]),
            "communication_id": 9_000_000 + id_,
            "communication_date_time": moment.strftime("%Y-%m-%d %H:%M:%S"),
            "ext_id": f"crm-{id_}" if source.random() < 0.3 else None,
        }
    ]


def _campaign(
    campaign: int | None, google: bool, phrase: str, source: random.Random
) -> dict[str, Any]:
    ad = campaign is not None
    region = source.randrange(200)
    return {
        "adv_system": ("google.adwords" if google else "yandex.direct") if ad else None,
        "ext_campaign_id": f"{88_000 + (campaign or 0)}" if ad else None,
        "ext_campaign_name": f"Поиск / {campaign}" if ad else None,
        "keyword_id": f"kwd-{source.randrange(10**6)}" if ad else None,
        "keyword": phrase if ad else None,
        "current_banner_id": source.randrange(10**9) if ad else None,
        "old_banner_ids": [source.randrange(10**9)] if ad and source.random() < 0.3 else None,
        "banner_name": "Скидка 20 %" if ad else None,
        "group_id": source.randrange(10**6) if ad else None,
        "group_name": "Группа" if ad else None,
        "auditory_id": source.randrange(10**5) if ad and not google else None,
        "auditory_name": "Ретаргетинг" if ad and not google else None,
        "placement_name": "search" if ad else None,
        "yandex_placement_type": "search" if ad and not google else None,
        "campaign_type": "text" if ad else None,
        "device_type": "desktop" if ad else None,
        "position_type": "premium" if ad and not google else None,
        "yandex_region_id": region if ad and not google else None,
        "yandex_region_name": f"Регион {region}" if ad and not google else None,
        "yandex_region_type": "exact" if ad and not google else None,
    }
