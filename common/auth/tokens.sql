-- name: create
INSERT INTO {schema}.api_tokens (sha256, user_name, label, actions, purpose, expires_at)
VALUES (%(sha256)s, %(user)s, %(label)s, %(actions)s, %(purpose)s, now() + %(lifetime)s)
RETURNING id, user_name, label, actions, purpose, created_at, expires_at, last_used_at

-- name: find
SELECT id, user_name, label, actions, purpose, created_at, expires_at, last_used_at FROM {schema}.api_tokens
WHERE sha256 = %(sha256)s AND revoked_at IS NULL AND expires_at > now()

-- name: touch
UPDATE {schema}.api_tokens SET last_used_at = now()
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: list
SELECT id, user_name, label, actions, purpose, created_at, expires_at, last_used_at FROM {schema}.api_tokens
WHERE revoked_at IS NULL AND expires_at > now() AND (%(user)s IS NULL OR user_name = %(user)s)
ORDER BY created_at DESC

-- name: revoke
UPDATE {schema}.api_tokens SET revoked_at = now()
WHERE id::text = %(id)s AND revoked_at IS NULL AND (%(user)s IS NULL OR user_name = %(user)s)
