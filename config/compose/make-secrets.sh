#!/bin/sh
# Makes the secrets of docker-compose.yml, once: what is there already stays as it is.
#
#   make-secrets.sh STORE PROXY ACCESS CLIENT TRACKING
#
# STORE, a directory that only the store and its setup see: the store's administrator.
# PROXY, a directory that artifact-proxy sees too: its own user of the store, who may use one bucket.
# Each comes from the environment where it is given there, and is random otherwise.
# ACCESS, which artifact-proxy sees: the access file, with the hashes of tokens and what these may do.
# CLIENT, which no service sees: the token of the administrator of artifacts.
# TRACKING, which the tracking server sees: its token.
set -eu
umask 022 # the directories are seen by nobody else, and their readers run as different users

store=$1 proxy=$2 access=$3 client=$4 tracking=$5
mkdir -p "$@"

random() { # as many bytes as asked for, in hexadecimal digits
    od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'
}

quoted() { # the content of FILE, as JSON has it
    printf '"%s"' "$(sed 's/[\\"]/\\&/g' "$1")"
}

keep() { # FILE VALUE
    [ -s "$1" ] || { printf '%s' "$2" >"$1.new" && mv "$1.new" "$1"; }
}

token() { # NAME GRANT FILE
    # Of what is taken away, here or in the access file, nothing comes back.
    [ ! -e "$3" ] || return 0
    if ! grep -q "^name *= *\"$1\"" "$access/access.toml"; then
        rm -f "$3.new" # of a run that broke off before its hash was kept
        artifact-proxy token new "$1" --allow "$2" --access-file "$access/access.toml" --token-file "$3.new"
    fi
    [ ! -e "$3.new" ] || mv "$3.new" "$3"
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

[ -e "$access/access.toml" ] || : >"$access/access.toml" # whose mode it keeps
token admin all: "$client/admin"
token mlflow read,list: "$tracking/token"
