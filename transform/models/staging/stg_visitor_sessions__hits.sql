with items as (
    {{ visitor_sessions.loaded_items('hits', ['hit_time', 'hit_duration', 'hit_url']) }}
)

select
    {{ visitor_sessions.item_owner() }},
    items.position,
    items.items as hits,
    items.hit_time,
    {{ visitor_sessions.seconds_of('items.hit_duration') }} as seconds,
    items.hit_url as url
from items
