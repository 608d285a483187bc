{#- What databases and loaders differ in. `kind` is the type of the loaded column, in lower case. -#}

{#- A whole number; null where what stands there is none (a hash). -#}
{%- macro whole_number(expression, kind='text') -%}
    {{ return(adapter.dispatch('whole_number', 'visitor_sessions')(expression, kind)) }}
{%- endmacro -%}

{%- macro default__whole_number(expression, kind) -%}
    {%- if 'int' in kind -%}
        cast({{ expression }} as bigint)
    {%- else -%}
        case
            {#- Not `{1,18}`: PostgreSQL takes several times as long for it. #}
            when
                cast({{ expression }} as text) ~ '^-?[0-9]+$'
                and length(ltrim(cast({{ expression }} as text), '-')) < 19
                then cast(cast({{ expression }} as text) as bigint)
        end
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__whole_number(expression, kind) -%}
    try_cast({{ expression }} as bigint)
{%- endmacro -%}

{%- macro snowflake__whole_number(expression, kind) -%}
    try_to_number(cast({{ expression }} as varchar))
{%- endmacro -%}

{#- A timestamp without a zone, in UTC. A text is RFC 3339. -#}
{%- macro utc(expression, kind='text') -%}
    {{ return(adapter.dispatch('utc', 'visitor_sessions')(expression, kind)) }}
{%- endmacro -%}

{%- macro default__utc(expression, kind) -%}
    {%- if 'with time zone' in kind or 'timestamptz' in kind -%}
        {{ expression }} at time zone 'UTC'
    {%- elif 'timestamp' in kind -%}
        cast({{ expression }} as timestamp)
    {%- else -%}
        case
            when cast({{ expression }} as text) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}.*(Z|[+-][0-9]{2}:?[0-9]{2})$'
                then cast(cast({{ expression }} as text) as timestamptz) at time zone 'UTC'
        end
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__utc(expression, kind) -%}
    {%- if 'with time zone' in kind or 'timestamptz' in kind -%}
        {{ expression }} at time zone 'UTC'
    {%- else -%}
        try_cast({{ expression }} as timestamp)
    {%- endif -%}
{%- endmacro -%}

{%- macro snowflake__utc(expression, kind) -%}
    {%- if 'tz' in kind and 'ntz' not in kind -%}
        cast(convert_timezone('UTC', {{ expression }}) as timestamp_ntz)
    {%- elif 'timestamp' in kind -%}
        cast({{ expression }} as timestamp_ntz)
    {%- else -%}
        cast(convert_timezone('UTC', try_to_timestamp_tz(cast({{ expression }} as varchar))) as timestamp_ntz)
    {%- endif -%}
{%- endmacro -%}

{#- The local date of a timestamp in UTC, in an IANA zone. -#}
{%- macro local_date(expression, zone) -%}
    {{ return(adapter.dispatch('local_date', 'visitor_sessions')(expression, zone)) }}
{%- endmacro -%}

{%- macro default__local_date(expression, zone) -%}
    cast({{ expression }} at time zone 'UTC' at time zone {{ zone }} as date)
{%- endmacro -%}

{%- macro snowflake__local_date(expression, zone) -%}
    cast(convert_timezone('UTC', {{ zone }}, {{ expression }}) as date)
{%- endmacro -%}

{#- Seconds from one timestamp to another, as a float. -#}
{%- macro seconds_between(start, end) -%}
    {{ return(adapter.dispatch('seconds_between', 'visitor_sessions')(start, end)) }}
{%- endmacro -%}

{%- macro default__seconds_between(start, end) -%}
    cast(extract(epoch from ({{ end }} - {{ start }})) as float8)
{%- endmacro -%}

{%- macro duckdb__seconds_between(start, end) -%}
    cast(epoch({{ end }}) - epoch({{ start }}) as double)
{%- endmacro -%}

{%- macro snowflake__seconds_between(start, end) -%}
    cast(timestampdiff('second', {{ start }}, {{ end }}) as float)
{%- endmacro -%}

{#- A timestamp in UTC some seconds later, or earlier. -#}
{%- macro seconds_later(expression, seconds) -%}
    {{ return(adapter.dispatch('seconds_later', 'visitor_sessions')(expression, seconds)) }}
{%- endmacro -%}

{%- macro default__seconds_later(expression, seconds) -%}
    ({{ expression }} + {{ seconds }} * interval '1 second')
{%- endmacro -%}

{%- macro snowflake__seconds_later(expression, seconds) -%}
    timestampadd('second', {{ seconds }}, {{ expression }})
{%- endmacro -%}

{#- This moment, in UTC. -#}
{%- macro utc_now() -%}
    {{ return(adapter.dispatch('utc_now', 'visitor_sessions')()) }}
{%- endmacro -%}

{%- macro default__utc_now() -%}
    cast(current_timestamp at time zone 'UTC' as timestamp)
{%- endmacro -%}

{%- macro snowflake__utc_now() -%}
    sysdate()
{%- endmacro -%}

{#- Seconds since 1970 of a timestamp in UTC. -#}
{%- macro unix_seconds(expression) -%}
    cast({{ visitor_sessions.seconds_between("cast('1970-01-01 00:00:00' as timestamp)", expression) }} as bigint)
{%- endmacro -%}

{#- A timestamp in UTC as `2024-05-01 04:23:28+00:00`. -#}
{%- macro utc_text(expression) -%}
    {{ return(adapter.dispatch('utc_text', 'visitor_sessions')(expression)) }}
{%- endmacro -%}

{%- macro default__utc_text(expression) -%}
    to_char({{ expression }}, 'YYYY-MM-DD HH24:MI:SS') || '+00:00'
{%- endmacro -%}

{%- macro duckdb__utc_text(expression) -%}
    strftime({{ expression }}, '%Y-%m-%d %H:%M:%S') || '+00:00'
{%- endmacro -%}

{#- A text that changes when a row is loaded again: the same in whatever zone the session is. -#}
{%- macro stamp(expression, kind) -%}
    {{ return(adapter.dispatch('stamp', 'visitor_sessions')(expression, kind)) }}
{%- endmacro -%}

{%- macro default__stamp(expression, kind) -%}
    {%- if 'timestamp' in kind -%}
        cast(extract(epoch from {{ expression }}) as text)
    {%- else -%}
        cast({{ expression }} as text)
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__stamp(expression, kind) -%}
    {%- if 'timestamp' in kind -%}
        cast(epoch_us({{ expression }}) as text)
    {%- else -%}
        cast({{ expression }} as text)
    {%- endif -%}
{%- endmacro -%}

{%- macro snowflake__stamp(expression, kind) -%}
    {%- if 'timestamp' in kind -%}
        cast(date_part('epoch_microsecond', {{ expression }}) as text)
    {%- else -%}
        cast({{ expression }} as text)
    {%- endif -%}
{%- endmacro -%}

{#- A member of an object, as text. -#}
{%- macro member(expression, name, kind) -%}
    {{ return(adapter.dispatch('member', 'visitor_sessions')(expression, name, kind)) }}
{%- endmacro -%}

{%- macro default__member(expression, name, kind) -%}
    {%- if 'json' in kind -%}
        ({{ expression }} ->> '{{ name }}')
    {%- else -%}
        case when {{ expression }} ~ '^\s*[{]' then cast({{ expression }} as jsonb) ->> '{{ name }}' end
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__member(expression, name, kind) -%}
    {%- if kind.startswith('struct') -%}
        cast({{ expression }}.{{ name }} as text)
    {%- else -%}
        json_extract_string(try_cast({{ expression }} as json), '$.{{ name }}')
    {%- endif -%}
{%- endmacro -%}

{%- macro snowflake__member(expression, name, kind) -%}
    {%- if kind.startswith('var') and not kind.startswith('variant') or kind == 'text' -%}
        cast(get(try_parse_json({{ expression }}), '{{ name }}') as varchar)
    {%- else -%}
        cast(get({{ expression }}, '{{ name }}') as varchar)
    {%- endif -%}
{%- endmacro -%}

{#- The items of an array of objects as rows: `keys`, `items` (how many there are), `position`
    from 1 on, and `names` as texts. -#}
{%- macro unnested(relation, keys, column, kind, names) -%}
    {{ return(adapter.dispatch('unnested', 'visitor_sessions')(relation, keys, column, kind, names)) }}
{%- endmacro -%}

{%- macro default__unnested(relation, keys, column, kind, names) -%}
    {%- if kind == 'json' -%}
        {%- set array = "case when json_typeof(loaded." ~ column ~ ") = 'array' then loaded." ~ column ~ " else '[]' end" -%}
        {%- set function = 'json_array_elements' -%}
    {%- else -%}
        {%- set function = 'jsonb_array_elements' -%}
        {%- if kind == 'jsonb' -%}
            {%- set array = "case when jsonb_typeof(loaded." ~ column ~ ") = 'array' then loaded." ~ column ~ " else '[]' end" -%}
        {%- elif '[]' in kind or 'array' in kind -%}
            {%- set array = "coalesce(to_jsonb(loaded." ~ column ~ "), '[]')" -%}
        {%- else -%}
            {%- set array = "case when loaded." ~ column ~ " ~ '^\\s*[[]' then cast(loaded." ~ column ~ " as jsonb) else '[]' end" -%}
        {%- endif -%}
    {%- endif -%}
    select
        {%- for key in keys %}
        loaded.{{ key }},
        {%- endfor %}
        {%- for name in names %}
        nullif(item.value ->> '{{ name }}', '') as {{ name }},
        {%- endfor %}
        counted.items,
        cast(item.position as integer) as position
    from {{ relation }} as loaded
    {#- The offset keeps the count apart: else the array is fetched and unpacked for each of its items. #}
    cross join lateral (
        select cast({{ visitor_sessions.count_of('loaded.' ~ column, kind) }} as integer) as items
        from (select 1 as one) as once
        order by once.one offset 0
    ) as counted
    cross join lateral {{ function }}({{ array }}) with ordinality as item (value, position)
{%- endmacro -%}

{%- macro duckdb__unnested(relation, keys, column, kind, names) -%}
    {%- set shape = [] -%}
    {%- for name in names -%}{%- do shape.append('"' ~ name ~ '":"VARCHAR"') -%}{%- endfor -%}
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for name in names %}
        nullif(item.{{ name }}, '') as {{ name }},
        {%- endfor %}
        items,
        cast(position as integer) as position
    from (
        select
            {%- for key in keys %}
            {{ key }},
            {%- endfor %}
            unnest(listed) as item,
            cast(len(listed) as integer) as items,
            generate_subscripts(listed, 1) as position
        from (
            select
                {%- for key in keys %}
                loaded.{{ key }},
                {%- endfor %}
                from_json(
                    {% if kind.startswith('struct') %}to_json(loaded.{{ column }}){% else %}try_cast(loaded.{{ column }} as json){% endif %},
                    '[{{ '{' }}{{ shape | join(',') }}{{ '}' }}]'
                ) as listed
            from {{ relation }} as loaded
        ) as arrays
    ) as unnested
    {#- An item that is null stays as one whose members are all null, as elsewhere. #}
{%- endmacro -%}

{%- macro snowflake__unnested(relation, keys, column, kind, names) -%}
    {%- set text = kind.startswith('var') and not kind.startswith('variant') or kind == 'text' -%}
    select
        {%- for key in keys %}
        loaded.{{ key }},
        {%- endfor %}
        {%- for name in names %}
        nullif(cast(get(item.value, '{{ name }}') as varchar), '') as {{ name }},
        {%- endfor %}
        cast({{ visitor_sessions.count_of('loaded.' ~ column, kind) }} as integer) as items,
        cast(item.index + 1 as integer) as position
    from {{ relation }} as loaded,
    lateral flatten(
        input => {% if text %}try_parse_json(loaded.{{ column }}){% else %}loaded.{{ column }}{% endif %}
    ) as item
{%- endmacro -%}

{#- Seconds of `hh:mm:ss`, where the hours may be more than a day's; null for anything else. -#}
{%- macro seconds_of(expression) -%}
    {{ visitor_sessions.whole_number("split_part(" ~ expression ~ ", ':', 1)") }} * 3600
    + {{ visitor_sessions.whole_number("split_part(" ~ expression ~ ", ':', 2)") }} * 60
    + {{ visitor_sessions.whole_number("split_part(" ~ expression ~ ", ':', 3)") }}
{%- endmacro -%}

{#- An address up to its query and fragment. -#}
{%- macro page_of(expression) -%}
    nullif(split_part(split_part({{ expression }}, '#', 1), '?', 1), '')
{%- endmacro -%}

{#- How many items an array has; null where there is no array. -#}
{%- macro count_of(expression, kind) -%}
    {{ return(adapter.dispatch('count_of', 'visitor_sessions')(expression, kind)) }}
{%- endmacro -%}

{%- macro default__count_of(expression, kind) -%}
    {%- if kind in ('json', 'jsonb') -%}
        case when {{ kind }}_typeof({{ expression }}) = 'array' then {{ kind }}_array_length({{ expression }}) end
    {%- elif '[]' in kind or 'array' in kind -%}
        cardinality({{ expression }})
    {%- else -%}
        case when {{ expression }} ~ '^\s*[[]' then jsonb_array_length(cast({{ expression }} as jsonb)) end
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__count_of(expression, kind) -%}
    {%- if kind.startswith('struct') -%}
        len({{ expression }})
    {%- else -%}
        json_array_length(try_cast({{ expression }} as json))
    {%- endif -%}
{%- endmacro -%}

{%- macro snowflake__count_of(expression, kind) -%}
    {%- if kind.startswith('var') and not kind.startswith('variant') or kind == 'text' -%}
        array_size(try_parse_json({{ expression }}))
    {%- else -%}
        array_size({{ expression }})
    {%- endif -%}
{%- endmacro -%}

{#- A member of an array's first item, or of its last, as text. -#}
{%- macro end_member(expression, last, name, kind) -%}
    {{ return(adapter.dispatch('end_member', 'visitor_sessions')(expression, last, name, kind)) }}
{%- endmacro -%}

{%- macro default__end_member(expression, last, name, kind) -%}
    {%- set index = -1 if last else 0 -%}
    {%- if kind in ('json', 'jsonb') -%}
        {{ expression }} -> {{ index }} ->> '{{ name }}'
    {%- elif '[]' in kind or 'array' in kind -%}
        to_jsonb({{ expression }}) -> {{ index }} ->> '{{ name }}'
    {%- else -%}
        case when {{ expression }} ~ '^\s*[[]' then cast({{ expression }} as jsonb) -> {{ index }} ->> '{{ name }}' end
    {%- endif -%}
{%- endmacro -%}

{%- macro duckdb__end_member(expression, last, name, kind) -%}
    {%- if kind.startswith('struct') -%}
        {{ expression }}[{{ -1 if last else 1 }}].{{ name }}
    {%- else -%}
        json_extract_string(try_cast({{ expression }} as json), '$[{{ "#-1" if last else "0" }}].{{ name }}')
    {%- endif -%}
{%- endmacro -%}

{%- macro snowflake__end_member(expression, last, name, kind) -%}
    {%- set text = kind.startswith('var') and not kind.startswith('variant') or kind == 'text' -%}
    {%- set array = "try_parse_json(" ~ expression ~ ")" if text else expression -%}
    cast(get(get({{ array }}, {% if last %}array_size({{ array }}) - 1{% else %}0{% endif %}), '{{ name }}') as varchar)
{%- endmacro -%}

{#- Indexes, where they help: DuckDB has none to gain by them. -#}
{%- macro indexes(wanted) -%}
    {{ return(wanted if target.type == 'postgres' else []) }}
{%- endmacro -%}

{#- For a common table expression that is read more than once: computed once. -#}
{%- macro once() -%}
    {{ return('' if target.type == 'snowflake' else 'materialized ') }}
{%- endmacro -%}

{#- PostgreSQL plans joins of a table that it knows nothing of badly, by hundreds of times. An increment
    changes little of what it knows, but for `affected`, which is another one each time. -#}
{%- macro analyze() -%}
    {%- set known = visitor_sessions.adds() and model.name != 'int_visitor_sessions__affected' -%}
    {%- if target.type == 'postgres' and model.config.materialized != 'view' and not known -%}
        analyze {{ this }}
    {%- endif -%}
{%- endmacro -%}
