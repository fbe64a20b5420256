-- Statements of deidentifier/submissions.py.

-- name: insert
INSERT INTO ingest.submissions (id, request) VALUES (%(id)s, %(request)s)

-- name: insert_piece
INSERT INTO ingest.submission_pieces (submission, number, data) VALUES (%(id)s, %(number)s, %(data)s)

-- name: read
SELECT request FROM ingest.submissions WHERE id = %(id)s

-- name: read_pieces
SELECT number, data FROM ingest.submission_pieces WHERE submission = %(id)s ORDER BY number

-- name: erase
DELETE FROM ingest.submissions WHERE id = ANY(%(ids)s::uuid[])

-- name: erase_ended
-- Failed and quarantined ones wait for a person.
DELETE FROM ingest.submissions AS submission
WHERE created_at < now() - interval '1 hour' AND NOT EXISTS (
  SELECT FROM ingest.tasks AS task
  WHERE task.request = submission.id::text AND task.state IN ('queued', 'running', 'failed', 'quarantined'))

-- name: attach
-- An instance of the source Orthanc is worked on as submitted, instead of as its waiting task would have it.
UPDATE ingest.tasks SET request = %(id)s WHERE kind = %(kind)s AND subject = %(subject)s AND state IN ('queued', 'running')
