-- Exports to S3. A job's rows stay: they are the record of what left, for withdrawals of consent.
CREATE TABLE {schema}.exports (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  username    text NOT NULL,
  state       text NOT NULL DEFAULT 'queued'
              CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
  wish        text CHECK (wish IN ('pause', 'cancel')), -- what the user asked of a running job
  reason      text,                       -- why it is paused, failed, or waits
  query       text NOT NULL,
  english     text NOT NULL,
  filter      text NOT NULL,              -- the permission filter in force when it was asked for, in the language
  counts      jsonb NOT NULL,
  choices     jsonb NOT NULL,             -- format, layout, transfer syntax, …
  destination jsonb NOT NULL,             -- bucket, prefix, role, …; never a key or a token
  purpose     text,
  notify      text,                       -- address for a message at the end
  run         integer NOT NULL DEFAULT 0, -- how often it was given to the workers: Seq of its task
  listed      boolean NOT NULL DEFAULT false,
  instances   bigint NOT NULL DEFAULT 0,
  sent        bigint NOT NULL DEFAULT 0,
  failed      bigint NOT NULL DEFAULT 0,
  objects     bigint NOT NULL DEFAULT 0,
  bytes       bigint NOT NULL DEFAULT 0,
  rate        double precision NOT NULL DEFAULT 0, -- instances per second, of late
  created_at  timestamptz NOT NULL DEFAULT now(),
  started_at  timestamptz,
  finished_at timestamptz,
  changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX exports_of_user ON {schema}.exports (username, created_at DESC);
CREATE INDEX exports_open ON {schema}.exports (state) WHERE state IN ('queued', 'running', 'paused');
-- Two jobs at one place would overwrite each other's manifest.
CREATE UNIQUE INDEX exports_place
  ON {schema}.exports ((destination ->> 'endpoint'), (destination ->> 'bucket'), (destination ->> 'prefix'))
  WHERE state IN ('queued', 'running', 'paused');

-- The exact list of a job's instances, fixed when it starts.
CREATE TABLE {schema}.export_items (
  export     uuid NOT NULL REFERENCES {schema}.exports ON DELETE CASCADE,
  number     integer NOT NULL,
  instance   bytea NOT NULL,              -- Orthanc's identifier
  key        text NOT NULL,               -- below the prefix, without ending
  patient_id text NOT NULL,
  study_uid  text NOT NULL,
  series_uid text NOT NULL,
  sop_uid    text NOT NULL,
  modality   text NOT NULL,
  state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
  code       text,
  reason     text,
  PRIMARY KEY (export, number)
) WITH (fillfactor = 90);
CREATE INDEX export_items_waiting ON {schema}.export_items (export, number) WHERE state = 'waiting';
CREATE INDEX export_items_failed ON {schema}.export_items (export, number) WHERE state = 'failed';
CREATE INDEX export_items_uid ON {schema}.export_items USING hash (sop_uid);

-- What was sent, written down in batches after S3 has it.
CREATE TABLE {schema}.export_objects (
  export uuid NOT NULL,
  item   integer NOT NULL,
  place  integer NOT NULL,                -- among the objects of the instance
  key    text NOT NULL,                   -- below the prefix
  bytes  bigint NOT NULL,
  sha256 bytea NOT NULL,
  PRIMARY KEY (export, item, place),
  FOREIGN KEY (export, item) REFERENCES {schema}.export_items ON DELETE CASCADE
);

-- Keys and tokens that users typed: sealed, and erased when the job ends or after 12 hours.
CREATE TABLE {schema}.export_secrets (
  export     uuid PRIMARY KEY REFERENCES {schema}.exports ON DELETE CASCADE,
  sealed     bytea NOT NULL,
  expires_at timestamptz NOT NULL
);

-- What a role's trust policy has to ask for: unique to user and project, so that nobody makes us assume another's role.
CREATE TABLE {schema}.export_external_ids (
  username    text NOT NULL,
  project     text NOT NULL,
  external_id text NOT NULL DEFAULT 'research-pacs-' || gen_random_uuid(),
  PRIMARY KEY (username, project)
);

GRANT SELECT, INSERT, UPDATE ON {schema}.exports, {schema}.export_external_ids TO rpacs_website;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.export_items, {schema}.export_objects, {schema}.export_secrets
  TO rpacs_website;
