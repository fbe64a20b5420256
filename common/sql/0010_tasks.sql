-- The task queue: one row per kind and subject, from "asked for" to its end. Rows hold identifiers of Orthanc and
-- classes of error, never DICOM values.
CREATE TABLE {schema}.tasks (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL,
  subject      text NOT NULL,                 -- Orthanc's identifier of an instance, or of a submission or an export
  state        text NOT NULL DEFAULT 'queued'
               CHECK (state IN ('queued', 'running', 'done', 'discarded', 'quarantined', 'failed')),
  feed         integer,                       -- the change that asked for it last: generation of the feed and Seq;
  seq          bigint,                        -- both NULL when it was found by reconciliation
  again        boolean NOT NULL DEFAULT false, -- asked for once more while it was running
  attempts     smallint NOT NULL DEFAULT 0,   -- used up by errors of the subject itself
  delays       smallint NOT NULL DEFAULT 0,   -- in a row, because a peer was away
  losses       smallint NOT NULL DEFAULT 0,   -- workers that died over it
  available_at timestamptz NOT NULL DEFAULT now(),
  worker       text,
  lease_until  timestamptz,
  outcome      text CHECK (outcome IN ('done', 'discarded')), -- what was decided, while the original is being deleted
  withdrawn    boolean NOT NULL DEFAULT false, -- a person discarded it: it is not to be sent on
  request      text,                          -- how it is to be done, where not as usual: a submission's identifier
  error_code   text,
  error        text,
  source_md5   text,                          -- of the bytes that were worked on
  result       text,                          -- what was made of it: the research Orthanc's identifier
  rules_sha256 text,
  detail       jsonb,                         -- free of values: labels, counts, findings
  bytes        bigint NOT NULL DEFAULT 0,
  created_at   timestamptz NOT NULL DEFAULT now(),
  asked_at     timestamptz NOT NULL DEFAULT now(),
  started_at   timestamptz,
  finished_at  timestamptz,
  UNIQUE (kind, subject)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX tasks_waiting ON {schema}.tasks (kind, available_at, id) WHERE state = 'queued';
CREATE INDEX tasks_running ON {schema}.tasks (lease_until) WHERE state = 'running';
CREATE INDEX tasks_kept ON {schema}.tasks (state, finished_at) WHERE state IN ('quarantined', 'failed');
CREATE INDEX tasks_finished ON {schema}.tasks (finished_at) WHERE state IN ('done', 'discarded');

-- What finished tasks shrink into.
CREATE TABLE {schema}.task_days (
  day        date NOT NULL,
  kind       text NOT NULL,
  state      text NOT NULL,
  error_code text NOT NULL DEFAULT '',
  tasks      bigint NOT NULL,
  bytes      bigint NOT NULL,
  PRIMARY KEY (day, kind, state, error_code)
);

-- Results of tasks whose rows are gone: a resend of the original still finds, and replaces, what was made of it.
CREATE TABLE {schema}.past_results (
  kind    text NOT NULL,
  subject text NOT NULL,
  result  text NOT NULL,
  PRIMARY KEY (kind, subject)
);
