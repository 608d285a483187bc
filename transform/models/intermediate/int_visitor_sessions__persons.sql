-- Stitching is retroactive: a person learnt today is the person of the visitor's former sessions too.

with

sessions as (
    select
        sessions.account,
        sessions.customer_id,
        sessions.visitor_id,
        sessions.person_id,
        sessions.started_at,
        sessions.session_id
    from {{ ref('stg_visitor_sessions__sessions') }} as sessions
    where sessions.visitor_id is not null
),

ranked as (
    select
        sessions.*,
        row_number() over (
            partition by sessions.account, sessions.customer_id, sessions.visitor_id
            order by
                case when sessions.person_id is null then 1 else 0 end,
                sessions.started_at desc,
                sessions.session_id desc
        ) as turn
    from sessions
)

select
    {{ visitor_sessions.key(['ranked.visitor_id', 'ranked.customer_id', 'ranked.account']) }} as visitor_key,
    ranked.account,
    ranked.customer_id,
    ranked.visitor_id,
    ranked.person_id,
    {%- if visitor_sessions.setting('identity') == 'person' %}
    case
        when ranked.person_id is not null
            then {{ visitor_sessions.key(["'person'", 'ranked.person_id', 'ranked.customer_id', 'ranked.account']) }}
        else {{ visitor_sessions.key(["'visitor'", 'ranked.visitor_id', 'ranked.customer_id', 'ranked.account']) }}
    end as person_key
    {%- else %}
    {{ visitor_sessions.key(["'visitor'", 'ranked.visitor_id', 'ranked.customer_id', 'ranked.account']) }} as person_key
    {%- endif %}
from ranked
where ranked.turn = 1
