{%- do visitor_sessions.check_settings() -%}
{%- set columns = visitor_sessions.loaded_columns() -%}

with

loaded as (
    select loaded_rows.*
    from {{ visitor_sessions.loaded_rows(columns) }} as loaded_rows
),

typed as (
    select
        {{ visitor_sessions.loaded_text(columns, 'account') }} as account,
        {{ visitor_sessions.loaded_number(columns, 'customer_id') }} as customer_id,
        cast(loaded.id as bigint) as session_id,
        {{ visitor_sessions.loaded_time(columns, 'date_time') }} as started_at,
        {%- for name in ['visitor_id', 'person_id'] %}
        {{ visitor_sessions.loaded_text(columns, name) }} as {{ name }},
        {%- endfor %}
        {%- for name in ['duration', 'campaign_id', 'site_id'] %}
        {{ visitor_sessions.loaded_number(columns, name) }} as {{ name }},
        {%- endfor %}
        {%- for name in [
            'channel', 'engine', 'campaign_name', 'site_domain_name',
            'visitor_device', 'visitor_country', 'visitor_city', 'visitor_type',
            'utm_source', 'utm_medium', 'utm_campaign',
            'gclid', 'yclid', 'ym_client_id',
        ] %}
        {{ visitor_sessions.loaded_text(columns, name) }} as {{ name }},
        {%- endfor %}
        {%- if 'hits' in columns %}
        coalesce(
            {{ visitor_sessions.loaded_number(columns, 'hits_count') }},
            cast({{ visitor_sessions.count_of('loaded.hits', columns['hits']) }} as bigint)
        ) as hits_count,
        {%- for name, last in {'entrance_page': false, 'exit_page': true}.items() %}
        coalesce(
            {{ visitor_sessions.loaded_text(columns, name) }},
            nullif({{ visitor_sessions.end_member('loaded.hits', last, 'hit_url', columns['hits']) }}, '')
        ) as {{ name }},
        {%- endfor %}
        {%- else %}
        {{ visitor_sessions.loaded_number(columns, 'hits_count') }} as hits_count,
        {{ visitor_sessions.loaded_text(columns, 'entrance_page') }} as entrance_page,
        {{ visitor_sessions.loaded_text(columns, 'exit_page') }} as exit_page,
        {%- endif %}
        {{ visitor_sessions.loaded_campaign(columns, 'ext_campaign_id') }} as ext_campaign_id,
        {{ visitor_sessions.loaded_time(columns, 'read_at') }} as read_at,
        {{ visitor_sessions.loaded_stamp(columns) }} as loaded_stamp
    from loaded
)

select
    {{ visitor_sessions.key(['typed.session_id', 'typed.customer_id', 'typed.account']) }} as session_key,
    typed.*
from typed
