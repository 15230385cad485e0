#!/bin/bash
# Makes the bucket in MinIO, and a user for artifact-proxy who may do nothing but use it. May be repeated.
#
#   minio-setup.sh STORE PROXY POLICY
#
# The directories are those of make-secrets.sh. MinIO's image has bash and mc, and little else.
set -euo pipefail

store=$1 proxy=$2 policy=$3
access_key=$(<"$proxy/access-key")

mc alias set store "$STORE_URL" "$(<"$store/root-user")" "$(<"$store/root-password")"
mc mb --ignore-existing store/artifacts
mc admin policy create store artifact-proxy "$policy"
mc admin user add store "$access_key" "$(<"$proxy/secret-key")"

# What is attached already is an error to mc.
if ! said=$(mc admin policy attach store artifact-proxy --user "$access_key" 2>&1) &&
    [[ $said != *"already in effect"* ]]; then
    echo "$said" >&2
    exit 1
fi
