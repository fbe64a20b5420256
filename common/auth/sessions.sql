-- name: create
INSERT INTO {schema}.sessions (sha256, user_name, address, agent)
VALUES (%(sha256)s, %(user)s, %(address)s, left(%(agent)s, 300))

-- name: find
-- Groups are those of the user's last login, so that losing a group on one device holds on the others.
SELECT s.id::text, s.user_name, u.groups, u.method, s.created_at, s.seen_at, now() - s.seen_at > interval '1 minute'
FROM {schema}.sessions s JOIN {schema}.users u ON u.name = s.user_name
WHERE s.sha256 = %(sha256)s AND s.revoked_at IS NULL AND u.disabled_at IS NULL
  AND s.seen_at > now() - %(idle)s AND s.created_at > now() - %(absolute)s

-- name: touch
UPDATE {schema}.sessions SET seen_at = now() WHERE id::text = %(id)s

-- name: revoke
UPDATE {schema}.sessions SET revoked_at = now() WHERE id::text = %(id)s AND revoked_at IS NULL
  AND (%(user)s IS NULL OR user_name = %(user)s)

-- name: list
SELECT id::text, user_name, created_at, seen_at, address, agent FROM {schema}.sessions
WHERE revoked_at IS NULL AND seen_at > now() - %(idle)s AND created_at > now() - %(absolute)s
  AND (%(user)s IS NULL OR user_name = %(user)s)
ORDER BY seen_at DESC

-- name: forget
DELETE FROM {schema}.sessions WHERE created_at < now() - %(absolute)s
