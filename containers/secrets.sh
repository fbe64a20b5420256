#!/usr/bin/env bash
# Make the secrets of docker-compose.yml, and the folders of its configuration: make secrets. Run as root, since each
# file belongs to the user of the one service that reads it. What exists is kept: run it again after an upgrade, or
# after removing a file to have it made anew (all files of one line below together: they hold the same secret).
set -euo pipefail
secrets=${RPACS_SECRETS:-secrets}
config=${RPACS_CONFIG:-config}
umask 077
[ "$(id -u)" = 0 ] || { echo "Run it as root (sudo make secrets): the files must belong to the services' users." >&2; exit 1; }

# The users of the images, by folder.
declare -A owners=([postgresql]=999 [deidentifier]=10001 [orthanc]=10002 [website]=10003 [s3]=10005)

# Kind of secret, then every file that holds it.
table='
password postgresql/postgresql_migrate_ingest deidentifier/deidentifier_postgresql_migrate
password postgresql/postgresql_migrate_research website/website_postgresql_migrate
password postgresql/postgresql_deidentifier deidentifier/deidentifier_postgresql
password postgresql/postgresql_reidentify deidentifier/deidentifier_postgresql_reidentify
password postgresql/postgresql_website website/website_postgresql
password postgresql/postgresql_orthanc_research orthanc/research_orthanc_postgresql
password orthanc/source_orthanc_password deidentifier/deidentifier_source_orthanc
password orthanc/research_orthanc_password deidentifier/deidentifier_research_orthanc website/website_research_orthanc
password s3/s3_access_key orthanc/research_orthanc_s3_access_key website/reconcile_s3_access_key
password s3/s3_secret_key orthanc/research_orthanc_s3_secret_key website/reconcile_s3_secret_key
base64   orthanc/research_orthanc_storage_key
password deidentifier/deidentifier_submission_key
password deidentifier/deidentifier_pseudonym_key
password deidentifier/deidentifier_withdrawal_key
base64url deidentifier/deidentifier_mappings_export_key
password deidentifier/console_secret_key
password deidentifier/console_audit_key
password website/website_secret_key
password website/website_audit_key
password website/website_export_key
'

# A letter first: what reads values as JSON must not take a password for a number.
make_password() { printf 'p%s' "$(openssl rand -hex 24)"; }
make_base64url() { openssl rand -base64 32 | tr -d '\n' | tr '+/' '-_'; }
make_base64() { openssl rand -base64 32 | tr -d '\n'; }

value_of() { # kind, files: what one of them holds already, else a new one
  local kind=$1 file
  for file in "${@:2}"; do
    [ ! -s "$secrets/$file" ] || { cat "$secrets/$file"; return; }
  done
  "make_$kind"
}

install -d -m 711 "$secrets"
for folder in "${!owners[@]}"; do install -d -m 711 -o "${owners[$folder]}" -g "${owners[$folder]}" "$secrets/$folder"; done
while read -r kind files; do
  [ -n "$kind" ] || continue
  read -ra files <<<"$files"
  value=$(value_of "$kind" "${files[@]}")
  for file in "${files[@]}"; do
    [ -s "$secrets/$file" ] || printf '%s' "$value" >"$secrets/$file"
    owner=${owners[${file%%/*}]}
    chown "$owner:$owner" "$secrets/$file"
    chmod 400 "$secrets/$file"
  done
done <<<"$table"

# Rules, permissions, accounts and certificates: one folder for each side, written by that side's accounts command.
install -d -m 755 "$config" "$config/tls"
install -d -m 755 -o 10001 -g 10001 "$config/ingest"
install -d -m 755 -o 10003 -g 10003 "$config/research"
echo "Secrets are in $secrets/, configuration belongs into $config/. Keep a copy of both apart from the backups."
