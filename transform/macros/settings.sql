{#- A var of the package, by its name without `visitor_sessions_`. Each default stands here, once. -#}
{%- macro setting(name) -%}
    {%- set defaults = {
        'loader': 'auto',
        'appended': false,
        'timezone': 'UTC',
        'zones_relation': none,
        'window_days': 30,
        'half_life_days': 7,
        'lookback_days': 3,
        'conversion_types': ['call', 'chat', 'goal', 'offline_message'],
        'direct_channels': ['direct'],
        'ignored_channels': ['internal'],
        'identity': 'person',
        'bounce_max_pages': 1,
        'bounce_max_seconds': none,
        'spend_relation': none,
        'spend_key': 'campaign_id',
        'values_relation': none,
        'leave_out': [],
        'segments': false,
        'custom_properties': false,
    } -%}
    {%- set value = var('visitor_sessions_' ~ name, defaults[name]) -%}
    {%- set allowed = {
        'loader': ['auto', 'meltano', 'dlt', 'airbyte'],
        'identity': ['person', 'visitor'],
        'spend_key': ['campaign_id', 'ext_campaign_id', 'campaign_name', 'utm_campaign'],
    } -%}
    {%- if name in allowed and value not in allowed[name] -%}
        {{ exceptions.raise_compiler_error(
            "visitor_sessions_" ~ name ~ " is " ~ value ~ ": one of "
            ~ allowed[name] | join(', ') ~ " is needed"
        ) }}
    {%- endif -%}
    {#- One text where a list is meant: its letters are none. -#}
    {%- if value is string and defaults[name] is iterable and defaults[name] is not string -%}
        {{ return([value]) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro -%}

{#- Whether a mart is to be built: `visitor_sessions_leave_out` does not name it. -#}
{%- macro wanted(name) -%}
    {%- set out = [] -%}
    {%- set all = [
        'persons', 'pages', 'paths', 'path_summary', 'attribution_daily', 'daily_channels',
        'daily_campaigns', 'offline_conversions_google', 'offline_conversions_yandex', 'quality',
    ] -%}
    {%- for item in visitor_sessions.setting('leave_out') -%}
        {%- set item = item | replace('visitor_sessions__', '') -%}
        {%- if item not in all -%}
            {{ exceptions.raise_compiler_error(
                "visitor_sessions_leave_out names " ~ item ~ ": what can be left out is " ~ all | join(', ')
            ) }}
        {%- endif -%}
        {%- do out.append(item) -%}
    {%- endfor -%}
    {{ return(name not in out) }}
{%- endmacro -%}

{#- A list of texts as SQL: 'a', 'b'. An empty list matches nothing. -#}
{%- macro texts(values) -%}
    {%- set quoted = [] -%}
    {%- for value in values -%}
        {%- do quoted.append("'" ~ (value | string | replace("'", "''")) ~ "'") -%}
    {%- endfor -%}
    {{ return(quoted | join(', ') if quoted else 'null') }}
{%- endmacro -%}

{#- The relation that a `..._relation` var names: without a dot a model or seed of the project. -#}
{%- macro handed_in(name) -%}
    {%- set value = visitor_sessions.setting(name) -%}
    {%- if '.' in value -%}
        {%- set parts = value.split('.') -%}
        {%- set relation = api.Relation.create(
            database=parts[-3] if parts | length > 2 else target.database,
            schema=parts[-2],
            identifier=parts[-1],
        ) -%}
        {{ return(relation) }}
    {%- endif -%}
    {{ return(ref(value)) }}
{%- endmacro -%}

{#- Names of the columns of a relation -> their types, in lower case. -#}
{%- macro columns_of(relation) -%}
    {%- set found = {} -%}
    {%- if execute and flags.INTROSPECT -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do found.update({column.name | lower: column.data_type | lower}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro -%}

{#- What the present vars make of the sessions: tables built under others need a full refresh. -#}
{%- macro rules() -%}
    {%- set parts = ['1'] -%}
    {%- for name in [
        'timezone', 'window_days', 'half_life_days', 'conversion_types', 'direct_channels',
        'ignored_channels', 'identity', 'bounce_max_pages', 'bounce_max_seconds',
    ] -%}
        {%- do parts.append(visitor_sessions.setting(name) | string) -%}
    {%- endfor -%}
    {#- Increments pass by a mart that is left out: once it is wanted again it lacks them. -#}
    {#- A unit test has no graph. -#}
    {%- if execute and graph.nodes is defined -%}
        {%- set built = graph.nodes.values() | map(attribute='name') | list -%}
        {%- for name in ['pages', 'paths', 'persons'] if 'visitor_sessions__' ~ name not in built -%}
            {%- do parts.append('without ' ~ name) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(local_md5(parts | join('|'))) }}
{%- endmacro -%}

{#- A relation if it is there; none where dbt does not look (`--no-introspect`). -#}
{%- macro find(database, schema, identifier) -%}
    {%- if execute and flags.INTROSPECT -%}
        {{ return(adapter.get_relation(database=database, schema=schema, identifier=identifier)) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro -%}
