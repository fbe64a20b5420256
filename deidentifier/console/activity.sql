-- name: finished
-- Tasks that ended in each interval of a span, by state, and their bytes.
WITH slots AS (
  SELECT generate_series(
    date_bin(%(step)s::interval, now() - %(span)s::interval, 'epoch'), now(), %(step)s::interval) AS slot
)
SELECT slot,
       count(t.id) FILTER (WHERE t.state = 'done') AS done,
       count(t.id) FILTER (WHERE t.state = 'discarded') AS discarded,
       count(t.id) FILTER (WHERE t.state IN ('quarantined', 'failed')) AS stopped,
       coalesce(sum(t.bytes), 0)::bigint AS bytes
FROM slots
LEFT JOIN ingest.tasks t ON t.kind = 'deidentify' AND t.state NOT IN ('queued', 'running')
  AND t.finished_at >= slot AND t.finished_at < slot + %(step)s::interval
GROUP BY slot ORDER BY slot

-- name: backlog
-- Tasks that had been asked for and had not ended at the end of each interval.
WITH slots AS (
  SELECT generate_series(
    date_bin(%(step)s::interval, now() - %(span)s::interval, 'epoch'), now(), %(step)s::interval) AS slot
)
SELECT slot, (
  SELECT count(*) FROM ingest.tasks t
  WHERE t.kind = 'deidentify' AND t.asked_at < slot + %(step)s::interval
    AND (t.state IN ('queued', 'running') OR t.finished_at >= slot + %(step)s::interval)
) AS waiting
FROM slots ORDER BY slot

-- name: feed
SELECT name, generation, position, newest, extract(epoch FROM now() - read_at)::double precision AS age
FROM ingest.feeds ORDER BY name

-- name: rules
-- The rules that workers have loaded last.
SELECT sha256, statement, problem, loaded_at FROM ingest.rules_in_force
