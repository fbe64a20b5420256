-- Roles, databases and who may connect: run by the superuser at every start, as often as one likes.
-- A statement that fails must not show a password in the log.
SET log_min_error_statement = panic;
SET log_statement = none;
\set migrate_ingest `cat /run/secrets/postgresql_migrate_ingest`
\set migrate_research `cat /run/secrets/postgresql_migrate_research`
\set deidentifier `cat /run/secrets/postgresql_deidentifier`
\set reidentify `cat /run/secrets/postgresql_reidentify`
\set website `cat /run/secrets/postgresql_website`
\set orthanc_research `cat /run/secrets/postgresql_orthanc_research`

SELECT format('CREATE ROLE %I NOLOGIN', wanted.name)
FROM (VALUES ('rpacs_migrate_ingest'), ('rpacs_migrate_research'), ('rpacs_deidentifier'), ('rpacs_reidentify'),
             ('rpacs_website'), ('orthanc_research')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec
ALTER ROLE rpacs_migrate_ingest LOGIN PASSWORD :'migrate_ingest';
ALTER ROLE rpacs_migrate_research LOGIN PASSWORD :'migrate_research';
ALTER ROLE rpacs_deidentifier LOGIN PASSWORD :'deidentifier';
ALTER ROLE rpacs_reidentify LOGIN PASSWORD :'reidentify';
ALTER ROLE rpacs_website LOGIN PASSWORD :'website';
ALTER ROLE orthanc_research LOGIN PASSWORD :'orthanc_research';

SELECT format('CREATE DATABASE %I OWNER %I', wanted.name, wanted.owner)
FROM (VALUES ('research_pacs', 'postgres'), ('orthanc_research', 'orthanc_research')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = wanted.name)
\gexec
REVOKE ALL ON DATABASE research_pacs, orthanc_research, postgres, template1 FROM PUBLIC;

-- Each side's migrations own that side's schema and see nothing of the other's: whoever holds the research side's
-- strongest password still cannot read a mapping.
GRANT CREATE ON DATABASE research_pacs TO rpacs_migrate_ingest, rpacs_migrate_research;
GRANT CONNECT ON DATABASE research_pacs TO rpacs_migrate_ingest, rpacs_migrate_research WITH GRANT OPTION;
\connect research_pacs
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO rpacs_migrate_ingest, rpacs_migrate_research;
