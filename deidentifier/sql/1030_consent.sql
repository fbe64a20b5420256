-- Who reads mappings backwards leaves a trace first.
GRANT SELECT, INSERT ON {schema}.audit TO rpacs_reidentify;

-- Patients who withdrew their consent: keyed hashes (RPACS_WITHDRAWAL_KEY) of their Patient IDs, so that this table
-- tells nothing to who lacks the key.
CREATE TABLE {schema}.withdrawals (
  patient      bytea PRIMARY KEY,
  withdrawn_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON {schema}.withdrawals TO rpacs_deidentifier;
