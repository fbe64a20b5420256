-- name: begin
INSERT INTO research.dicomweb_minutes AS held (user_name, credential, study, minute, entry, holders)
VALUES (%(user)s, %(credential)s, %(study)s, to_timestamp(%(minute)s), %(entry)s, 1)
ON CONFLICT (user_name, credential, study, minute) DO UPDATE SET holders = held.holders + 1
RETURNING entry = %(entry)s::jsonb

-- name: tell
UPDATE research.dicomweb_minutes SET holders = holders - 1, counts = %(counts)s
WHERE user_name = %(user)s AND credential = %(credential)s AND study = %(study)s AND minute = to_timestamp(%(minute)s)
RETURNING holders, entry

-- name: told
-- What other processes told so far; locks the row.
SELECT counts FROM research.dicomweb_minutes
WHERE user_name = %(user)s AND credential = %(credential)s AND study = %(study)s AND minute = to_timestamp(%(minute)s)
FOR UPDATE

-- name: forget
DELETE FROM research.dicomweb_minutes
WHERE user_name = %(user)s AND credential = %(credential)s AND study = %(study)s AND minute = to_timestamp(%(minute)s)

-- name: abandoned
-- A process that was killed never tells.
DELETE FROM research.dicomweb_minutes WHERE minute < now() - interval '6 hours' RETURNING entry, counts
