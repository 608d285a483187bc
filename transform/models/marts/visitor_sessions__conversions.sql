{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['conversion_key'], 'unique': true}, {'columns': ['person_key']}]),
) }}

{%- set values = visitor_sessions.values_select() %}

with

conversions as (
    select
        communications.communication_key as conversion_key,
        communications.account,
        communications.customer_id,
        communications.person_key,
        communications.session_key,
        communications.session_id,
        communications.communication_type,
        communications.communication_id,
        communications.ext_id,
        communications.communicated_at as converted_at,
        row_number() over (
            partition by communications.person_key
            order by
                communications.communicated_at,
                communications.communication_type,
                communications.communication_id,
                communications.communication_key
        ) as conversion_number
    from {{ ref('int_visitor_sessions__communications') }} as communications
    where
        {{ visitor_sessions.is_conversion('communications') }}
        and {{ visitor_sessions.only_affected('communications') }}
),

touches as (
    select
        touches.*,
        {{ visitor_sessions.position_of_last_non_direct('touches') }} as position_of_last_non_direct
    from {{ ref('int_visitor_sessions__touches') }} as touches
    where {{ visitor_sessions.only_affected('touches') }}
),

told as (
    select
        touches.conversion_key,
        max(touches.touches) as touches,
        max(case when touches.is_own then touches.channel end) as own_channel
        {%- for name, condition in {
            'first': 'touches.position = 1',
            'last': 'touches.position = touches.touches',
            'last_non_direct': 'touches.position = touches.position_of_last_non_direct',
        }.items() %},
        max(case when {{ condition }} then touches.session_id end) as {{ name }}_session_id,
        max(case when {{ condition }} then touches.started_at end) as {{ name }}_touch_at,
        max(case when {{ condition }} then touches.channel end) as {{ name }}_channel,
        max(case when {{ condition }} then touches.channel_group end) as {{ name }}_channel_group,
        max(case when {{ condition }} then touches.campaign_id end) as {{ name }}_campaign_id,
        max(case when {{ condition }} then touches.campaign_name end) as {{ name }}_campaign_name
        {%- endfor %}
    from touches
    group by touches.conversion_key
)

select
    conversions.conversion_key,
    conversions.account,
    conversions.customer_id,
    conversions.person_key,
    conversions.session_key,
    conversions.session_id,
    conversions.communication_type,
    conversions.communication_id,
    conversions.ext_id,
    conversions.converted_at,
    {{ visitor_sessions.local_date('conversions.converted_at', 'zones.timezone') }} as converted_on,
    cast(conversions.conversion_number as integer) as conversion_number,
    told.own_channel,
    {%- for name in ['first', 'last', 'last_non_direct'] %}
    {%- for column in [
        'session_id', 'touch_at', 'channel', 'channel_group', 'campaign_id', 'campaign_name'
    ] %}
    told.{{ name }}_{{ column }},
    {%- endfor %}
    {%- endfor %}
    told.touches,
    greatest(
        {{ visitor_sessions.seconds_between('told.first_touch_at', 'conversions.converted_at') }} / 86400, 0
    ) as days_until,
    {%- if values %}
    handed_in.value,
    handed_in.currency,
    coalesce(handed_in.is_qualified, false) as is_qualified,
    coalesce(handed_in.is_spam, false) as is_spam
    {%- else %}
    cast(null as float8) as value,
    cast(null as {{ dbt.type_string() }}) as currency,
    false as is_qualified,
    false as is_spam
    {%- endif %}
from conversions
-- Each account has a zone, yet PostgreSQL expects hardly a row of an inner join here, and loops.
left join {{ ref('int_visitor_sessions__zones') }} as zones
    on {{ visitor_sessions.same_account('conversions', 'zones') }}
left join told
    on conversions.conversion_key = told.conversion_key
{%- if values %}
left join ({{ visitor_sessions.values_of('conversions') }}) as handed_in
    on conversions.conversion_key = handed_in.conversion_key
{%- endif %}
