-- name: shared
-- Whether the schema of the ingest side is in this database, and ours to read.
SELECT to_regclass('ingest.status') IS NOT NULL AND has_table_privilege(to_regclass('ingest.status'), 'SELECT')

-- name: states
SELECT state, error_code, tasks, oldest_seconds, finished_last_hour, finished_last_day
FROM ingest.status ORDER BY state, tasks DESC

-- name: days
-- Finished tasks of each day, whether their rows are still there or were shrunk into counts.
SELECT day, state, sum(tasks)::bigint FROM ingest.status_days GROUP BY 1, 2 ORDER BY 1 DESC, 2 LIMIT 60

-- name: rules
SELECT statement, sha256, refused FROM ingest.status_rules
