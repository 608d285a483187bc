-- The sessions of affected persons: nested columns are taken apart for these alone. Their stamps are of
-- before that: what a load brings while a build reads it is taken for changed by the next one.
select
    sessions.session_id,
    sessions.account,
    sessions.customer_id,
    sessions.loaded_stamp,
    {{ visitor_sessions.person_key('sessions', 'persons') }} as person_key
{{ visitor_sessions.from_sessions_and_persons() }}
where
    {{ visitor_sessions.person_key('sessions', 'persons') }} in (
        select affected.person_key from {{ ref('int_visitor_sessions__affected') }} as affected
    )
