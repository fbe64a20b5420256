-- name: remember
-- A search was made: the newest 20 of a user are kept.
WITH made AS (
    INSERT INTO research.searches (username, query) VALUES (%(user)s, %(query)s)
    ON CONFLICT (username, md5(query)) WHERE name IS NULL DO UPDATE SET used_at = now()
    RETURNING id
)
DELETE FROM research.searches
WHERE id IN (
    SELECT id FROM research.searches
    WHERE username = %(user)s AND name IS NULL AND id NOT IN (SELECT id FROM made)
    ORDER BY used_at DESC OFFSET 19
)

-- name: save
-- Keep a search under a name; the name's earlier query gives way.
INSERT INTO research.searches (username, name, query) VALUES (%(user)s, %(name)s, %(query)s)
ON CONFLICT (username, name) WHERE name IS NOT NULL DO UPDATE SET query = excluded.query, used_at = now()

-- name: delete
DELETE FROM research.searches WHERE id = %(id)s AND username = %(user)s

-- name: list
SELECT id, name, query, used_at FROM research.searches WHERE username = %(user)s
ORDER BY name IS NULL, lower(name), used_at DESC
