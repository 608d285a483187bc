{{ config(enabled=visitor_sessions.wanted('offline_conversions_yandex'), materialized='view') }}

with

-- A hash of a click or client is none.
touches as (
    select
        touches.conversion_key,
        touches.position,
        touches.started_at,
        {{ visitor_sessions.unhashed('touches.yclid') }} as yclid,
        {{ visitor_sessions.unhashed('touches.ym_client_id') }} as ym_client_id
    from {{ ref('int_visitor_sessions__touches') }} as touches
),

clicks as (
    select
        touches.conversion_key,
        touches.started_at,
        touches.yclid,
        touches.ym_client_id,
        row_number() over (
            partition by touches.conversion_key
            order by case when touches.yclid is null then 1 else 0 end, touches.position desc
        ) as turn_of_click,
        row_number() over (
            partition by touches.conversion_key
            order by case when touches.ym_client_id is null then 1 else 0 end, touches.position desc
        ) as turn_of_client
    from touches
),

told as (
    select
        clicks.conversion_key,
        max(case when clicks.turn_of_client = 1 then clicks.ym_client_id end) as ym_client_id,
        max(case when clicks.turn_of_click = 1 then clicks.yclid end) as yclid,
        max(case when clicks.turn_of_click = 1 and clicks.yclid is not null then clicks.started_at end) as clicked_at
    from clicks
    group by clicks.conversion_key
),

timed as (
    select
        conversions.*,
        told.ym_client_id,
        told.yclid,
        greatest(conversions.converted_at, coalesce(told.clicked_at, conversions.converted_at)) as told_at
    from {{ ref('visitor_sessions__conversions') }} as conversions
    inner join told
        on conversions.conversion_key = told.conversion_key
    where
        not conversions.is_spam
        and (told.yclid is not null or told.ym_client_id is not null)
)

select
    timed.ym_client_id as "ClientId",
    timed.yclid as "Yclid",
    timed.communication_type as "Target",
    {{ visitor_sessions.unix_seconds('timed.told_at') }} as "DateTime",
    timed.value as "Price",
    timed.currency as "Currency"
from timed
where timed.told_at <= {{ visitor_sessions.utc_now() }}
