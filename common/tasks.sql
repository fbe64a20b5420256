-- Statements of common/tasks.py. {schema} is replaced by the schema's name. All times are the database's: the clocks
-- of workers have no say.

-- name: enqueue
-- A change that was seen before (same or lower Seq of the same feed) asks for nothing. A waiting task is tried at once,
-- a running one runs once more afterwards, a finished one begins anew. Its earlier result is kept, to be replaced; so is
-- its outcome, which stands should the subject be gone (reconciliation may have been quicker than the change feed).
INSERT INTO {schema}.tasks AS old (kind, subject, feed, seq)
SELECT %(kind)s, subject, feed, seq
FROM unnest(%(subjects)s::text[], %(feeds)s::integer[], %(seqs)s::bigint[]) AS asked (subject, feed, seq)
ON CONFLICT (kind, subject) DO UPDATE SET
  feed = excluded.feed, seq = excluded.seq,
  again = old.state = 'running', withdrawn = false, approved = false,
  request = CASE WHEN old.state IN ('queued', 'running') THEN old.request END,
  state = CASE WHEN old.state = 'running' THEN 'running' ELSE 'queued' END,
  attempts = 0, delays = 0,
  losses = CASE WHEN old.state IN ('running', 'queued') THEN old.losses ELSE 0 END,
  error_code = CASE WHEN old.state = 'running' THEN old.error_code END,
  error = CASE WHEN old.state = 'running' THEN old.error END,
  finished_at = NULL, available_at = now(), asked_at = now()
WHERE (coalesce(old.feed, 0), coalesce(old.seq, -1)) < (coalesce(excluded.feed, 0), coalesce(excluded.seq, -1))
RETURNING id

-- name: enqueue_found
-- Found by reconciliation: what waits, runs or awaits a person is left alone.
INSERT INTO {schema}.tasks AS old (kind, subject)
SELECT %(kind)s, subject FROM unnest(%(subjects)s::text[]) AS asked (subject)
ON CONFLICT (kind, subject) DO UPDATE SET
  state = 'queued', attempts = 0, delays = 0, losses = 0, error_code = NULL, error = NULL,
  finished_at = NULL, available_at = now(), asked_at = now()
WHERE %(repeat)s AND old.state IN ('done', 'discarded') AND old.finished_at <= now() - make_interval(secs => %(ended)s)
RETURNING id

-- name: claim
-- What killed workers twice is left to claim_suspect.
UPDATE {schema}.tasks AS task
SET state = 'running', worker = %(worker)s, started_at = clock_timestamp(),
    lease_until = now() + make_interval(secs => %(lease)s)
FROM (
  SELECT id, started_at IS NOT NULL AS begun FROM {schema}.tasks
  WHERE kind = %(kind)s AND state = 'queued' AND available_at <= now() AND losses < 2
  ORDER BY available_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS chosen
WHERE task.id = chosen.id
RETURNING task.id, task.kind, task.subject, task.attempts, task.delays, task.losses, task.outcome,
  coalesce(task.result, (SELECT past.result FROM {schema}.past_results AS past
                         WHERE past.kind = task.kind AND past.subject = task.subject)) AS result,
  task.source_md5, task.withdrawn, task.request, extract(epoch FROM now() - task.asked_at)::double precision AS waited,
  task.approved, chosen.begun

-- name: claim_suspect
UPDATE {schema}.tasks AS task
SET state = 'running', worker = %(worker)s, started_at = clock_timestamp(),
    lease_until = now() + make_interval(secs => %(lease)s)
FROM (
  SELECT id, started_at IS NOT NULL AS begun FROM {schema}.tasks
  WHERE kind = %(kind)s AND state = 'queued' AND available_at <= now() AND losses >= 2
  ORDER BY losses, available_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) AS chosen
WHERE task.id = chosen.id
RETURNING task.id, task.kind, task.subject, task.attempts, task.delays, task.losses, task.outcome,
  coalesce(task.result, (SELECT past.result FROM {schema}.past_results AS past
                         WHERE past.kind = task.kind AND past.subject = task.subject)) AS result,
  task.source_md5, task.withdrawn, task.request, extract(epoch FROM now() - task.asked_at)::double precision AS waited,
  task.approved, chosen.begun

-- name: count_suspects
SELECT count(*) FROM {schema}.tasks WHERE kind = %(kind)s AND state = 'queued' AND available_at <= now() AND losses >= 2

-- name: heartbeat
UPDATE {schema}.tasks SET lease_until = now() + make_interval(secs => %(lease)s)
WHERE id = ANY(%(ids)s) AND state = 'running' AND worker = %(worker)s
RETURNING id

-- name: reap
-- A lease that ended while PostgreSQL itself was away is nobody's fault: after its start, everybody gets a lease's time.
UPDATE {schema}.tasks
SET losses = losses + 1, worker = NULL, lease_until = NULL, again = false,
    state = CASE WHEN losses + 1 >= %(limit)s THEN 'failed' ELSE 'queued' END,
    error_code = CASE WHEN losses + 1 >= %(limit)s THEN 'LostLease' END,
    error = CASE WHEN losses + 1 >= %(limit)s THEN 'Its workers died, or lost touch, ' || losses + 1 || ' times.' END,
    finished_at = CASE WHEN losses + 1 >= %(limit)s THEN now() END,
    available_at = now()
WHERE id IN (
  SELECT id FROM {schema}.tasks
  WHERE state = 'running' AND lease_until < now()
    AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease)s)
  LIMIT 1000 FOR UPDATE SKIP LOCKED
)
RETURNING id, state

