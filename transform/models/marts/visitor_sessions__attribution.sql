{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ visitor_sessions.forget_persons() }}",
    indexes=visitor_sessions.indexes([{'columns': ['attribution_key'], 'unique': true}, {'columns': ['person_key']}]),
) }}

{%- set half_life = 86400.0 * visitor_sessions.setting('half_life_days') %}

with

touches as (
    select
        touches.*,
        {{ visitor_sessions.position_of_last_non_direct('touches') }} as position_of_last_non_direct,
        max(touches.started_at) over (partition by touches.conversion_key) as last_started_at
    from {{ ref('int_visitor_sessions__touches') }} as touches
    where {{ visitor_sessions.only_affected('touches') }}
),

-- Ages are counted from the last touch of the path: the shares are the same, and none becomes 0 / 0.
weighted as (
    select
        touches.*,
        power(
            cast(2 as float8),
            -- Beyond a thousand half-lives a float would end.
            greatest(
                -{{ visitor_sessions.seconds_between('touches.started_at', 'touches.last_started_at') }}
                / {{ half_life }},
                -1000
            )
        ) as weight
    from touches
),

shared as (
    select
        weighted.*,
        weighted.weight / sum(weighted.weight) over (partition by weighted.conversion_key) as decayed
    from weighted
),

credits as (
    {%- for model, credit in {
        'first_touch': 'case when shared.position = 1 then 1.0 else 0.0 end',
        'last_touch': 'case when shared.position = shared.touches then 1.0 else 0.0 end',
        'last_non_direct': 'case when shared.position = shared.position_of_last_non_direct then 1.0 else 0.0 end',
        'linear': '1.0 / shared.touches',
        'position_based': "
            case
                when shared.touches = 1 then 1.0
                when shared.touches = 2 then 0.5
                when shared.position in (1, shared.touches) then 0.4
                else 0.2 / (shared.touches - 2)
            end",
        'time_decay': 'shared.decayed',
    }.items() %}
    select
        '{{ model }}' as model,
        cast({{ credit }} as float8) as credit,
        shared.*
    from shared
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    {{ visitor_sessions.key(['credits.conversion_key', 'credits.session_key', 'credits.model']) }} as attribution_key,
    credits.conversion_key,
    credits.account,
    credits.customer_id,
    credits.person_key,
    credits.model,
    conversions.communication_type,
    conversions.communication_id,
    conversions.converted_at,
    conversions.converted_on,
    credits.session_key,
    credits.session_id,
    credits.started_at as touch_started_at,
    credits.started_on as touch_on,
    credits.position,
    credits.touches,
    credits.channel,
    credits.channel_group,
    credits.campaign_id,
    credits.campaign_name,
    credits.credit,
    credits.credit * conversions.value as value,
    conversions.currency,
    conversions.is_qualified
from credits
inner join {{ ref('visitor_sessions__conversions') }} as conversions
    on credits.conversion_key = conversions.conversion_key
where
    credits.credit > 0
    and not conversions.is_spam
    and {{ visitor_sessions.only_affected('conversions') }}
