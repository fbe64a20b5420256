-- name: instance_of_study
-- Any instance of a study, by Orthanc's identifier: its UIDs tell which the study is.
SELECT instance.orthanc FROM research.study JOIN research.series ON series.study = study.id
JOIN research.instance ON instance.series = series.id WHERE study.orthanc = %s LIMIT 1

-- name: instance_of_series
SELECT instance.orthanc FROM research.series JOIN research.instance ON instance.series = series.id
WHERE series.orthanc = %s LIMIT 1
