-- name: hit
INSERT INTO {schema}.rate_counts AS c (key, count, expires_at) VALUES (%(key)s, 1, now() + %(window)s)
ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN c.expires_at < now() THEN 1 ELSE c.count + 1 END,
  expires_at = CASE WHEN c.expires_at < now() THEN EXCLUDED.expires_at ELSE c.expires_at END
RETURNING count, ceil(extract(epoch FROM expires_at - now()))::int

-- name: clear
DELETE FROM {schema}.rate_counts WHERE key = %(key)s OR expires_at < now() - interval '1 day'
