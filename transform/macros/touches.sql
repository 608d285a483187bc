{#- What makes a communication a conversion, and which touch of its path is the last that is not direct. -#}

{#- The condition. -#}
{%- macro is_conversion(relation) -%}
    {{ relation }}.is_owned
    and {{ relation }}.communication_type in (
        {{ visitor_sessions.texts(visitor_sessions.setting('conversion_types')) }}
    )
{%- endmacro -%}

{#- A touch's position; the last one's where all are direct. -#}
{%- macro position_of_last_non_direct(relation) -%}
    coalesce(
        max(case when not {{ relation }}.is_direct then {{ relation }}.position end)
            over (partition by {{ relation }}.conversion_key),
        {{ relation }}.touches
    )
{%- endmacro -%}
