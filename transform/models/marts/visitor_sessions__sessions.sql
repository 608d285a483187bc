{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['session_key'], 'unique': true}, {'columns': ['person_key']}]),
) }}

{%- set types = {
    'call': 'calls', 'chat': 'chats', 'goal': 'goals', 'offline_message': 'offline_messages'
} %}

with

sessions as (
    select
        sessions.*,
        {{ visitor_sessions.person_key('sessions', 'persons') }} as person_key
    {{ visitor_sessions.from_sessions_and_persons() }}
    where {{ visitor_sessions.only_affected_sessions('sessions') }}
),

communications as (
    select
        communications.session_key,
        count(*) as communications
        {%- for type, name in types.items() %},
        sum(case when communications.communication_type = '{{ type }}' then 1 else 0 end) as {{ name }},
        min(case when communications.communication_type = '{{ type }}' then communications.communicated_at end)
            as first_{{ type }}_at
        {%- endfor %}
    from {{ ref('int_visitor_sessions__communications') }} as communications
    where
        communications.is_owned
        and {{ visitor_sessions.only_affected('communications') }}
    group by communications.session_key
),

joined as (
    select
        sessions.session_key,
        sessions.account,
        sessions.customer_id,
        sessions.session_id,
        sessions.person_key,
        sessions.visitor_id,
        sessions.person_id,
        sessions.started_at,
        {{ visitor_sessions.local_date('sessions.started_at', 'zones.timezone') }} as started_on,
        zones.timezone,
        sessions.duration,
        coalesce(sessions.hits_count, 0) as pages,
        {{ visitor_sessions.page_of('sessions.entrance_page') }} as first_page,
        {{ visitor_sessions.page_of('sessions.exit_page') }} as last_page,
        coalesce(sessions.channel, '(unknown)') as channel,
        sessions.engine,
        sessions.campaign_id,
        sessions.campaign_name,
        sessions.ext_campaign_id,
        sessions.site_id,
        sessions.site_domain_name,
        sessions.visitor_device as device,
        sessions.visitor_country as country,
        sessions.visitor_city as city,
        sessions.visitor_type,
        sessions.utm_source,
        sessions.utm_medium,
        sessions.utm_campaign,
        sessions.gclid,
        sessions.yclid,
        sessions.ym_client_id,
        cast(coalesce(communications.communications, 0) as integer) as communications,
        {%- for type, name in types.items() %}
        cast(coalesce(communications.{{ name }}, 0) as integer) as {{ name }},
        {%- endfor %}
        {%- for type in types %}
        communications.first_{{ type }}_at,
        {%- endfor %}
        sessions.read_at,
        taken.loaded_stamp
    from sessions
    left join {{ ref('int_visitor_sessions__affected_sessions') }} as taken
        on
            sessions.session_id = taken.session_id
            {{ visitor_sessions.and_same_account('sessions', 'taken') }}
    -- Each account has a zone, yet PostgreSQL expects hardly a row of an inner join here, and loops.
    left join {{ ref('int_visitor_sessions__zones') }} as zones
        on {{ visitor_sessions.same_account('sessions', 'zones') }}
    left join communications
        on sessions.session_key = communications.session_key
    where {{ visitor_sessions.only_affected('sessions') }}
)

select
    joined.*,
    {{ visitor_sessions.channel_group('joined.channel') }} as channel_group,
    (
        joined.pages <= {{ visitor_sessions.setting('bounce_max_pages') }}
        {%- if visitor_sessions.setting('bounce_max_seconds') is not none %}
        and coalesce(joined.duration, 0) <= {{ visitor_sessions.setting('bounce_max_seconds') }}
        {%- endif %}
        and joined.communications = 0
    ) as is_bounce,
    '{{ visitor_sessions.rules() }}' as rules
from joined
