{#- Groups of the vendor's channels. To have others, override it: docs/transform.md. -#}
{%- macro channel_group(channel) -%}
    {{ return(adapter.dispatch('channel_group', 'visitor_sessions')(channel)) }}
{%- endmacro -%}

{%- macro default__channel_group(channel) -%}
    case
        when {{ channel }} in ('paid', 'display', 'affiliate') then 'paid'
        when {{ channel }} in ('social', 'messenger') then 'social'
        when {{ channel }} in ('organic', 'cashed') then 'organic'
        when {{ channel }} in ('referral', 'recommendation') then 'referral'
        when {{ channel }} in ('email', 'internal', 'direct', '(unknown)') then {{ channel }}
        else 'other'
    end
{%- endmacro -%}
