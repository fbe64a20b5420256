-- name: create
INSERT INTO research.links (kind, sha256, owner, recipient, level, resource, label, purpose, expires_at)
VALUES (%(kind)s, %(sha256)s, %(owner)s, %(recipient)s, %(level)s, %(resource)s, %(label)s, %(purpose)s,
  now() + %(lifetime)s)
RETURNING id, kind, owner, recipient, level, resource, label, purpose, created_at, expires_at, last_used_at

-- name: find_viewer
SELECT id, kind, owner, recipient, level, resource, label, purpose, created_at, expires_at, last_used_at
FROM research.links WHERE sha256 = %(sha256)s AND kind = 'viewer' AND revoked_at IS NULL AND expires_at > now()

-- name: find_share
SELECT id, kind, owner, recipient, level, resource, label, purpose, created_at, expires_at, last_used_at
FROM research.links WHERE id = %(id)s AND kind = 'share' AND revoked_at IS NULL AND expires_at > now()
AND (recipient IS NULL OR recipient = %(user)s OR owner = %(user)s)

-- name: touch
UPDATE research.links SET last_used_at = now()
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: list
SELECT id, kind, owner, recipient, level, resource, label, purpose, created_at, expires_at, last_used_at
FROM research.links WHERE owner = %(owner)s AND revoked_at IS NULL AND expires_at > now() ORDER BY created_at DESC

-- name: revoke
UPDATE research.links SET revoked_at = now() WHERE id = %(id)s AND owner = %(owner)s AND revoked_at IS NULL

-- name: revoke_all
UPDATE research.links SET revoked_at = now() WHERE owner = %(owner)s AND revoked_at IS NULL
