-- How often the index was changed: what was read from it holds while this number stays. One row; every writer adds one.
CREATE TABLE {schema}.index_generation (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  number bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO {schema}.index_generation DEFAULT VALUES;
GRANT SELECT, UPDATE ON {schema}.index_generation TO rpacs_website;
