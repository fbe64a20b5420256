-- Statements of website/index/writer.py. One writer at a time (see lock_and_remove_instances), so that nothing is read that another changes.

-- name: add_paths
INSERT INTO research.path (path) SELECT unnest(%s::text[]) ORDER BY 1 ON CONFLICT DO NOTHING

-- name: find_paths
SELECT path, id FROM research.path WHERE path = ANY(%s)

-- name: add_shapes
INSERT INTO research.shape (key, body) SELECT * FROM unnest(%s::uuid[], %s::text[]) ORDER BY 1 ON CONFLICT DO NOTHING

-- name: find_shapes
SELECT key, id FROM research.shape WHERE key = ANY(%s::uuid[])

-- name: find_instances
SELECT orthanc, series FROM research.instance WHERE orthanc = ANY(%s)

-- name: find_series
SELECT orthanc, id, revision FROM research.series WHERE orthanc = ANY(%s)

-- name: add_patients
INSERT INTO research.patient (orthanc) SELECT DISTINCT unnest(%s::bytea[]) ON CONFLICT DO NOTHING

-- name: add_studies
INSERT INTO research.study (orthanc, patient)
SELECT given.study, min(patient.id) FROM unnest(%s::bytea[], %s::bytea[]) WITH ORDINALITY AS given (study, patient, place)
JOIN research.patient ON patient.orthanc = given.patient GROUP BY 1 ORDER BY min(given.place) ON CONFLICT DO NOTHING

-- name: add_series
INSERT INTO research.series (orthanc, study, patient)
SELECT given.series, study.id, study.patient FROM unnest(%s::bytea[], %s::bytea[]) WITH ORDINALITY AS given (series, study, place)
JOIN research.study ON study.orthanc = given.study
ORDER BY given.place
RETURNING orthanc, id, revision

-- name: read_bases
SELECT base.series, fact.path, fact.texts
FROM research.series_base AS base CROSS JOIN unnest(base.facts) AS held JOIN research.fact ON fact.id = held
WHERE base.series = ANY(%s)

-- name: find_facts
SELECT fact.path, fact.key, fact.id FROM unnest(%s::integer[], %s::uuid[]) AS given (path, key)
JOIN research.fact ON fact.path = given.path AND fact.key = given.key

-- name: count_added
UPDATE research.series SET instances = instances + given.added,
  mixed = ARRAY(SELECT unnest(series.mixed) UNION SELECT unnest(given.mixed::integer[]) ORDER BY 1)
FROM (VALUES %s) AS given (id, added, mixed) WHERE series.id = given.id

-- name: lock_and_remove_instances
SELECT pg_advisory_xact_lock(hashtext('research-pacs index'));
UPDATE research.index_generation SET number = number + 1;
DELETE FROM research.instance WHERE orthanc = ANY(%s) RETURNING series

-- name: count_removed
UPDATE research.series SET instances = instances - given.removed
FROM unnest(%s::integer[], %s::integer[]) AS given (id, removed) WHERE series.id = given.id

-- name: find_emptied
SELECT id FROM research.series WHERE id = ANY(%s) AND instances = 0

-- name: remove_series_facts
DELETE FROM research.series_fact USING research.series_base AS base, research.fact
WHERE base.series = ANY(%s) AND series_fact.series = base.series AND fact.id = ANY(base.facts)
  AND series_fact.path = fact.path AND series_fact.fact = fact.id
RETURNING series_fact.path, series_fact.fact

-- name: remove_series
DELETE FROM research.series WHERE id = ANY(%s) RETURNING study

-- name: remove_studies
DELETE FROM research.study WHERE id = ANY(%s) AND NOT EXISTS
  (SELECT FROM research.series WHERE series.study = study.id) RETURNING patient

-- name: remove_patients
DELETE FROM research.patient WHERE id = ANY(%s) AND NOT EXISTS
  (SELECT FROM research.study WHERE study.patient = patient.id)

-- name: remove_facts
DELETE FROM research.fact USING unnest(%s::integer[], %s::integer[]) AS given (path, id)
WHERE fact.id = given.id AND NOT EXISTS
  (SELECT FROM research.series_fact AS held WHERE held.path = given.path AND held.fact = given.id)

-- name: orphaned_paths
-- Paths at which no instance has the value of the base any more: that value must leave the index.
SELECT path FROM research.series CROSS JOIN unnest(mixed) AS path
WHERE series.id = %(series)s AND NOT EXISTS
  (SELECT FROM research.instance WHERE instance.series = %(series)s AND NOT delta ? path::text)

-- name: commonest_value
SELECT delta -> %(path)s FROM research.instance WHERE series = %(series)s
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1

-- name: drop_from_base
DELETE FROM research.series_fact USING research.fact, research.series_base AS base
WHERE base.series = %(series)s AND series_fact.series = base.series AND fact.id = ANY(base.facts)
  AND fact.path = %(path)s AND series_fact.path = fact.path AND series_fact.fact = fact.id
RETURNING series_fact.fact

-- name: change_base
UPDATE research.series_base SET facts = array_remove(facts, %(old)s) || %(new)s::integer[] WHERE series = %(series)s

-- name: forget_difference
UPDATE research.instance SET delta = delta - %(keys)s::text[]
WHERE series = %(series)s AND delta -> %(path)s = %(value)s::jsonb

-- name: change_series
UPDATE research.series SET revision = revision + 1, mixed = CASE WHEN EXISTS
  (SELECT FROM research.instance WHERE instance.series = %(series)s AND delta ? %(path)s)
  THEN mixed ELSE array_remove(mixed, %(number)s) END
WHERE id = %(series)s
