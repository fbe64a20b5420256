-- name: clear
DELETE FROM research.export_items WHERE export = %(id)s

-- name: write
INSERT INTO research.export_items (export, number, instance, key, patient_id, study_uid, series_uid, sop_uid, modality)
SELECT %(id)s, * FROM unnest(%(numbers)s::integer[], %(instances)s::bytea[], %(keys)s::text[], %(patients)s::text[],
  %(studies)s::text[], %(series)s::text[], %(uids)s::text[], %(modalities)s::text[])

-- name: listed
UPDATE research.exports SET listed = true, instances = %(instances)s, changed_at = now() WHERE id = %(id)s

-- name: waiting
SELECT number, instance, key FROM research.export_items
WHERE export = %(id)s AND state = 'waiting' AND number > %(after)s ORDER BY number LIMIT %(limit)s

-- name: finish
UPDATE research.export_items AS item SET state = given.state, code = given.code, reason = given.reason
FROM unnest(%(numbers)s::integer[], %(states)s::text[], %(codes)s::text[], %(reasons)s::text[])
  AS given (number, state, code, reason)
WHERE item.export = %(id)s AND item.number = given.number AND item.state = 'waiting'
RETURNING item.number

-- name: add_progress
UPDATE research.exports SET sent = sent + %(sent)s, failed = failed + %(failed)s, objects = objects + %(objects)s,
  bytes = bytes + %(bytes)s, rate = coalesce(%(rate)s, rate), changed_at = now()
WHERE id = %(id)s

-- name: manifest
SELECT object.key, object.bytes, encode(object.sha256, 'hex'), item.patient_id, item.study_uid, item.series_uid,
       item.sop_uid, item.modality, item.instance, item.number, object.place
FROM research.export_objects AS object JOIN research.export_items AS item
  ON item.export = object.export AND item.number = object.item
WHERE object.export = %(id)s AND (object.item, object.place) > (%(item)s, %(place)s)
ORDER BY object.item, object.place LIMIT 5000

-- name: failures
SELECT instance, patient_id, study_uid, series_uid, sop_uid, modality, code, reason, number
FROM research.export_items WHERE export = %(id)s AND state = 'failed' AND number > %(after)s ORDER BY number
LIMIT %(limit)s

-- name: failure_classes
SELECT code, reason, count(*) FROM research.export_items WHERE export = %(id)s AND state = 'failed'
GROUP BY code, reason ORDER BY count(*) DESC, code LIMIT 20
