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
        {{ visitor_sessions.handed_in_key('zones', 'account', has) }} as account,
        {{ visitor_sessions.handed_in_key('zones', 'customer_id', has) }} as customer_id,
        {% if 'date' in has %}zones.date{% else %}1{% endif %} as date,
        zones.timezone
    from {{ zones }} as zones
    where zones.timezone is not null
),

matched as (
    select
        accounts.account,
        accounts.customer_id,
        handed_in.timezone,
        row_number() over (
            partition by accounts.account, accounts.customer_id
            order by
                {{ visitor_sessions.handed_in_order('handed_in', ['account', 'customer_id']) }},
                handed_in.date desc,
                handed_in.timezone asc
        ) as turn
    from accounts
    inner join handed_in
        on
            {%- if visitor_sessions.setting('zones_relation') %}
            {{ visitor_sessions.handed_in_matches('handed_in', 'accounts', ['account', 'customer_id']) }}
            {%- else %}
            -- The ledger's rows are of exactly the account that they name.
            1 = 1
            {%- if 'account' in keys %}
            and coalesce(accounts.account, '') = coalesce(handed_in.account, '')
            {%- endif %}
            {%- if 'customer_id' in keys %}
            and coalesce(accounts.customer_id, -1) = coalesce(handed_in.customer_id, -1)
            {%- endif %}
            {%- endif %}
)
{%- endif %}

select
    accounts.account,
    accounts.customer_id,
    {%- if zones %}
    coalesce(matched.timezone, '{{ visitor_sessions.setting("timezone") }}') as timezone,
    matched.timezone is not null as is_known
    {%- else %}
    cast('{{ visitor_sessions.setting("timezone") }}' as {{ dbt.type_string() }}) as timezone,
    false as is_known
    {%- endif %}
from accounts
{%- if zones %}
left join matched
    on
        matched.turn = 1
        and {{ visitor_sessions.same_account('accounts', 'matched') }}
{%- endif %}
