#!/bin/sh
# Makes the bucket in SeaweedFS, whose users stand in the file that make-secrets.sh wrote. May be repeated.
#
#   seaweedfs-setup.sh MASTER FILER
set -eu

master=$1 filer=$2

shell() { # COMMAND
    echo "$1" | weed shell -master="$master" -filer="$filer"
}

# What is there already is an error to it.
shell s3.bucket.list | grep -w artifacts || shell "s3.bucket.create -name artifacts"
shell s3.bucket.list | grep -w artifacts
