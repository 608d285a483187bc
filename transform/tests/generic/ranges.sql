{% test at_least_zero(model, column_name) %}

select rows_tested.{{ column_name }}
from {{ model }} as rows_tested
where rows_tested.{{ column_name }} < 0

{% endtest %}

{% test share(model, column_name) %}

select rows_tested.{{ column_name }}
from {{ model }} as rows_tested
where rows_tested.{{ column_name }} <= 0 or rows_tested.{{ column_name }} > 1

{% endtest %}
