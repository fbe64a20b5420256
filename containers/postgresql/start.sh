#!/bin/sh
# Start PostgreSQL: make the cluster the first time, bring roles and databases up to date every time (so that a new
# password is a new file and a restart), then become the server. Arguments are options of postgres.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --auth-local=peer --auth-host=reject --data-checksums --encoding=UTF8 --locale=C.UTF-8 \
    >/dev/null
fi
# The superuser has no password and logs in by the socket alone, from inside this container.
set -- -c hba_file=/opt/research-pacs/pg_hba.conf -c unix_socket_directories=/tmp -c password_encryption=scram-sha-256 \
  -c max_connections=200 -c logging_collector=off -c 'log_line_prefix=%m [%p] %u@%d ' "$@"
# Nobody reaches this first server: what it does is done before anybody can log in.
pg_ctl start --silent --wait --timeout=300 --options="-c listen_addresses='' -c hba_file=/opt/research-pacs/pg_hba.conf -c unix_socket_directories=/tmp" >/dev/null
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname=postgres --file=/opt/research-pacs/roles.sql
pg_ctl stop --silent --wait --mode=fast >/dev/null
exec postgres -c 'listen_addresses=*' "$@"
