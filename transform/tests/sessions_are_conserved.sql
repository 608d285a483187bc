-- Every loaded session is in the mart, once, and no other.
select
    coalesce(loaded.session_id, sessions.session_id) as session_id
from {{ ref('stg_visitor_sessions__sessions') }} as loaded
full outer join {{ ref('visitor_sessions__sessions') }} as sessions
    on
        loaded.session_id = sessions.session_id
        and {{ visitor_sessions.same_account('loaded', 'sessions') }}
where loaded.session_id is null or sessions.session_id is null
