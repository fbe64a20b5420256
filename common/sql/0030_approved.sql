-- A person looked at what holds an instance back, and wants its result sent on despite that. It counts for the bytes that
-- were looked at: asked for again, the task is worked on as usual.
ALTER TABLE {schema}.tasks ADD COLUMN approved boolean NOT NULL DEFAULT false;
