-- What stands for an original value, within a scope. Scope values and originals that are too long for an index are
-- kept as their SHA-256 ('sha256:…'), the text itself beside it.
CREATE TABLE {schema}.mappings (
  kind          text NOT NULL CHECK (kind IN ('UID', 'TEXT', 'DA', 'TM', 'DT', 'OFFSET')),
  scope_type    text NOT NULL CHECK (scope_type IN ('Always', 'SamePatient', 'SameStudy', 'SameSeries', 'SameInstance')),
  scope_value   text NOT NULL,
  original      text NOT NULL,
  replacement   text NOT NULL,
  long_original text,
  key_id        text,                       -- identifier of the key that it was derived with; null: random
  imported      boolean NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, scope_type, scope_value, original)
);
-- Two originals never share a UID, two patients never a pseudonym, whatever its case. Imported rows are as they are.
CREATE UNIQUE INDEX mappings_uid ON {schema}.mappings (replacement) WHERE kind = 'UID' AND NOT imported;
CREATE UNIQUE INDEX mappings_text ON {schema}.mappings (lower(replacement))
  WHERE kind = 'TEXT' AND scope_type IN ('Always', 'SamePatient') AND NOT imported;
-- Reading backwards.
CREATE INDEX mappings_imported ON {schema}.mappings (lower(replacement)) WHERE imported;
CREATE INDEX mappings_replacement ON {schema}.mappings USING hash (replacement);

-- What values that no mapping keeps are derived with: the same for an instance that comes again.
CREATE TABLE {schema}.mapping_secret (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  secret   bytea NOT NULL
);

-- Fetch or create mappings, in one round trip. wanted: [[kind, scope type, scope value, original, proposal, long
-- original], …]. Returns a JSON array with the replacement of each; null where the proposal is taken and another is
-- needed. Every statement of the function sees what others committed before it began, so first uses that race agree:
-- the INSERT waits for a competing one, in the order of the keys so that two never wait for each other. The settings
-- keep to look-ups by index: plans are kept, and the table may have been empty when they were made.
CREATE FUNCTION {schema}.map_values(wanted jsonb, derived_with text) RETURNS text LANGUAGE plpgsql
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
      ON m.kind = value->>0 AND m.scope_type = value->>1 AND m.scope_value = value->>2 AND m.original = value->>3;
    IF complete OR attempt = 2 THEN
      RETURN found;
    END IF;
    INSERT INTO {schema}.mappings (kind, scope_type, scope_value, original, replacement, long_original, key_id)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, derived_with
    FROM jsonb_array_elements(wanted)
    WHERE NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.kind = value->>0 AND m.scope_type = value->>1 AND m.scope_value = value->>2
                        AND m.original = value->>3)
      AND NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.imported AND m.kind = value->>0 AND m.kind IN ('UID', 'TEXT')
                        AND lower(m.replacement) = lower(value->>4))
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING;
  END LOOP;
END
$$;

GRANT SELECT, INSERT ON {schema}.mappings, {schema}.mapping_secret TO rpacs_deidentifier;
GRANT SELECT ON {schema}.mappings TO rpacs_reidentify;
REVOKE EXECUTE ON FUNCTION {schema}.map_values(jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.map_values(jsonb, text) TO rpacs_deidentifier;
