-- One patient has a pseudonym of its own in each project; '' outside all projects. Values stay unique across projects:
-- in one research Orthanc, the same code would make one person of two.
ALTER TABLE {schema}.mappings
  ADD COLUMN project    text NOT NULL DEFAULT '',
  ADD COLUMN predefined boolean NOT NULL DEFAULT false,   -- chosen by a person: import-pseudonyms
  DROP CONSTRAINT mappings_pkey,
  ADD PRIMARY KEY (kind, scope_type, scope_value, original, project);

-- As before, with the project and whether a person chose the value. wanted: [[kind, scope type, scope value, original,
-- proposal, long original, project, predefined], …], the last three may be absent. Where the proposal is null only a
-- predefined value will do, and nothing is stored.
CREATE OR REPLACE FUNCTION {schema}.map_values(wanted jsonb, derived_with text) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  found text;
  complete boolean;
BEGIN
  FOR attempt IN 1..2 LOOP
    SELECT json_agg(m.replacement ORDER BY ordinality)::text, bool_and(m.replacement IS NOT NULL) INTO found, complete
    FROM jsonb_array_elements(wanted) WITH ORDINALITY
    LEFT JOIN {schema}.mappings m
      ON m.kind = value->>0 AND m.scope_type = value->>1 AND m.scope_value = value->>2 AND m.original = value->>3
        AND m.project = coalesce(value->>6, '') AND (m.predefined OR value->>4 IS NOT NULL);
    IF complete OR attempt = 2 THEN
      RETURN found;
    END IF;
    INSERT INTO {schema}.mappings
      (kind, scope_type, scope_value, original, project, replacement, long_original, key_id, predefined)
    SELECT value->>0, value->>1, value->>2, value->>3, coalesce(value->>6, ''), value->>4, value->>5, derived_with,
      coalesce((value->>7)::boolean, false)
    FROM jsonb_array_elements(wanted)
    WHERE value->>4 IS NOT NULL
      AND NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.kind = value->>0 AND m.scope_type = value->>1 AND m.scope_value = value->>2
                        AND m.original = value->>3 AND m.project = coalesce(value->>6, ''))
      AND NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.imported AND m.kind = value->>0 AND m.kind IN ('UID', 'TEXT')
                        AND lower(m.replacement) = lower(value->>4))
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT DO NOTHING;
  END LOOP;
END
$$;
