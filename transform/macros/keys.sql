{#- A hash of some expressions; null is told apart from any number or text that comes before the last. -#}
{%- macro key(expressions) -%}
    {%- set parts = [] -%}
    {%- for expression in expressions -%}
        {%- do parts.append("coalesce(cast(" ~ expression ~ " as " ~ dbt.type_string() ~ "), '(none)')") -%}
        {%- if not loop.last -%}{%- do parts.append("'|'") -%}{%- endif -%}
    {%- endfor -%}
    {{ return(dbt.hash(dbt.concat(parts))) }}
{%- endmacro -%}

{#- Whether two relations speak of the same account and customer: where nothing else joins them, or all
    rows of both are kept. PostgreSQL hashes by it, and expects hardly a row of an inner join. -#}
{%- macro same_account(left, right) -%}
    coalesce({{ left }}.account, '') = coalesce({{ right }}.account, '')
    and coalesce({{ left }}.customer_id, -1) = coalesce({{ right }}.customer_id, -1)
{%- endmacro -%}

{#- The same beside an equality that joins them. -#}
{%- macro and_same_account(left, right) -%}
    {{ return(adapter.dispatch('and_same_account', 'visitor_sessions')(left, right)) }}
{%- endmacro -%}

{%- macro default__and_same_account(left, right) -%}
    and {{ visitor_sessions.same_account(left, right) }}
{%- endmacro -%}

{#- PostgreSQL knows how often a column is null, and nothing of what coalesce() makes of it: expecting
    one row where there are thousands it loops. -#}
{%- macro postgres__and_same_account(left, right) -%}
    {%- for name in ['account', 'customer_id'] %}
    and ({{ left }}.{{ name }} = {{ right }}.{{ name }} or ({{ left }}.{{ name }} is null and {{ right }}.{{ name }} is null))
    {%- endfor -%}
{%- endmacro -%}

{#- The person of a session: that of its visitor, else its own person, else the session alone. -#}
{%- macro person_key(session, persons) -%}
    coalesce(
        {{ persons }}.person_key,
        {%- if visitor_sessions.setting('identity') == 'person' %}
        case
            when {{ session }}.person_id is not null
                then {{ visitor_sessions.key(["'person'", session ~ '.person_id', session ~ '.customer_id', session ~ '.account']) }}
        end,
        {%- endif %}
        {{ visitor_sessions.key(["'session'", session ~ '.session_id', session ~ '.customer_id', session ~ '.account']) }}
    )
{%- endmacro -%}

{#- Sessions of staging joined to their persons: a FROM clause. -#}
{%- macro from_sessions_and_persons(session='sessions', persons='persons') -%}
    from {{ ref('stg_visitor_sessions__sessions') }} as {{ session }}
    left join {{ ref('int_visitor_sessions__persons') }} as {{ persons }}
        on
            {{ session }}.visitor_id = {{ persons }}.visitor_id
            {{ visitor_sessions.and_same_account(session, persons) }}
{%- endmacro -%}

{#- The account, customer or type that a row of a handed-in relation names; null where it names none. -#}
{%- macro handed_in_key(row, name, has) -%}
    {%- if name not in has -%}
        cast(null as {{ 'bigint' if name == 'customer_id' else dbt.type_string() }})
    {%- elif name == 'customer_id' -%}
        cast(nullif(cast({{ row }}.customer_id as {{ dbt.type_string() }}), '') as bigint)
    {%- else -%}
        nullif(cast({{ row }}.{{ name }} as {{ dbt.type_string() }}), '')
    {%- endif -%}
{%- endmacro -%}

{#- A text that is no hash of the tap's (`hash_columns`: 64 digits in hexadecimal); null where it is one. -#}
{%- macro unhashed(expression) -%}
    case
        when not (length({{ expression }}) = 64 and translate({{ expression }}, '0123456789abcdef', '') = '')
            then {{ expression }}
    end
{%- endmacro -%}

{#- The campaign that a row of spend names; that of sessions without one where it names none. -#}
{%- macro spend_campaign(row) -%}
    coalesce(nullif(cast({{ row }}.campaign as {{ dbt.type_string() }}), ''), '(none)')
{%- endmacro -%}

{#- Whether a row of a handed-in relation is of another row: what it does not name does not matter. -#}
{%- macro handed_in_matches(handed_in, other, names) -%}
    {%- for name in names -%}
    ({{ handed_in }}.{{ name }} is null or {{ handed_in }}.{{ name }} = {{ other }}.{{ name }})
    {%- if not loop.last %} and {% endif -%}
    {%- endfor -%}
{%- endmacro -%}

{#- Of several rows that match the one that names most. -#}
{%- macro handed_in_order(handed_in, names) -%}
    {%- for name in names -%}
    case when {{ handed_in }}.{{ name }} is null then 1 else 0 end
    {%- if not loop.last %} + {% endif -%}
    {%- endfor %} asc
    {%- for name in names -%}, {{ handed_in }}.{{ name }} asc{%- endfor -%}
{%- endmacro -%}
