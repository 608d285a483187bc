{{ config(enabled=visitor_sessions.wanted('daily_channels')) }}

select
    sessions.account,
    sessions.customer_id,
    sessions.started_on as date,
    sessions.channel,
    sessions.channel_group,
    count(*) as sessions,
    count(distinct sessions.person_key) as persons,
    cast(sum(case when sessions.is_bounce then 1 else 0 end) as bigint) as bounces,
    cast(sum(sessions.pages) as bigint) as pages,
    cast(sum(sessions.duration) as bigint) as seconds,
    cast(sum(sessions.calls) as bigint) as calls,
    cast(sum(sessions.chats) as bigint) as chats,
    cast(sum(sessions.goals) as bigint) as goals,
    cast(sum(sessions.offline_messages) as bigint) as offline_messages,
    cast(sum(case when sessions.communications > 0 then 1 else 0 end) as bigint) as sessions_with_communication
from {{ ref('visitor_sessions__sessions') }} as sessions
group by
    sessions.account,
    sessions.customer_id,
    sessions.started_on,
    sessions.channel,
    sessions.channel_group
