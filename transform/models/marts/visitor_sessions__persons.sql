{{ config(
    enabled=visitor_sessions.wanted('persons'),
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['person_key'], 'unique': true}]),
) }}

with

sessions as (
    select
        sessions.*,
        row_number() over (
            partition by sessions.person_key
            order by sessions.started_at, sessions.session_id
        ) as turn,
        count(*) over (partition by sessions.person_key) as turns
    from {{ ref('visitor_sessions__sessions') }} as sessions
    where {{ visitor_sessions.only_affected('sessions') }}
),

persons as (
    select
        persons.person_key,
        max(persons.person_id) as person_id
    from {{ ref('int_visitor_sessions__persons') }} as persons
    group by persons.person_key
)

select
    sessions.person_key,
    max(sessions.account) as account,
    max(sessions.customer_id) as customer_id,
    {%- if visitor_sessions.setting('identity') == 'person' %}
    max(coalesce(persons.person_id, case when sessions.visitor_id is null then sessions.person_id end)) as person_id,
    {%- else %}
    cast(null as {{ dbt.type_string() }}) as person_id,
    {%- endif %}
    count(distinct sessions.visitor_id) as visitors,
    count(*) as sessions,
    min(sessions.started_at) as first_session_at,
    max(sessions.started_at) as last_session_at,
    max(case when sessions.turn = 1 then sessions.channel end) as first_channel,
    max(case when sessions.turn = sessions.turns then sessions.channel end) as last_channel,
    cast(sum(sessions.calls) as bigint) as calls,
    cast(sum(sessions.chats) as bigint) as chats,
    cast(sum(sessions.goals) as bigint) as goals,
    cast(sum(sessions.offline_messages) as bigint) as offline_messages,
    {%- for type in ['call', 'chat', 'goal', 'offline_message'] %}
    min(sessions.first_{{ type }}_at) as first_{{ type }}_at{{ ',' if not loop.last }}
    {%- endfor %}
from sessions
left join persons
    on sessions.person_key = persons.person_key
group by sessions.person_key
