-- Who logs in, with what, and until when. Both sides have these tables, each in its own schema.

-- Everyone who ever logged in, with the groups of the last login that verified them.
CREATE TABLE {schema}.users (
  name        text PRIMARY KEY,
  groups      text[] NOT NULL,
  method      text NOT NULL,
  verified_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz,
  disabled_by text
);

-- Only a hash of the cookie's token is kept: who reads this table cannot become anybody.
CREATE TABLE {schema}.sessions (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  sha256     bytea NOT NULL UNIQUE,
  user_name  text NOT NULL REFERENCES {schema}.users (name) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now(),
  address    text NOT NULL,
  agent      text NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX sessions_by_user ON {schema}.sessions (user_name);

CREATE TABLE {schema}.api_tokens (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  sha256       bytea NOT NULL UNIQUE,
  user_name    text NOT NULL REFERENCES {schema}.users (name) ON DELETE CASCADE,
  label        text NOT NULL,
  actions      text[] NOT NULL,
  purpose      text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz
);
CREATE INDEX api_tokens_by_user ON {schema}.api_tokens (user_name);

-- Failed logins and costly requests, counted over a window. Loss in a crash does no harm.
CREATE UNLOGGED TABLE {schema}.rate_counts (
  key        text PRIMARY KEY,
  count      integer NOT NULL,
  expires_at timestamptz NOT NULL
);
