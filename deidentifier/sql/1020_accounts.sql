-- What the portal may do with accounts, sessions, tokens and the audit trail.
GRANT USAGE ON SCHEMA {schema} TO rpacs_deidentifier;
GRANT SELECT, INSERT, UPDATE ON {schema}.users, {schema}.api_tokens TO rpacs_deidentifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.sessions, {schema}.rate_counts TO rpacs_deidentifier;
GRANT SELECT, INSERT ON {schema}.audit TO rpacs_deidentifier;
