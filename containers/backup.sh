#!/usr/bin/env bash
# Back up one side of the platform, encrypted, while it runs, or restore it: doc/how-to/run-with-compose.md.
#   containers/backup.sh backup  ingest|research DATA_FOLDER KEYS_FOLDER
#   containers/backup.sh restore ingest|research DATA_FOLDER KEYS_FOLDER NAME
# RPACS_BACKUP_RECIPIENT and RPACS_BACKUP_KEYS_RECIPIENT are the public keys (age-keygen) of the data and of the keys:
# two, so that nobody who can open the mappings has what they were derived with. To restore, RPACS_BACKUP_IDENTITY and
# RPACS_BACKUP_KEYS_IDENTITY name the files with the private ones.
set -euo pipefail
umask 077
cd "$(dirname "$0")/.."
secrets=${RPACS_SECRETS:-secrets}
config=${RPACS_CONFIG:-config}

fail() { echo "$*" >&2; exit 1; }
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 4 ] || usage
what=$1 side=$2 data=$3 keys=$4
case $side in
  ingest) folder=deidentifier services="follower deidentifier console" ;;
  research) folder=website services="portal workers research-orthanc s3" ;;
  *) usage ;;
esac
if [ -n "${RPACS_COMPOSE:-}" ]; then read -ra compose <<<"$RPACS_COMPOSE"
elif docker compose version >/dev/null 2>&1; then compose=(docker compose)
else compose=(docker-compose); fi

container() { # service: its container, running or not
  local id
  id=$("${compose[@]}" ps -aq "$1" 2>/dev/null || "${compose[@]}" ps -q "$1")
  [ -n "$id" ] || fail "There is no container of the service $1: start the platform first."
  head -n 1 <<<"$id"
}
postgresql=$(container postgresql)
in_postgresql() { docker exec -i "$postgresql" "$@"; }
in_volume() { # service, shell command: run it with the service's volumes, without network
  local id image
  id=$(container "$1") && image=$(docker inspect --format '{{.Config.Image}}' "$id")
  docker run --rm -i --network none --cap-drop ALL --security-opt no-new-privileges --volumes-from "$id" \
    --entrypoint sh "$image" -c "$2"
}

# ---- backup ---------------------------------------------------------------------------------------------------------
seal() { # recipient, file: standard input, encrypted (a backup without its .sha256, written last, is not whole)
  in_postgresql age --encrypt --recipient "$1" >"$2.partial" </dev/stdin
  mv "$2.partial" "$2"
}
backup() {
  local recipient=${RPACS_BACKUP_RECIPIENT:?is missing: the public key of the data}
  local keys_recipient=${RPACS_BACKUP_KEYS_RECIPIENT:?is missing: the public key of the keys}
  [ "$recipient" != "$keys_recipient" ] || fail "The two public keys must differ: the keys never lie beside what they protect."
  mkdir -p "$data" "$keys"
  [ "$(realpath "$data")" != "$(realpath "$keys")" ] || fail "The two folders must differ: the keys never lie beside what they protect."
  local name
  name=$side-$(date -u +%Y%m%dT%H%M%SZ)
  tar -C "$config" --numeric-owner -c "$side" | seal "$recipient" "$data/$name.config.age"
  if [ "$side" = ingest ]; then
    in_postgresql pg_dump --format=custom --schema=ingest --exclude-table-data=ingest.mapping_secret research_pacs \
      </dev/null | seal "$recipient" "$data/$name.database.age"
    in_postgresql pg_dump --format=custom --data-only --table=ingest.mapping_secret research_pacs \
      </dev/null | seal "$keys_recipient" "$keys/$name.secret.age"
  else
    # The index of our own first: what arrives meanwhile is found again by the change feed.
    in_postgresql pg_dump --format=custom --schema=research research_pacs </dev/null | seal "$recipient" "$data/$name.database.age"
    in_postgresql pg_dump --format=custom orthanc_research </dev/null | seal "$recipient" "$data/$name.orthanc.age"
    in_volume s3 'tar -C /data -c .' </dev/null | seal "$recipient" "$data/$name.s3.age"
    in_volume research-orthanc 'tar -C /var/lib/orthanc/db -c .' </dev/null | seal "$recipient" "$data/$name.files.age"
  fi
  tar -C "$secrets" --numeric-owner -c "$folder" orthanc | seal "$keys_recipient" "$keys/$name.keys.age"
  (cd "$data" && sha256sum "$name".*.age >"$name.sha256")
  (cd "$keys" && sha256sum "$name".*.age >"$name.sha256")
  echo "$name"
}

