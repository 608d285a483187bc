{{ config(
    enabled=visitor_sessions.wanted('paths'),
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['path_key'], 'unique': true}, {'columns': ['person_key']}]),
) }}

with

conversions as (
    select
        conversions.conversion_key,
        conversions.person_key,
        conversions.communication_type,
        conversions.converted_at
    from {{ ref('visitor_sessions__conversions') }} as conversions
    where
        not conversions.is_spam
        and {{ visitor_sessions.only_affected('conversions') }}
),

sessions as (
    select
        sessions.*,
        max(sessions.started_at) over (partition by sessions.person_key) as last_started_at
    from {{ ref('visitor_sessions__sessions') }} as sessions
    where
        coalesce(
            sessions.channel not in (
                {{ visitor_sessions.texts(visitor_sessions.setting('ignored_channels')) }}
            ),
            true
        )
        and sessions.person_key not in (select conversions.person_key from conversions)
        and {{ visitor_sessions.only_affected('sessions') }}
),

touches as (
    select
        touches.conversion_key,
        touches.person_key,
        touches.account,
        touches.customer_id,
        touches.channel,
        touches.position,
        touches.touches,
        conversions.communication_type,
        conversions.converted_at as ended_at
    from {{ ref('int_visitor_sessions__touches') }} as touches
    inner join conversions
        on touches.conversion_key = conversions.conversion_key
    union all
    select
        cast(null as {{ dbt.type_string() }}) as conversion_key,
        sessions.person_key,
        sessions.account,
        sessions.customer_id,
        sessions.channel,
        row_number() over (
            partition by sessions.person_key
            order by sessions.started_at, sessions.session_id
        ) as position,
        count(*) over (partition by sessions.person_key) as touches,
        cast(null as {{ dbt.type_string() }}) as communication_type,
        sessions.last_started_at as ended_at
    from sessions
    where sessions.started_at > {{ visitor_sessions.seconds_later(
        'sessions.last_started_at', '-86400 * ' ~ visitor_sessions.setting('window_days')
    ) }}
)

select
    coalesce(touches.conversion_key, touches.person_key) as path_key,
    max(touches.account) as account,
    max(touches.customer_id) as customer_id,
    touches.person_key,
    touches.conversion_key,
    touches.conversion_key is not null as is_conversion,
    max(touches.communication_type) as communication_type,
    max(touches.ended_at) as ended_at,
    cast(max(touches.touches) as integer) as touches,
    {{ dbt.listagg('touches.channel', "' > '", 'order by touches.position') }} as path,
    max(case when touches.position = 1 then touches.channel end) as first_channel,
    max(case when touches.position = touches.touches then touches.channel end) as last_channel
from touches
group by touches.person_key, touches.conversion_key
