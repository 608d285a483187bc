{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['person_key']}, {'columns': ['communication_key']}]),
) }}

with

sessions as (
    select
        sessions.session_key,
        sessions.account,
        sessions.customer_id,
        sessions.session_id,
        sessions.started_at,
        {{ visitor_sessions.person_key('sessions', 'persons') }} as person_key
    {{ visitor_sessions.from_sessions_and_persons() }}
    where {{ visitor_sessions.only_affected_sessions('sessions') }}
),

loaded as (
    select
        case
            when communications.communication_id is not null
                then {{ visitor_sessions.key([
                    'communications.communication_type', 'communications.communication_id',
                    'communications.customer_id', 'communications.account',
                ]) }}
            else {{ visitor_sessions.key([
                "'session'", 'communications.session_id', 'communications.position',
                'communications.customer_id', 'communications.account',
            ]) }}
        end as communication_key,
        sessions.session_key,
        sessions.account,
        sessions.customer_id,
        sessions.session_id,
        sessions.person_key,
        sessions.started_at,
        communications.position,
        communications.communication_type,
        communications.communication_id,
        coalesce(communications.communicated_at, sessions.started_at) as communicated_at,
        communications.ext_id
    from {{ visitor_sessions.items_to_take('communications') }} as communications
    inner join sessions
        on
            communications.session_id = sessions.session_id
            {{ visitor_sessions.and_same_account('communications', 'sessions') }}
    where {{ visitor_sessions.only_affected('sessions') }}
),

-- The same communications in sessions of persons who are not affected.
known as (
    select
        loaded.*,
        true as is_new
    from loaded
    {%- if visitor_sessions.adds() %}
    union all
    select
        others.communication_key,
        others.session_key,
        others.account,
        others.customer_id,
        others.session_id,
        others.person_key,
        others.started_at,
        others.position,
        others.communication_type,
        others.communication_id,
        others.communicated_at,
        others.ext_id,
        false as is_new
    from {{ this }} as others
    where
        others.communication_key in (select loaded.communication_key from loaded)
        and others.person_key not in (
            select affected.person_key from {{ ref('int_visitor_sessions__affected') }} as affected
        )
    {%- endif %}
),

ranked as (
    select
        known.*,
        row_number() over (
            partition by known.communication_key
            order by known.started_at desc, known.session_id desc, known.position desc
        ) as turn
    from known
)

select
    ranked.communication_key,
    ranked.session_key,
    ranked.account,
    ranked.customer_id,
    ranked.session_id,
    ranked.person_key,
    ranked.started_at,
    ranked.position,
    ranked.communication_type,
    ranked.communication_id,
    ranked.communicated_at,
    ranked.ext_id,
    ranked.turn = 1 as is_owned
from ranked
where ranked.is_new
