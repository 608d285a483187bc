{{ config(
    enabled=visitor_sessions.wanted('pages'),
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['person_key']}]),
) }}

with sessions as (
    select
        sessions.session_key,
        sessions.person_key,
        sessions.account,
        sessions.customer_id,
        sessions.session_id,
        sessions.site_id,
        sessions.started_on
    from {{ ref('visitor_sessions__sessions') }} as sessions
    where {{ visitor_sessions.only_affected('sessions') }}
)

select
    sessions.session_key,
    sessions.person_key,
    sessions.account,
    sessions.customer_id,
    sessions.session_id,
    sessions.site_id,
    sessions.started_on as seen_on,
    hits.position,
    hits.url,
    {{ visitor_sessions.page_of('hits.url') }} as page,
    hits.seconds,
    hits.position = 1 as is_entrance,
    hits.position = hits.hits as is_exit
from {{ visitor_sessions.items_to_take('hits') }} as hits
inner join sessions
    on
        hits.session_id = sessions.session_id
        {{ visitor_sessions.and_same_account('hits', 'sessions') }}
