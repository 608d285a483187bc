-- Each conversion but spam has credits of 1 in each of the six models.
with summed as (
    select
        attribution.conversion_key,
        attribution.model,
        sum(attribution.credit) as credit
    from {{ ref('visitor_sessions__attribution') }} as attribution
    group by attribution.conversion_key, attribution.model
)

select conversions.conversion_key
from {{ ref('visitor_sessions__conversions') }} as conversions
left join summed
    on
        conversions.conversion_key = summed.conversion_key
        and summed.model in (
            'first_touch', 'last_touch', 'last_non_direct', 'linear', 'position_based', 'time_decay'
        )
where not conversions.is_spam
group by conversions.conversion_key
having
    count(summed.model) <> 6
    or max(abs(coalesce(summed.credit, 0) - 1)) > 0.000001
