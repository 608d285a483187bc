{{ config(enabled=visitor_sessions.wanted('offline_conversions_google'), materialized='view') }}

with clicks as (
    select
        touches.*,
        row_number() over (
            partition by touches.conversion_key
            order by touches.position desc
        ) as turn
    from {{ ref('int_visitor_sessions__touches') }} as touches
    where {{ visitor_sessions.unhashed('touches.gclid') }} is not null
)

-- A hash of a click id is none. Google refuses a conversion before its click, and knows one that comes again by its order id.
select
    clicks.gclid as "Google Click ID",
    conversions.communication_type as "Conversion Name",
    {{ visitor_sessions.utc_text('greatest(conversions.converted_at, clicks.started_at)') }} as "Conversion Time",
    conversions.value as "Conversion Value",
    conversions.currency as "Conversion Currency",
    conversions.conversion_key as "Order ID"
from {{ ref('visitor_sessions__conversions') }} as conversions
inner join clicks
    on conversions.conversion_key = clicks.conversion_key
where
    clicks.turn = 1
    and not conversions.is_spam
    and greatest(conversions.converted_at, clicks.started_at) <= {{ visitor_sessions.utc_now() }}
