-- The portal and its workers share a role: they run the same code on the same side.
GRANT USAGE ON SCHEMA {schema} TO rpacs_website;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.tasks, {schema}.task_days, {schema}.past_results, {schema}.feeds
  TO rpacs_website;
GRANT SELECT ON {schema}.migrations TO rpacs_website;
