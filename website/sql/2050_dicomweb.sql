-- What one user reads of one study in one minute through DICOMweb: two rows of the audit trail, whichever processes
-- serve it. The row stands from before the first byte until the last process has told what it gave.
CREATE TABLE {schema}.dicomweb_minutes (
    user_name text NOT NULL,
    credential text NOT NULL,        -- an API token or a link, by its identifier; empty for a session
    study text NOT NULL,             -- as asked for
    minute timestamptz NOT NULL,
    entry jsonb NOT NULL,            -- the first row in the audit trail
    holders integer NOT NULL,        -- processes that have not told yet
    counts jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (user_name, credential, study, minute)
);

-- Links to a study or series: for a viewer that cannot send headers (its token in the address, kept as a hash), or
-- for another user of the portal.
CREATE TABLE {schema}.links (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind IN ('viewer', 'share')),
    sha256 bytea UNIQUE,
    owner text NOT NULL,
    recipient text,                  -- of a share: its user, or anyone who is signed in
    level text NOT NULL CHECK (level IN ('study', 'series')),
    resource text NOT NULL,          -- Orthanc's identifier
    label text NOT NULL,
    purpose text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CHECK ((kind = 'viewer') = (sha256 IS NOT NULL))
);
CREATE INDEX links_owner ON {schema}.links (owner);
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.dicomweb_minutes, {schema}.links TO rpacs_website;
