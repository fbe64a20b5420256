-- name: insert
INSERT INTO research.exports (username, query, english, filter, counts, choices, destination, purpose, notify, instances)
VALUES (%(user)s, %(query)s, %(english)s, %(filter)s, %(counts)s, %(choices)s, %(destination)s, %(purpose)s, %(notify)s,
        %(instances)s)
RETURNING id

-- name: read
SELECT id, username, state, wish, reason, query, english, filter, counts, choices, destination, purpose, notify, run,
       listed, instances, sent, failed, objects, bytes, rate, created_at, started_at, finished_at
FROM research.exports WHERE id = %(id)s

-- name: list
SELECT id, username, state, wish, reason, query, english, filter, counts, choices, destination, purpose, notify, run,
       listed, instances, sent, failed, objects, bytes, rate, created_at, started_at, finished_at
FROM research.exports WHERE %(user)s::text IS NULL OR username = %(user)s
ORDER BY created_at DESC, id LIMIT %(limit)s

-- name: count_open
SELECT count(*) FROM research.exports WHERE username = %(user)s AND state IN ('queued', 'running', 'paused')

-- name: begin
-- A worker takes a job up: the first time, or again after a pause or a crash.
UPDATE research.exports SET started_at = coalesce(started_at, now()), reason = NULL, changed_at = now()
WHERE id = %(id)s AND state = 'running'

-- name: end
-- What a worker says at the end of a run; where the user was quicker, the user's word stands.
UPDATE research.exports SET
  state = CASE WHEN wish = 'cancel' AND %(state)s <> 'done' THEN 'cancelled'
               WHEN wish = 'pause' AND %(state)s = 'running' THEN 'paused' ELSE %(state)s END,
  reason = %(reason)s, wish = NULL, rate = 0, changed_at = now(),
  finished_at = CASE WHEN %(state)s IN ('done', 'failed', 'cancelled') OR wish = 'cancel' THEN now() END
WHERE id = %(id)s AND state = 'running'
RETURNING state

-- name: trouble
UPDATE research.exports SET reason = %(reason)s, rate = 0, changed_at = now() WHERE id = %(id)s AND state = 'running'

-- name: ask
-- Stop a job: at once where no worker has it, else its worker is told.
UPDATE research.exports SET
  wish = CASE WHEN state = 'running' THEN %(wish)s END,
  state = CASE WHEN state = 'running' THEN state WHEN %(wish)s = 'cancel' THEN 'cancelled' ELSE 'paused' END,
  reason = CASE WHEN state = 'running' THEN reason WHEN %(wish)s = 'pause' THEN 'Paused by its user.' END,
  finished_at = CASE WHEN state <> 'running' AND %(wish)s = 'cancel' THEN now() END, changed_at = now()
WHERE id = %(id)s AND (state IN ('queued', 'running') OR (state = 'paused' AND %(wish)s = 'cancel'))
RETURNING state

-- name: resume
UPDATE research.exports SET state = 'queued', wish = NULL, reason = NULL, finished_at = NULL, changed_at = now()
WHERE id = %(id)s AND state IN ('paused', 'failed') AND (state = 'paused' OR sent + failed < instances OR NOT listed)

-- name: rerun
UPDATE research.exports SET state = 'queued', reason = NULL, failed = 0, finished_at = NULL, changed_at = now()
WHERE id = %(id)s AND state IN ('done', 'failed') AND failed > 0

-- name: forget_failures
UPDATE research.export_items SET state = 'waiting', code = NULL, reason = NULL
WHERE export = %(id)s AND state = 'failed'

-- name: wish
SELECT state, wish FROM research.exports WHERE id = %(id)s

-- name: abandoned
-- Jobs whose task ended without a word: their workers died too often.
UPDATE research.exports AS export SET state = 'failed', reason = 'Its workers died too often.', wish = NULL,
  finished_at = now(), changed_at = now()
FROM research.tasks AS task
WHERE export.state = 'running' AND task.kind = 'export' AND task.subject = export.id::text
  AND task.state IN ('failed', 'discarded')
RETURNING export.id

-- name: admit
-- Fair between users: who has the fewest running goes first, then who has waited longest; at most N per user and in all.
WITH running AS (
  SELECT username, count(*) AS jobs FROM research.exports WHERE state = 'running' GROUP BY username
), waiting AS (
  SELECT export.id, export.created_at,
         coalesce(running.jobs, 0) + row_number() OVER (PARTITION BY export.username ORDER BY export.changed_at) AS nth
  FROM research.exports AS export LEFT JOIN running USING (username) WHERE export.state = 'queued'
), chosen AS (
  SELECT id FROM waiting WHERE nth <= %(per_user)s ORDER BY nth, created_at
  LIMIT greatest(0, %(in_all)s - (SELECT coalesce(sum(jobs), 0) FROM running)::integer)
)
UPDATE research.exports AS export SET state = 'running', wish = NULL, run = run + 1, changed_at = now()
FROM chosen WHERE export.id = chosen.id
RETURNING export.id, export.run

-- name: keep_secret
INSERT INTO research.export_secrets (export, sealed, expires_at)
VALUES (%(id)s, %(sealed)s, now() + make_interval(hours => %(hours)s))
ON CONFLICT (export) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at

-- name: read_secret
SELECT sealed FROM research.export_secrets WHERE export = %(id)s AND expires_at > now()

-- name: erase_secret
DELETE FROM research.export_secrets WHERE export = %(id)s

-- name: erase_secrets
DELETE FROM research.export_secrets AS secret USING research.exports AS export
WHERE export.id = secret.export
  AND (secret.expires_at <= now() OR export.state IN ('done', 'failed', 'cancelled'))

-- name: external_id
INSERT INTO research.export_external_ids AS known (username, project) VALUES (%(user)s, %(project)s)
ON CONFLICT (username, project) DO UPDATE SET project = known.project
RETURNING external_id

-- name: holding
-- Which jobs held instances: sent for sure, or listed and not written down as sent (a crash may lie between).
SELECT export.id, export.username, export.state, export.destination, export.created_at, item.sop_uid, item.state,
       (SELECT array_agg(object.key ORDER BY object.place) FROM research.export_objects AS object
        WHERE object.export = item.export AND object.item = item.number)
FROM research.export_items AS item JOIN research.exports AS export ON export.id = item.export
WHERE item.sop_uid = ANY (%(uids)s) AND item.state <> 'failed' AND export.started_at IS NOT NULL
ORDER BY export.created_at, export.id, item.number
