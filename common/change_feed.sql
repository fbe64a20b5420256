-- Statements of common/change_feed.py. {schema} is replaced by the schema's name.

-- name: lock
SELECT pg_try_advisory_xact_lock(hashtext('{schema} feed ' || %(name)s))

-- name: read
INSERT INTO {schema}.feeds AS feed (name) VALUES (%(name)s)
ON CONFLICT (name) DO UPDATE SET read_at = now()
RETURNING generation, position, anchor_seq, anchor_id, anchor_date

-- name: advance
UPDATE {schema}.feeds
SET position = %(seq)s, anchor_seq = %(seq)s, anchor_id = %(id)s, anchor_date = %(date)s,
    newest = greatest(newest, %(last)s)
WHERE name = %(name)s

-- name: begin_generation
UPDATE {schema}.feeds
SET generation = generation + 1, position = 0, anchor_seq = NULL, anchor_id = NULL, anchor_date = NULL, newest = 0
WHERE name = %(name)s
