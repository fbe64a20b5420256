-- Sorting a result asks for the sort keys of all values of an element: from the index alone, wherever the facts lie.
CREATE INDEX fact_order ON {schema}.fact (path, sort_key, id);
