-- A result is known by its bytes: before it is taken back, it is told from what others stored under its identity. When it
-- was taken back is shown until something is delivered again.
ALTER TABLE {schema}.tasks ADD COLUMN result_md5 text, ADD COLUMN result_withdrawn_at timestamptz;
ALTER TABLE {schema}.past_results ADD COLUMN result_md5 text;
