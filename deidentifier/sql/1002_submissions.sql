-- What somebody submitted besides the change feed. Locations, rules and files carry identifying data: all encrypted with
-- a key that only the processes of this side have, and erased at the end.
CREATE TABLE {schema}.submissions (
  id         uuid PRIMARY KEY,
  request    bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.submission_pieces (
  submission uuid NOT NULL REFERENCES {schema}.submissions (id) ON DELETE CASCADE,
  number     integer NOT NULL,
  data       bytea NOT NULL,
  PRIMARY KEY (submission, number)
);
GRANT SELECT, INSERT, DELETE ON {schema}.submissions, {schema}.submission_pieces TO rpacs_deidentifier;