# ---- restore --------------------------------------------------------------------------------------------------------
open() { # identity, file: its content, decrypted
  local identity
  identity=$(<"$1")
  # shellcheck disable=SC2016 # the shell inside expands
  # The private key passes through memory alone: a file of the container's /tmp, gone with the command.
  { printf '%s\n\n' "$identity"; cat "$2"; } | in_postgresql sh -c '
    set -e; umask 077; file=$(mktemp); trap "rm -f $file" EXIT
    while IFS= read -r line && [ -n "$line" ]; do printf "%s\n" "$line" >>"$file"; done
    age --decrypt --identity "$file"'
}
sql() { in_postgresql psql -XqAt -v ON_ERROR_STOP=1 "$@"; }
restore() {
  local name=${5:-} identity=${RPACS_BACKUP_IDENTITY:?is missing: the file with the private key of the data}
  local keys_identity=${RPACS_BACKUP_KEYS_IDENTITY:?is missing: the file with the private key of the keys}
  [ -n "$name" ] || usage
  [[ $name == "$side"-* ]] || fail "$name is no backup of the side $side"
  (cd "$data" && sha256sum --quiet --check "$name.sha256") || fail "$name is damaged"
  (cd "$keys" && sha256sum --quiet --check "$name.sha256") || fail "the keys of $name are damaged"
  # Nothing is dropped before everything could be opened.
  for file in "$data/$name".*.age; do open "$identity" "$file" >/dev/null || fail "$file cannot be opened"; done
  for file in "$keys/$name".*.age; do open "$keys_identity" "$file" >/dev/null || fail "$file cannot be opened"; done
  # shellcheck disable=SC2086 # a word for each service
  "${compose[@]}" stop $services
  sql -d research_pacs -c "DROP SCHEMA IF EXISTS $side CASCADE" </dev/null
  open "$identity" "$data/$name.database.age" | in_postgresql pg_restore --exit-on-error --dbname=research_pacs
  if [ "$side" = ingest ]; then
    open "$keys_identity" "$keys/$name.secret.age" | in_postgresql pg_restore --exit-on-error --dbname=research_pacs
  else
    sql -d postgres -c 'DROP DATABASE IF EXISTS orthanc_research WITH (FORCE)' \
      -c 'CREATE DATABASE orthanc_research OWNER orthanc_research' \
      -c 'REVOKE ALL ON DATABASE orthanc_research FROM PUBLIC' </dev/null
    open "$identity" "$data/$name.orthanc.age" | in_postgresql pg_restore --exit-on-error --dbname=orthanc_research
    open "$identity" "$data/$name.s3.age" | in_volume s3 'cd /data && find . -mindepth 1 -delete && tar -x'
    open "$identity" "$data/$name.files.age" |
      in_volume research-orthanc 'cd /var/lib/orthanc/db && find . -mindepth 1 -delete && tar -x'
  fi
  open "$identity" "$data/$name.config.age" | tar -C "$config" --numeric-owner -x
  # Keys that data was made with; passwords between services stay those of this server.
  local wanted=("$folder/website_audit_key" "$folder/website_secret_key" "$folder/website_export_key" orthanc/research_orthanc_storage_key)
  [ "$side" = research ] || wanted=("$folder"/{console_{audit,secret},deidentifier_{submission,pseudonym,withdrawal,mappings_export}}_key)
  open "$keys_identity" "$keys/$name.keys.age" | tar -C "$secrets" --numeric-owner -x --overwrite "${wanted[@]}"
  # Containers that are made anew see the new files; up runs the migrations first, should the backup be older.
  # shellcheck disable=SC2086
  "${compose[@]}" rm -f $services "migrate-$side" >/dev/null
  echo "$name is restored: start the platform as usual (docker compose up -d)"
}

case $what in
  backup) backup ;;
  restore) restore "$@" ;;
  *) usage ;;
esac
