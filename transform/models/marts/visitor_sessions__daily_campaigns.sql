{{ config(enabled=visitor_sessions.wanted('daily_campaigns')) }}

{%- set spend_key = visitor_sessions.setting('spend_key') -%}
{%- set spend = visitor_sessions.handed_in('spend_relation') if visitor_sessions.setting('spend_relation') -%}
{%- set has = visitor_sessions.columns_of(spend) if spend else {} -%}
{%- set text = dbt.type_string() %}

with

outcomes as (
    select
        conversions.session_key,
        sum(case when conversions.is_qualified and not conversions.is_spam then 1 else 0 end) as qualified,
        sum(case when conversions.is_spam and conversions.communication_type = 'call' then 1 else 0 end) as spam_calls
    from {{ ref('visitor_sessions__conversions') }} as conversions
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
        cast(sum(coalesce(outcomes.qualified, 0)) as bigint) as qualified,
        cast(sum(coalesce(outcomes.spam_calls, 0)) as bigint) as spam_calls
    from {{ ref('visitor_sessions__sessions') }} as sessions
    left join outcomes
        on sessions.session_key = outcomes.session_key
    group by
        sessions.account,
        sessions.customer_id,
        sessions.started_on,
        coalesce(cast(sessions.{{ spend_key }} as {{ text }}), '(none)')
),

{% if spend -%}
-- What a campaign is called, on days without sessions too.
campaigns as (
    select
        named.account,
        named.customer_id,
        named.campaign,
        named.campaign_name
    from (
        select
            sessions.account,
            sessions.customer_id,
            sessions.campaign,
            sessions.campaign_name,
            row_number() over (
                partition by sessions.account, sessions.customer_id, sessions.campaign
                order by case when sessions.campaign_name is null then 1 else 0 end, sessions.date desc
            ) as turn
        from sessions
    ) as named
    where named.turn = 1
),

handed_in as (
    select
        {{ visitor_sessions.handed_in_key('spend', 'account', has) }} as account,
        {{ visitor_sessions.handed_in_key('spend', 'customer_id', has) }} as customer_id,
        cast(spend.date as date) as date,
        {{ visitor_sessions.spend_campaign('spend') }} as campaign,
        {% if 'currency' in has %}nullif(cast(spend.currency as {{ text }}), ''){% else %}cast(null as {{ text }}){% endif %} as currency,
        sum(cast(spend.spend as float8)) as spend
    from {{ spend }} as spend
    where spend.spend is not null
    group by 1, 2, 3, 4, 5
),

-- Spend that does not name its account or customer is that of the only one that has the campaign.
-- Where several have it nobody can tell whose it is: it stands in a row of its own, once.
owners as (
    select
        handed_in.account,
        handed_in.customer_id,
        handed_in.campaign,
        count(campaigns.campaign) as owners,
        max(campaigns.account) as owner_account,
        max(campaigns.customer_id) as owner_customer_id,
        case when min(campaigns.campaign_name) = max(campaigns.campaign_name) then max(campaigns.campaign_name) end as campaign_name
    from (
        select distinct
            handed_in.account,
            handed_in.customer_id,
            handed_in.campaign
        from handed_in
    ) as handed_in
    left join campaigns
        on
            handed_in.campaign = campaigns.campaign
            and {{ visitor_sessions.handed_in_matches('handed_in', 'campaigns', ['account', 'customer_id']) }}
    group by handed_in.account, handed_in.customer_id, handed_in.campaign
),

-- Two currencies cannot be added up: then the spend is null, and a row of __quality.
spend as (
    select
        case when owners.owners = 1 then owners.owner_account else owners.account end as account,
        case when owners.owners = 1 then owners.owner_customer_id else owners.customer_id end as customer_id,
        handed_in.date,
        handed_in.campaign,
        max(owners.campaign_name) as campaign_name,
        case when count(distinct handed_in.currency) < 2 then sum(handed_in.spend) end as spend,
        case when count(distinct handed_in.currency) < 2 then max(handed_in.currency) end as currency,
        cast(count(distinct handed_in.currency) as integer) as currencies
    from handed_in
    inner join owners
        on
            handed_in.campaign = owners.campaign
            and {{ visitor_sessions.same_account('handed_in', 'owners') }}
    group by 1, 2, 3, 4
),
{%- endif %}

joined as (
    select
        {%- if spend %}
        coalesce(sessions.account, spend.account) as account,
        coalesce(sessions.customer_id, spend.customer_id) as customer_id,
        coalesce(sessions.date, spend.date) as date,
        coalesce(sessions.campaign, spend.campaign) as campaign,
        coalesce(sessions.campaign_name, spend.campaign_name) as campaign_name,
        {%- else %}
        sessions.account,
        sessions.customer_id,
        sessions.date,
        sessions.campaign,
        sessions.campaign_name,
        {%- endif %}
        coalesce(sessions.sessions, 0) as sessions,
        coalesce(sessions.calls, 0) as calls,
        coalesce(sessions.chats, 0) as chats,
        coalesce(sessions.goals, 0) as goals,
        coalesce(sessions.offline_messages, 0) as offline_messages,
        coalesce(sessions.qualified, 0) as qualified,
        coalesce(sessions.spam_calls, 0) as spam_calls,
        {%- if spend %}
        spend.spend,
        spend.currency,
        spend.currencies
        {%- else %}
        cast(null as float8) as spend,
        cast(null as {{ text }}) as currency,
        cast(null as integer) as currencies
        {%- endif %}
    from sessions
    {%- if spend %}
    full outer join spend
        on
            sessions.date = spend.date
            and sessions.campaign = spend.campaign
            and {{ visitor_sessions.same_account('sessions', 'spend') }}
    {%- endif %}
)

select
    joined.*,
    joined.spend / nullif(joined.sessions, 0) as cost_per_session,
    joined.spend / nullif(joined.calls, 0) as cost_per_call,
    joined.spend / nullif(joined.qualified, 0) as cost_per_qualified
from joined