-- name: forgive
UPDATE {schema}.tasks SET losses = 0 WHERE id = %(id)s AND state = 'running'

-- name: decide
-- What was decided is written down before the original is deleted: who finds it gone knows why.
UPDATE {schema}.tasks AS task
SET outcome = given.outcome, result = coalesce(given.result, task.result),
    result_md5 = coalesce(given.result_md5, task.result_md5), source_md5 = given.source_md5
FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[], %(results)s::text[], %(result_md5s)s::text[], %(md5s)s::text[])
  AS given (id, outcome, result, result_md5, source_md5)
WHERE task.id = given.id AND task.state = 'running' AND task.worker = %(worker)s
RETURNING task.id

-- name: finish
-- "again": somebody asked while it ran; whatever came out, it is worked on once more. The outcome stays until the subject
-- is known to have changed: who finds it gone knows that it was settled.
UPDATE {schema}.tasks AS task
SET state = CASE WHEN task.again THEN 'queued' ELSE given.state END,
    again = false, worker = NULL, lease_until = NULL,
    attempts = CASE WHEN task.again THEN 0 ELSE given.attempts END,
    delays = given.delays,
    losses = CASE WHEN given.state = 'queued' THEN task.losses ELSE 0 END,
    outcome = CASE WHEN given.state = 'queued' AND given.error_code IS NULL THEN NULL ELSE task.outcome END,
    available_at = CASE WHEN task.again THEN now() ELSE now() + make_interval(secs => given.delay) END,
    finished_at = CASE WHEN task.again OR given.state = 'queued' THEN NULL ELSE now() END,
    error_code = given.error_code, error = given.error,
    result = coalesce(given.result, task.result),
    result_md5 = coalesce(given.result_md5, task.result_md5),
    result_withdrawn_at = CASE WHEN given.state = 'done' THEN NULL ELSE task.result_withdrawn_at END,
    source_md5 = coalesce(given.source_md5, task.source_md5),
    rules_sha256 = coalesce(given.rules_sha256, task.rules_sha256),
    detail = coalesce(given.detail, task.detail),
    bytes = given.bytes
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(attempts)s::smallint[], %(delays)s::smallint[],
            %(delay)s::double precision[], %(error_codes)s::text[], %(errors)s::text[], %(results)s::text[],
            %(result_md5s)s::text[], %(md5s)s::text[], %(rules)s::text[], %(details)s::jsonb[], %(bytes)s::bigint[])
  AS given (id, state, attempts, delays, delay, error_code, error, result, result_md5, source_md5, rules_sha256, detail,
            bytes)
WHERE task.id = given.id AND task.state = 'running' AND task.worker = %(worker)s
RETURNING task.id

-- name: result_md5
SELECT coalesce((SELECT result_md5 FROM {schema}.tasks WHERE id = %(id)s AND result = %(result)s),
                (SELECT result_md5 FROM {schema}.past_results
                 WHERE kind = %(kind)s AND subject = %(subject)s AND result = %(result)s))

-- name: shares_result
-- Without an index: asked for what others stored under the identity of a result alone.
SELECT EXISTS (SELECT FROM {schema}.tasks WHERE result = %(result)s AND id <> %(id)s)
    OR EXISTS (SELECT FROM {schema}.past_results
               WHERE result = %(result)s AND (kind, subject) <> (%(kind)s, %(subject)s))

-- name: forget_result
-- It was taken back: there is nothing to replace any more, and what was decided then does not stand.
WITH past AS (
  DELETE FROM {schema}.past_results WHERE kind = %(kind)s AND subject = %(subject)s
)
UPDATE {schema}.tasks SET result = NULL, result_md5 = NULL, outcome = NULL, result_withdrawn_at = now()
WHERE id = %(id)s AND state = 'running' AND worker = %(worker)s

-- name: release
-- Given back untouched by a worker that stops.
UPDATE {schema}.tasks SET state = 'queued', worker = NULL, lease_until = NULL, again = false
WHERE id = ANY(%(ids)s) AND state = 'running' AND worker = %(worker)s

-- name: counts
SELECT kind, state, coalesce(error_code, '') AS error_code, count(*) AS tasks,
       extract(epoch FROM now() - min(CASE WHEN state IN ('queued', 'running') THEN asked_at ELSE finished_at END))
         ::double precision AS oldest_seconds
FROM {schema}.tasks GROUP BY 1, 2, 3

