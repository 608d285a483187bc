{{ config(enabled=visitor_sessions.wanted('attribution_daily')) }}

{%- for name, day in {'conversion': 'converted_on', 'touch': 'touch_on'}.items() %}
select
    attribution.account,
    attribution.customer_id,
    '{{ name }}' as date_of,
    attribution.{{ day }} as date,
    attribution.model,
    attribution.communication_type,
    attribution.channel,
    attribution.channel_group,
    attribution.campaign_id,
    attribution.campaign_name,
    attribution.currency,
    sum(attribution.credit) as conversions,
    sum(case when attribution.is_qualified then attribution.credit else 0 end) as qualified,
    sum(attribution.value) as value
from {{ ref('visitor_sessions__attribution') }} as attribution
group by
    attribution.account,
    attribution.customer_id,
    attribution.{{ day }},
    attribution.model,
    attribution.communication_type,
    attribution.channel,
    attribution.channel_group,
    attribution.campaign_id,
    attribution.campaign_name,
    attribution.currency
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
