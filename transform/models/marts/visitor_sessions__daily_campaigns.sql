{{ config(enabled=visitor_sessions.wanted('daily_campaigns')) }}

{%- set spend_key = visitor_sessions.setting('spend_key') -%}
{%- set spend = visitor_sessions.handed_in('spend_relation') if visitor_sessions.setting('spend_relation') -%}
{%- set has = visitor_sessions.columns_of(spend) if spend else {} -%}
{%- set text = dbt.type_string() %}

with

qualified as (
    select
        conversions.session_key,
        count(*) as qualified
    from {{ ref('visitor_sessions__conversions') }} as conversions
    where
        conversions.is_qualified
        and not conversions.is_spam
    group by conversions.session_key
),

sessions as (
    select
        sessions.account,
        sessions.customer_id,
        sessions.started_on as date,
        coalesce(cast(sessions.{{ spend_key }} as {{ text }}), '(none)') as campaign,
        max(sessions.campaign_name) as campaign_name,
        count(*) as sessions,
        cast(sum(sessions.calls) as bigint) as calls,
        cast(sum(sessions.chats) as bigint) as chats,
        cast(sum(sessions.goals) as bigint) as goals,
        cast(sum(sessions.offline_messages) as bigint) as offline_messages,
        cast(sum(coalesce(qualified.qualified, 0)) as bigint) as qualified
    from {{ ref('visitor_sessions__sessions') }} as sessions
    left join qualified
        on sessions.session_key = qualified.session_key
    group by
        sessions.account,
        sessions.customer_id,
        sessions.started_on,
        coalesce(cast(sessions.{{ spend_key }} as {{ text }}), '(none)')
),

{% if spend -%}
-- Two currencies cannot be added up: then the spend is null, and a row of __quality.
spend as (
    select
        {% if 'account' in has %}nullif(cast(spend.account as {{ text }}), ''){% else %}cast(null as {{ text }}){% endif %} as account,
        {% if 'customer_id' in has %}cast(spend.customer_id as bigint){% else %}cast(null as bigint){% endif %} as customer_id,
        cast(spend.date as date) as date,
        cast(spend.campaign as {{ text }}) as campaign,
        {%- if 'currency' in has %}
        case when count(distinct spend.currency) < 2 then sum(cast(spend.spend as float8)) end as spend,
        case when count(distinct spend.currency) < 2 then max(spend.currency) end as currency
        {%- else %}
        sum(cast(spend.spend as float8)) as spend,
        cast(null as {{ text }}) as currency
        {%- endif %}
    from {{ spend }} as spend
    group by 1, 2, 3, 4
),
{%- endif %}

joined as (
    select
        {%- if spend %}
        {%- for key in ['account', 'customer_id'] %}
        {% if key in has %}coalesce(sessions.{{ key }}, spend.{{ key }}){% else %}sessions.{{ key }}{% endif %} as {{ key }},
        {%- endfor %}
        coalesce(sessions.date, spend.date) as date,
        coalesce(sessions.campaign, spend.campaign) as campaign,
        {%- else %}
        sessions.account,
        sessions.customer_id,
        sessions.date,
        sessions.campaign,
        {%- endif %}
        sessions.campaign_name,
        coalesce(sessions.sessions, 0) as sessions,
        coalesce(sessions.calls, 0) as calls,
        coalesce(sessions.chats, 0) as chats,
        coalesce(sessions.goals, 0) as goals,
        coalesce(sessions.offline_messages, 0) as offline_messages,
        coalesce(sessions.qualified, 0) as qualified,
        {%- if spend %}
        spend.spend,
        spend.currency
        {%- else %}
        cast(null as float8) as spend,
        cast(null as {{ text }}) as currency
        {%- endif %}
    from sessions
    {%- if spend %}
    full outer join spend
        on
            sessions.date = spend.date
            and sessions.campaign = spend.campaign
            {%- if 'account' in has %}
            and coalesce(sessions.account, '') = coalesce(spend.account, '')
            {%- endif %}
            {%- if 'customer_id' in has %}
            and coalesce(sessions.customer_id, -1) = coalesce(spend.customer_id, -1)
            {%- endif %}
    {%- endif %}
)

select
    joined.*,
    joined.spend / nullif(joined.sessions, 0) as cost_per_session,
    joined.spend / nullif(joined.calls, 0) as cost_per_call,
    joined.spend / nullif(joined.qualified, 0) as cost_per_qualified
from joined
