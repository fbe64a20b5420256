-- The de-identifier works on the queue; the portal sees counts and ages, nothing else of this side.
GRANT USAGE ON SCHEMA {schema} TO rpacs_deidentifier, rpacs_reidentify, rpacs_website;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.tasks, {schema}.task_days, {schema}.past_results, {schema}.feeds
  TO rpacs_deidentifier;
GRANT SELECT ON {schema}.migrations TO rpacs_deidentifier;

-- The rules in force, as their statement tells them: written by workers whenever they load other rules.
CREATE TABLE {schema}.rules_in_force (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  sha256    text NOT NULL,
  statement text NOT NULL,
  problem   text,                             -- set while an edited file is refused and these stay in force
  loaded_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.rules_in_force TO rpacs_deidentifier;

-- Free of values and identifiers: what administrators of the portal may see of the ingest side.
CREATE VIEW {schema}.status AS
SELECT state, coalesce(error_code, '') AS error_code, count(*) AS tasks,
       extract(epoch FROM now() - min(coalesce(finished_at, asked_at)))::double precision AS oldest_seconds,
       count(*) FILTER (WHERE finished_at > now() - interval '1 hour') AS finished_last_hour,
       count(*) FILTER (WHERE finished_at > now() - interval '1 day') AS finished_last_day
FROM {schema}.tasks GROUP BY 1, 2;
CREATE VIEW {schema}.status_rules AS
SELECT sha256, statement, problem IS NOT NULL AS refused, loaded_at FROM {schema}.rules_in_force;
CREATE VIEW {schema}.status_days AS
SELECT day, state, error_code, sum(tasks)::bigint AS tasks, sum(bytes)::bigint AS bytes
FROM {schema}.task_days GROUP BY 1, 2, 3;
GRANT SELECT ON {schema}.status, {schema}.status_rules, {schema}.status_days TO rpacs_website;
