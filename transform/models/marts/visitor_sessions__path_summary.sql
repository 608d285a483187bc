{{ config(
    enabled=visitor_sessions.wanted('path_summary') and visitor_sessions.wanted('paths'),
) }}

select
    paths.account,
    paths.customer_id,
    paths.path,
    max(paths.touches) as touches,
    cast(sum(case when paths.is_conversion then 1 else 0 end) as bigint) as conversions,
    cast(sum(case when paths.is_conversion then 0 else 1 end) as bigint) as paths_without,
    count(distinct paths.person_key) as persons
from {{ ref('visitor_sessions__paths') }} as paths
group by paths.account, paths.customer_id, paths.path
