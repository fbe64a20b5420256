-- The index. Elements that are constant in a series are stored once, as the facts of its base; an instance stores only
-- where it differs from the base of its series (delta). doc/decisions/ has the measurements.

-- A tag path without item numbers, as hexadecimal tags joined by dots.
CREATE TABLE {schema}.path (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL UNIQUE
);
-- The instance's own UIDs, which are stored with each instance: the writer and the reader know these two numbers.
INSERT INTO {schema}.path (path) VALUES ('00080018'), ('00020003');

-- The tree of a data set without its values: documents of one device and protocol share it.
CREATE TABLE {schema}.shape (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key uuid NOT NULL UNIQUE,
  body text NOT NULL
);

-- The texts at a path, over all items, of some series' base; with what the operators read in them.
CREATE TABLE {schema}.fact (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path integer NOT NULL REFERENCES {schema}.path,
  key uuid NOT NULL,
  texts text[] COLLATE "C" NOT NULL,
  folded text[] COLLATE "C",     -- NULL where equal to texts
  numbers float8[],              -- aligned with texts; NULL where none is a number
  days integer[],                -- yyyymmdd, aligned with texts; NULL where none is a date
  sort_key text COLLATE "C",     -- NULL where there is no value
  UNIQUE (path, key)
);

CREATE TABLE {schema}.patient (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  orthanc bytea NOT NULL UNIQUE  -- SHA-1, as all of Orthanc's identifiers
);
CREATE TABLE {schema}.study (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  orthanc bytea NOT NULL UNIQUE,
  patient integer NOT NULL REFERENCES {schema}.patient
);
CREATE INDEX ON {schema}.study (patient);
CREATE TABLE {schema}.series (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  orthanc bytea NOT NULL UNIQUE,
  study integer NOT NULL REFERENCES {schema}.study,
  patient integer NOT NULL REFERENCES {schema}.patient,
  instances integer NOT NULL DEFAULT 0,
  revision integer NOT NULL DEFAULT 0,        -- counts changes of the base
  mixed integer[] NOT NULL DEFAULT '{}'       -- paths at which some instance differs from the base
) WITH (fillfactor = 80);
CREATE INDEX ON {schema}.series (study);
CREATE TABLE {schema}.series_base (
  series integer PRIMARY KEY REFERENCES {schema}.series ON DELETE CASCADE,
  facts integer[] NOT NULL
);
-- The facts of the bases the other way round. (No foreign keys: they would double the cost of a new series, and there
-- is one writer at a time.)
CREATE TABLE {schema}.series_fact (
  path integer NOT NULL,
  fact integer NOT NULL,
  series integer NOT NULL,
  PRIMARY KEY (path, fact, series)
);

-- delta: path → texts where they differ from the base, null where the element is absent though the base has it. Beside
-- a path p, where they are not plain: "fp" folded texts, "np" numbers, "dp" days; "odd" as website/index/delta.py says.
CREATE TABLE {schema}.instance (
  orthanc bytea PRIMARY KEY,
  series integer NOT NULL REFERENCES {schema}.series,
  shape integer NOT NULL REFERENCES {schema}.shape,
  number integer NOT NULL,                    -- InstanceNumber, the largest integer where there is none
  delta jsonb NOT NULL
);
CREATE INDEX instance_order ON {schema}.instance (series, number);
CREATE INDEX instance_uid ON {schema}.instance USING hash ((delta -> '1' ->> 0));
CREATE INDEX instance_odd ON {schema}.instance (series) WHERE delta ? 'odd';

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.path, {schema}.shape, {schema}.fact, {schema}.patient, {schema}.study,
  {schema}.series, {schema}.series_base, {schema}.series_fact, {schema}.instance TO rpacs_website;