-- name: waiting
SELECT count(*) AS tasks, extract(epoch FROM now() - min(asked_at))::double precision AS oldest_seconds
FROM {schema}.tasks WHERE kind = %(kind)s AND state IN ('queued', 'running')

-- name: backlog
-- Each part reads one partial index, however many tasks are finished.
WITH queued AS (
  SELECT count(*) AS tasks, extract(epoch FROM now() - min(asked_at))::double precision AS oldest
  FROM {schema}.tasks WHERE kind = %(kind)s AND state = 'queued'
), running AS (
  SELECT count(*) AS tasks, count(DISTINCT worker) AS workers,
         extract(epoch FROM now() - min(asked_at))::double precision AS oldest
  FROM {schema}.tasks WHERE kind = %(kind)s AND state = 'running'
), kept AS (
  SELECT count(*) FILTER (WHERE state = 'quarantined') AS quarantined, count(*) FILTER (WHERE state = 'failed') AS failed
  FROM {schema}.tasks WHERE kind = %(kind)s AND state IN ('quarantined', 'failed')
)
SELECT queued.tasks, running.tasks, running.workers, coalesce(greatest(queued.oldest, running.oldest), 0),
       kept.quarantined, kept.failed,
       coalesce((SELECT sum(greatest(newest - position, 0)) FROM {schema}.feeds), 0)::bigint
FROM queued, running, kept

-- name: list
SELECT id, kind, subject, state, feed, seq, attempts, delays, losses, worker, error_code, error, result,
       result_withdrawn_at, rules_sha256, detail, bytes, approved, created_at, asked_at, started_at, finished_at,
       available_at
FROM {schema}.tasks
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
  AND (%(codes)s::text[] IS NULL OR error_code = ANY(%(codes)s))
  AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
  AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))
  AND asked_at <= now() - make_interval(secs => %(older)s)
  AND id > %(after)s
ORDER BY id LIMIT %(limit)s

-- name: retry
UPDATE {schema}.tasks
SET state = 'queued', attempts = 0, delays = 0, losses = 0, withdrawn = false, approved = false,
    error_code = NULL, error = NULL, finished_at = NULL, available_at = now(), asked_at = now()
WHERE id = ANY(%(ids)s) AND state IN ('failed', 'quarantined', 'discarded', 'done')
   OR id = ANY(%(ids)s) AND state = 'queued' AND available_at > now()
RETURNING id

-- name: approve
-- By a person, who saw why it is held back.
UPDATE {schema}.tasks
SET state = 'queued', attempts = 0, delays = 0, losses = 0, approved = true,
    error_code = NULL, error = NULL, finished_at = NULL, available_at = now(), asked_at = now()
WHERE id = ANY(%(ids)s) AND state = 'quarantined' AND jsonb_array_length(coalesce(detail -> 'findings', '[]')) > 0
RETURNING id

-- name: discard
-- By a person. The original is deleted by a worker, when reconciliation finds it left over; where there is an earlier
-- result a worker is asked at once, to take it back.
UPDATE {schema}.tasks AS task
SET state = CASE WHEN earlier.known THEN 'queued' ELSE 'discarded' END,
    outcome = 'discarded', withdrawn = true, error_code = 'DiscardedByHand', again = false,
    finished_at = CASE WHEN NOT earlier.known THEN now() END,
    available_at = now()
FROM (
  SELECT id, result IS NOT NULL OR EXISTS (SELECT FROM {schema}.past_results AS past
                                           WHERE past.kind = asked.kind AND past.subject = asked.subject) AS known
  FROM {schema}.tasks AS asked WHERE id = ANY(%(ids)s)
) AS earlier
WHERE task.id = earlier.id AND task.state IN ('failed', 'quarantined', 'queued')
RETURNING task.id

-- name: prune
-- Counts remain, and where the result is, so that a resend still replaces it.
WITH gone AS (
  DELETE FROM {schema}.tasks WHERE id IN (
    SELECT id FROM {schema}.tasks
    WHERE kind = %(kind)s AND state IN ('done', 'discarded') AND finished_at < now() - make_interval(secs => %(age)s)
    LIMIT 5000)
  RETURNING kind, subject, state, error_code, bytes, finished_at, result, result_md5
), remembered AS (
  INSERT INTO {schema}.past_results AS past (kind, subject, result, result_md5)
  SELECT kind, subject, result, result_md5 FROM gone WHERE result IS NOT NULL
  ON CONFLICT (kind, subject) DO UPDATE SET result = excluded.result, result_md5 = excluded.result_md5
), counted AS (
  INSERT INTO {schema}.task_days AS days (day, kind, state, error_code, tasks, bytes)
  SELECT (finished_at AT TIME ZONE 'UTC')::date, kind, state, coalesce(error_code, ''), count(*), sum(bytes)
  FROM gone GROUP BY 1, 2, 3, 4
  ON CONFLICT (day, kind, state, error_code)
  DO UPDATE SET tasks = days.tasks + excluded.tasks, bytes = days.bytes + excluded.bytes
)
SELECT count(*) FROM gone
