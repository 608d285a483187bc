with items as (
    {{ visitor_sessions.loaded_items(
        'communications',
        ['communication_type', 'communication_id', 'communication_date_time', 'ext_id'],
    ) }}
)

select
    {{ visitor_sessions.item_owner() }},
    items.position,
    items.communication_type,
    items.communication_id,
    {{ visitor_sessions.utc('items.communication_date_time') }} as communicated_at,
    items.ext_id
from items
