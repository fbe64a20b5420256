-- One patient has a pseudonym of its own in each project; '' outside all projects. Values stay unique across projects:
-- in one research Orthanc, the same code would make one person of two.
ALTER TABLE {schema}.mappings
  ADD COLUMN project    text NOT NULL DEFAULT '',
  ADD COLUMN predefined boolean NOT NULL DEFAULT false,   -- chosen by a person: import-pseudonyms
  DROP CONSTRAINT mappings_pkey,
  ADD PRIMARY KEY (kind, scope_type, scope_value, original, project);

-- As before, with the project and whether a person chose the value. wanted: [[kind, scope type, scope value, original,
-- proposal, long original, project, predefined], …], the last three may be absent. Where the proposal is null only a
-- predefined value will do, and nothing is stored. One statement looks up and stores; where all that was missing was
-- stored as proposed, that is the answer. Else somebody stored another value meanwhile, or a proposal is taken, and a
-- second statement sees what is stored now.
CREATE OR REPLACE FUNCTION {schema}.map_values(wanted jsonb, derived_with text) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  found text;
  complete boolean;
BEGIN
  WITH known AS MATERIALIZED (
    SELECT given.*, m.replacement, m.predefined AS chosen, given.proposal IS NOT NULL AND m.kind IS NULL AS missing
    FROM (
      SELECT ordinality, value->>0 AS kind, value->>1 AS scope_type, value->>2 AS scope_value, value->>3 AS original,
        value->>4 AS proposal, value->>5 AS long_original, coalesce(value->>6, '') AS project,
        coalesce((value->>7)::boolean, false) AS predefined
      FROM jsonb_array_elements(wanted) WITH ORDINALITY
    ) AS given
    LEFT JOIN {schema}.mappings m USING (kind, scope_type, scope_value, original, project)
  ), added AS (
    INSERT INTO {schema}.mappings
      (kind, scope_type, scope_value, original, project, replacement, long_original, key_id, predefined)
    SELECT kind, scope_type, scope_value, original, project, proposal, long_original, derived_with, predefined
    FROM known
    WHERE missing
      AND NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.imported AND m.kind = known.kind AND m.kind IN ('UID', 'TEXT')
                        AND lower(m.replacement) = lower(known.proposal))
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT DO NOTHING
    RETURNING 1
  )
  SELECT json_agg(CASE WHEN missing THEN proposal WHEN chosen OR proposal IS NOT NULL THEN replacement END
                  ORDER BY ordinality)::text,
    count(*) FILTER (WHERE missing) = (SELECT count(*) FROM added)
  INTO found, complete
  FROM known;
  IF NOT complete THEN
    SELECT json_agg(m.replacement ORDER BY ordinality)::text INTO found
    FROM jsonb_array_elements(wanted) WITH ORDINALITY
    LEFT JOIN {schema}.mappings m
      ON m.kind = value->>0 AND m.scope_type = value->>1 AND m.scope_value = value->>2 AND m.original = value->>3
        AND m.project = coalesce(value->>6, '') AND (m.predefined OR value->>4 IS NOT NULL);
  END IF;
  RETURN found;
END
$$;
