-- How far each change feed was read. Orthanc's index has no identity: the anchor, a change that was seen, tells a
-- new feed (another "generation") from the one that was read before.
CREATE TABLE {schema}.feeds (
  name        text PRIMARY KEY,
  generation  integer NOT NULL DEFAULT 1,
  position    bigint NOT NULL DEFAULT 0,
  anchor_seq  bigint,
  anchor_id   text,
  anchor_date text,
  newest      bigint NOT NULL DEFAULT 0,   -- the "Last" that Orthanc told most recently
  read_at     timestamptz NOT NULL DEFAULT now()
);
