{{ config(severity='warn') }}

-- A person of more than 50 visitors is a test account, or a wrong match: its paths mean nothing.
select
    persons.person_key,
    count(*) as visitors
from {{ ref('int_visitor_sessions__persons') }} as persons
group by persons.person_key
having count(*) > 50
