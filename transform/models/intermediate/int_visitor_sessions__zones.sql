{%- set sessions = source('visitor_sessions', 'sessions') -%}
{%- set zones = none -%}
{%- if visitor_sessions.setting('zones_relation') -%}
    {%- set zones = visitor_sessions.handed_in('zones_relation') -%}
{%- elif execute -%}
    {%- set zones = visitor_sessions.find(sessions.database, sessions.schema, 'visitor_session_days') -%}
{%- endif -%}
{%- set has = visitor_sessions.columns_of(zones) if zones else {} -%}
{%- set keys = ['account', 'customer_id'] | select('in', has) | list -%}

with

accounts as (
    select distinct
        sessions.account,
        sessions.customer_id
    from {{ ref('stg_visitor_sessions__sessions') }} as sessions
)

{%- if zones %},

handed_in as (
    select
        {%- for key in keys %}
        zones.{{ key }},
        {%- endfor %}
        zones.timezone,
        row_number() over (
            {% if keys %}partition by {{ keys | join(', ') }}{% endif %}
            order by {% if 'date' in has %}zones.date desc, {% endif %}zones.timezone
        ) as turn
    from {{ zones }} as zones
    where zones.timezone is not null
)
{%- endif %}

select
    accounts.account,
    accounts.customer_id,
    {%- if zones %}
    coalesce(handed_in.timezone, '{{ visitor_sessions.setting("timezone") }}') as timezone,
    handed_in.timezone is not null as is_known
    {%- else %}
    cast('{{ visitor_sessions.setting("timezone") }}' as {{ dbt.type_string() }}) as timezone,
    false as is_known
    {%- endif %}
from accounts
{%- if zones %}
left join handed_in
    on
        handed_in.turn = 1
        {%- if 'account' in keys %}
        and coalesce(accounts.account, '') = coalesce(cast(handed_in.account as {{ dbt.type_string() }}), '')
        {%- endif %}
        {%- if 'customer_id' in keys %}
        and coalesce(accounts.customer_id, -1) = coalesce(handed_in.customer_id, -1)
        {%- endif %}
{%- endif %}
