-- What stands for an original value, within a scope. The key is hashed: originals can be longer than an index allows.
CREATE TABLE {schema}.mappings (
  hash        bytea PRIMARY KEY,            -- SHA-256 of the four parts of the key
  kind        text NOT NULL CHECK (kind IN ('UID', 'TEXT', 'DA', 'TM', 'DT', 'OFFSET')),
  scope_type  text NOT NULL CHECK (scope_type IN ('Always', 'SamePatient', 'SameStudy', 'SameSeries', 'SameInstance')),
  scope_value text NOT NULL,
  original    text NOT NULL,
  replacement text NOT NULL,
  key_id      text,                         -- identifier of the key that it was derived with; null: random
  imported    boolean NOT NULL DEFAULT false,
  created_at  timestamptz NOT NULL DEFAULT now()
);
-- Two originals never share a UID, two patients never a pseudonym, whatever its case. Imported rows are as they are.
CREATE UNIQUE INDEX mappings_uid ON {schema}.mappings (replacement) WHERE kind = 'UID' AND NOT imported;
CREATE UNIQUE INDEX mappings_text ON {schema}.mappings (lower(replacement))
  WHERE kind = 'TEXT' AND scope_type IN ('Always', 'SamePatient') AND NOT imported;
-- Reading backwards.
CREATE INDEX mappings_replacement ON {schema}.mappings USING hash (lower(replacement));

-- What values that no mapping keeps are derived with: the same for an instance that comes again.
CREATE TABLE {schema}.mapping_secret (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  secret   bytea NOT NULL
);

CREATE FUNCTION {schema}.mapping_hash(kind text, scope_type text, scope_value text, original text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(concat_ws('/', kind, scope_type, length(scope_value), scope_value, original), 'UTF8'))
$$;

-- Fetch or create mappings, in one round trip. wanted: [[kind, scope type, scope value, original, proposal], …].
-- Returns a JSON array with the replacement of each; null where the proposal was taken and another is needed.
-- Every statement of the function sees what others committed before it began, so first uses that race agree: the
-- INSERT waits for a competing one, in the order of the hashes so that two never wait for each other.
CREATE FUNCTION {schema}.map_values(wanted jsonb, derived_with text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
  complete boolean;
BEGIN
  FOR attempt IN 1..2 LOOP
    SELECT json_agg(m.replacement ORDER BY w.number)::text, bool_and(m.replacement IS NOT NULL) INTO found, complete
    FROM (SELECT ordinality AS number,
                 {schema}.mapping_hash(value->>0, value->>1, value->>2, value->>3) AS hash
          FROM jsonb_array_elements(wanted) WITH ORDINALITY) AS w
    LEFT JOIN {schema}.mappings m USING (hash);
    IF complete OR attempt = 2 THEN
      RETURN found;
    END IF;
    INSERT INTO {schema}.mappings (hash, kind, scope_type, scope_value, original, replacement, key_id)
    SELECT w.hash, kind, scope_type, scope_value, original, proposal, derived_with
    FROM (SELECT {schema}.mapping_hash(value->>0, value->>1, value->>2, value->>3) AS hash, value->>0 AS kind,
                 value->>1 AS scope_type, value->>2 AS scope_value, value->>3 AS original, value->>4 AS proposal
          FROM jsonb_array_elements(wanted)) AS w
    WHERE NOT EXISTS (SELECT FROM {schema}.mappings m WHERE m.hash = w.hash)
      AND NOT EXISTS (SELECT FROM {schema}.mappings m
                      WHERE m.imported AND m.kind = w.kind AND m.kind IN ('UID', 'TEXT')
                        AND lower(m.replacement) = lower(w.proposal))
    ORDER BY w.hash
    ON CONFLICT DO NOTHING;
  END LOOP;
END
$$;

GRANT SELECT, INSERT ON {schema}.mappings, {schema}.mapping_secret TO rpacs_deidentifier;
GRANT SELECT ON {schema}.mappings TO rpacs_reidentify;
REVOKE EXECUTE ON FUNCTION {schema}.map_values(jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.map_values(jsonb, text) TO rpacs_deidentifier;
