{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['person_key']}]),
) }}

with

conversions as (
    select
        communications.communication_key as conversion_key,
        communications.session_key,
        communications.person_key,
        communications.communicated_at as converted_at
    from {{ ref('int_visitor_sessions__communications') }} as communications
    where
        {{ visitor_sessions.is_conversion('communications') }}
        and {{ visitor_sessions.only_affected('communications') }}
),

-- The key of a person holds account and customer: no session of another one is joined.
touches as (
    select
        conversions.conversion_key,
        conversions.converted_at,
        conversions.session_key = sessions.session_key as is_own,
        sessions.session_key,
        sessions.person_key,
        sessions.account,
        sessions.customer_id,
        sessions.session_id,
        sessions.started_at,
        sessions.started_on,
        sessions.channel,
        sessions.channel_group,
        sessions.campaign_id,
        sessions.campaign_name,
        sessions.gclid,
        sessions.yclid,
        sessions.ym_client_id
    from conversions
    inner join {{ ref('visitor_sessions__sessions') }} as sessions
        on conversions.person_key = sessions.person_key
    where
        conversions.session_key = sessions.session_key
        or (
            sessions.started_at <= conversions.converted_at
            and sessions.started_at > {{ visitor_sessions.seconds_later(
                'conversions.converted_at', '-86400 * ' ~ visitor_sessions.setting('window_days')
            ) }}
            and coalesce(
                sessions.channel not in (
                    {{ visitor_sessions.texts(visitor_sessions.setting('ignored_channels')) }}
                ),
                true
            )
        )
)

select
    touches.*,
    coalesce(
        touches.channel in ({{ visitor_sessions.texts(visitor_sessions.setting('direct_channels')) }}), false
    ) as is_direct,
    cast(row_number() over (
        partition by touches.conversion_key
        order by touches.started_at, touches.session_id
    ) as integer) as position,
    cast(count(*) over (partition by touches.conversion_key) as integer) as touches
from touches
