{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
) }}

{#- Whose rows the increments make anew: persons with a session that is new, was loaded again, went,
    changed its person or its zone, or that share a communication with such a session; and persons
    for whose conversions other values are handed in. They stay here until every increment has taken
    them in (on-run-end), so that a build that fails half-way loses none. -#}

{#- Outside of the condition: dbt has to know of the dependencies when it parses. -#}
{%- set builds = ref('int_visitor_sessions__builds') -%}
{%- set zones = ref('int_visitor_sessions__zones') -%}
{%- set before = visitor_sessions.former('visitor_sessions__sessions') if visitor_sessions.adds() else none -%}
{%- set communications = visitor_sessions.former('int_visitor_sessions__communications') if before else none -%}
{%- set conversions = visitor_sessions.former('visitor_sessions__conversions') if before else none -%}
{%- set values = visitor_sessions.values_select() -%}
{%- if before -%}{%- do visitor_sessions.check_rules(before) -%}{%- endif -%}
{%- if execute -%}{%- do visitor_sessions.check_all_builds() -%}{%- endif -%}

with

present as (
    select
        sessions.session_id,
        sessions.account,
        sessions.customer_id,
        sessions.started_at,
        sessions.loaded_stamp,
        {{ visitor_sessions.person_key('sessions', 'persons') }} as person_key
    {{ visitor_sessions.from_sessions_and_persons() }}
)

{%- if not before %}

select distinct present.person_key
from present
{%- if visitor_sessions.adds() %}
where present.person_key not in (select waiting.person_key from {{ this }} as waiting)
{%- endif %}

{%- else %},

former as (
    select
        session_id,
        account,
        customer_id,
        started_at,
        loaded_stamp,
        person_key,
        timezone
    from {{ before }}
),

-- Where nothing tells when a row was loaded, the tap's look-back may have changed it.
reach as (
    select
        former.account,
        former.customer_id,
        {{ visitor_sessions.seconds_later(
            'max(former.started_at)', '-86400 * ' ~ visitor_sessions.setting('lookback_days')
        ) }} as since
    from former
    where former.started_at <= {{ visitor_sessions.utc_now() }}
    group by former.account, former.customer_id
),

changed as {{ visitor_sessions.once() }}(
    select
        coalesce(present.session_id, former.session_id) as session_id,
        coalesce(present.account, former.account) as account,
        coalesce(present.customer_id, former.customer_id) as customer_id,
        present.person_key as person_now,
        former.person_key as person_before
    from present
    full outer join former
        on
            present.session_id = former.session_id
            and {{ visitor_sessions.same_account('present', 'former') }}
    left join reach
        on {{ visitor_sessions.same_account('present', 'reach') }}
    left join {{ zones }} as zones
        on {{ visitor_sessions.same_account('present', 'zones') }}
    where
        present.session_id is null
        or former.session_id is null
        or present.person_key <> former.person_key
        or present.started_at <> former.started_at
        or zones.timezone <> former.timezone
        or coalesce(present.loaded_stamp, '') <> coalesce(former.loaded_stamp, '')
        or (
            present.loaded_stamp is null
            and (reach.since is null or present.started_at >= reach.since)
        )
),

{% if communications -%}
-- A communication belongs to the latest session that has it: who shares one is affected with it.
shared as (
    select
        communications.account,
        communications.customer_id,
        communications.communication_type,
        communications.communication_id
    from {{ communications }} as communications
    inner join changed
        on
            communications.session_id = changed.session_id
            {{ visitor_sessions.and_same_account('communications', 'changed') }}
    union
    select
        communications.account,
        communications.customer_id,
        communications.communication_type,
        communications.communication_id
    from ({{ visitor_sessions.communications('changed') }}) as communications
    inner join changed
        on
            communications.session_id = changed.session_id
            {{ visitor_sessions.and_same_account('communications', 'changed') }}
),
{%- endif %}

persons as (
    select changed.person_now as person_key
    from changed
    union
    select changed.person_before as person_key
    from changed
    {%- if communications %}
    union
    select communications.person_key
    from {{ communications }} as communications
    inner join shared
        on
            communications.communication_id = shared.communication_id
            and communications.communication_type = shared.communication_type
            {{ visitor_sessions.and_same_account('communications', 'shared') }}
    {%- endif %}
    {%- if conversions and values %}
    union
    select conversions.person_key
    from {{ conversions }} as conversions
    left join ({{ visitor_sessions.values_of(conversions) }}) as handed_in
        on conversions.conversion_key = handed_in.conversion_key
    where
        coalesce(conversions.value, 0) <> coalesce(handed_in.value, 0)
        or (conversions.value is null) <> (handed_in.value is null)
        or coalesce(conversions.currency, '') <> coalesce(handed_in.currency, '')
        or conversions.is_qualified <> coalesce(handed_in.is_qualified, false)
        or conversions.is_spam <> coalesce(handed_in.is_spam, false)
    {%- elif conversions %}
    union
    select conversions.person_key
    from {{ conversions }} as conversions
    where
        conversions.value is not null
        or conversions.currency is not null
        or conversions.is_qualified
        or conversions.is_spam
    {%- endif %}
)

select persons.person_key
from persons
left join {{ this }} as waiting
    on persons.person_key = waiting.person_key
where
    persons.person_key is not null
    and waiting.person_key is null
{%- endif %}
