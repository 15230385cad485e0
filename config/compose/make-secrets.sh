#!/bin/sh
# Makes the secrets of docker-compose.yml, once: what is there already stays as it is.
#
#   make-secrets.sh STORE PROXY
#
# STORE, a directory that only the store and its setup see: the store's administrator.
# PROXY, a directory that artifact-proxy sees too: its own user of the store, who may use one bucket.
# Each comes from the environment where it is given there, and is random otherwise.
set -eu
umask 022 # the directories are seen by nobody else, and their readers run as different users

store=$1
proxy=$2
mkdir -p "$store" "$proxy"

random() { # as many bytes as asked for, in hexadecimal digits
    od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'
}

quoted() { # the content of FILE, as JSON has it
    printf '"%s"' "$(sed 's/[\\"]/\\&/g' "$1")"
}

keep() { # FILE VALUE
    [ -s "$1" ] || { printf '%s' "$2" >"$1.new" && mv "$1.new" "$1"; }
}

keep "$store/root-user" "${STORE_ROOT_USER:-admin-$(random 4)}"
keep "$store/root-password" "${STORE_ROOT_PASSWORD:-$(random 24)}"
keep "$proxy/access-key" "${STORE_ACCESS_KEY:-proxy-$(random 4)}"
keep "$proxy/secret-key" "${STORE_SECRET_KEY:-$(random 24)}"

# As boto3 reads it.
keep "$proxy/credentials" "[default]
aws_access_key_id = $(cat "$proxy/access-key")
aws_secret_access_key = $(cat "$proxy/secret-key")
"

# As SeaweedFS reads it; MinIO has users and policies of its own, see minio-setup.sh.
keep "$store/seaweedfs.json" "{
  \"identities\": [
    {
      \"name\": \"administrator\",
      \"credentials\": [{
        \"accessKey\": $(quoted "$store/root-user"),
        \"secretKey\": $(quoted "$store/root-password")
      }],
      \"actions\": [\"Admin\"]
    },
    {
      \"name\": \"artifact-proxy\",
      \"credentials\": [{
        \"accessKey\": $(quoted "$proxy/access-key"),
        \"secretKey\": $(quoted "$proxy/secret-key")
      }],
      \"actions\": [\"Read:artifacts\", \"Write:artifacts\", \"List:artifacts\"]
    }
  ]
}
"
