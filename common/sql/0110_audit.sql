-- The audit trail. A service may append and read, nothing else; the chain (common/audit.py) shows what an owner changed.
-- "entry" is json, not jsonb: PostgreSQL keeps its text byte for byte, and the MAC is over that text.
CREATE TABLE {schema}.audit (
  seq       bigint PRIMARY KEY,
  entry     json NOT NULL,
  mac       bytea NOT NULL,
  at        text GENERATED ALWAYS AS (entry ->> 'at') STORED,  -- ISO 8601 in UTC: sorts as text
  request   text GENERATED ALWAYS AS (entry ->> 'request') STORED,
  user_name text GENERATED ALWAYS AS (entry ->> 'user') STORED,
  action    text GENERATED ALWAYS AS (entry ->> 'action') STORED
);
CREATE INDEX audit_by_request ON {schema}.audit (request);
CREATE INDEX audit_by_user ON {schema}.audit (user_name, seq);
CREATE INDEX audit_by_time ON {schema}.audit (at, seq);
