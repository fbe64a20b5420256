-- Searches that users saved under a name, and those they made last. A query is text that its user typed.
CREATE TABLE {schema}.searches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL,
    name text,  -- NULL: made, not saved
    query text NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX searches_saved ON {schema}.searches (username, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX searches_recent ON {schema}.searches (username, md5(query)) WHERE name IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.searches TO rpacs_website;
