-- name: paths
SELECT path, id FROM research.path WHERE path = ANY (%s)

-- name: series
-- The series of a study, or one of them, by the facts of their bases; several patients may share a UID.
SELECT study_held.series FROM research.fact AS study_fact JOIN research.series_fact AS study_held ON
study_held.path = study_fact.path AND study_held.fact = study_fact.id
WHERE study_fact.path = %(study_path)s AND study_fact.key = %(study_key)s AND (%(series_key)s::uuid IS NULL OR EXISTS (
  SELECT FROM research.fact JOIN research.series_fact AS held ON held.path = fact.path AND held.fact = fact.id
  WHERE fact.path = %(series_path)s AND fact.key = %(series_key)s AND held.series = study_held.series))
ORDER BY study_held.series
