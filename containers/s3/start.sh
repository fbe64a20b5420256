#!/bin/sh
# Start the S3 server on the folder /data/buckets. Its attributes of objects lie beside it in /data/attributes, so that
# a copy of /data is whole however it was made. The arguments are the buckets that there are to be.
set -eu
ROOT_ACCESS_KEY=$(cat /run/secrets/s3_access_key)
ROOT_SECRET_KEY=$(cat /run/secrets/s3_secret_key)
export ROOT_ACCESS_KEY ROOT_SECRET_KEY
mkdir -p /data/attributes
for bucket in "$@"; do mkdir -p "/data/buckets/$bucket"; done
PATH=$PATH:/app:/usr/local/bin
exec versitygw --port :7070 --region "${AWS_REGION:-us-east-1}" posix --sidecar /data/attributes /data/buckets
