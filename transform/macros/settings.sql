{#- The vars of the package, by their names without `visitor_sessions_`: each default stands here, once. -#}
{%- macro defaults() -%}
    {{ return({
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
    }) }}
{%- endmacro -%}

{#- One of them: null is the default, and what makes no sense is refused by name. -#}
{%- macro setting(name) -%}
    {%- set default = visitor_sessions.defaults()[name] -%}
    {%- set value = var('visitor_sessions_' ~ name, default) -%}
    {%- if value is none -%}
        {{ return(default) }}
    {%- endif -%}
    {%- set allowed = {
        'loader': ['auto', 'meltano', 'dlt', 'airbyte'],
        'identity': ['person', 'visitor'],
        'spend_key': ['campaign_id', 'ext_campaign_id', 'campaign_name', 'utm_campaign'],
    } -%}
    {%- if name in allowed -%}
        {%- if value not in allowed[name] -%}
            {{ visitor_sessions.refuse(name, value, 'one of ' ~ allowed[name] | join(', ')) }}
        {%- endif -%}
    {%- elif name == 'timezone' -%}
        {#- `UTC+3` and `+03:00` are west of Greenwich to PostgreSQL, east to others. -#}
        {%- if value not in modules.pytz.all_timezones -%}
            {{ visitor_sessions.refuse(name, value, 'an IANA name, such as Europe/Moscow, or UTC') }}
        {%- endif -%}
    {%- elif name.endswith('_relation') -%}
        {%- if value is not string -%}
            {{ visitor_sessions.refuse(name, value, 'the name of a relation') }}
        {%- endif -%}
    {%- elif default is boolean -%}
        {%- if value | string | lower not in ('true', 'false') -%}
            {{ visitor_sessions.refuse(name, value, 'true or false') }}
        {%- endif -%}
        {{ return(value | string | lower == 'true') }}
    {%- elif default is number or name == 'bounce_max_seconds' -%}
        {%- set text = value | string | trim -%}
        {%- if not modules.re.match('^[0-9]+([.][0-9]+)?(e-?[0-9]+)?$', text) -%}
            {{ visitor_sessions.refuse(name, value, 'a number of at least 0') }}
        {%- elif name == 'half_life_days' and text | float == 0 -%}
            {{ visitor_sessions.refuse(name, value, 'a number above 0') }}
        {%- endif -%}
        {#- The same number is the same rule, as a text too. -#}
        {{ return(text | int if text | float == text | int else text | float) }}
    {%- else -%}
        {#- One text where a list is meant: its letters are none. -#}
        {%- set items = [value] if value is string else value -%}
        {%- if items is mapping or items is not iterable or items | reject('string') | list -%}
            {{ visitor_sessions.refuse(name, value, 'a list of texts') }}
        {%- endif -%}
        {%- if name == 'conversion_types' and items | reject('in', default) | list -%}
            {{ visitor_sessions.refuse(name, items | join(', '), 'a list of ' ~ default | join(', ')) }}
        {%- endif -%}
        {{ return(items) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro -%}

{#- The error of a var that makes no sense. -#}
{%- macro refuse(name, value, needed) -%}
    {{ exceptions.raise_compiler_error(
        "visitor_sessions_" ~ name ~ " is " ~ value ~ ": " ~ needed ~ " is needed"
    ) }}
{%- endmacro -%}

{#- All vars, also those that a selection of models does not ask for. Of names that are none dbt shows
    a package those of `--vars` alone. -#}
{%- macro check_settings() -%}
    {%- set defaults = visitor_sessions.defaults() -%}
    {%- for name in defaults -%}{%- do visitor_sessions.setting(name) -%}{%- endfor -%}
    {%- set others = ['schema', 'database', 'table', 'loaded_at_field', 'unit_tests'] -%}
    {%- for given in invocation_args_dict.vars or {} if given.startswith('visitor_sessions_') -%}
        {%- set name = given.replace('visitor_sessions_', '', 1) -%}
        {%- if name not in defaults and name not in others -%}
            {{ exceptions.raise_compiler_error(
                given ~ " is no var of visitor_sessions: there are " ~ (defaults | list + others) | sort | join(', ')
            ) }}
        {%- endif -%}
    {%- endfor -%}
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
