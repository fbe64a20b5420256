-- name: record_login
INSERT INTO {schema}.users (name, groups, method) VALUES (%(name)s, %(groups)s, %(method)s)
ON CONFLICT (name) DO UPDATE SET groups = EXCLUDED.groups, method = EXCLUDED.method, verified_at = now()
RETURNING disabled_at IS NOT NULL

-- name: find
SELECT name, groups, method, verified_at, disabled_at, disabled_by FROM {schema}.users WHERE name = %(name)s

-- name: list
SELECT u.name, u.groups, u.method, u.verified_at, u.disabled_at, u.disabled_by FROM {schema}.users u ORDER BY u.name

-- name: disable
UPDATE {schema}.users SET disabled_at = coalesce(disabled_at, now()), disabled_by = %(by)s WHERE name = %(name)s

-- name: enable
UPDATE {schema}.users SET disabled_at = NULL, disabled_by = NULL WHERE name = %(name)s

-- name: revoke_sessions
UPDATE {schema}.sessions SET revoked_at = now() WHERE user_name = %(name)s AND revoked_at IS NULL

-- name: revoke_tokens
UPDATE {schema}.api_tokens SET revoked_at = now() WHERE user_name = %(name)s AND revoked_at IS NULL
