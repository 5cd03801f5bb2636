#!/bin/sh
# Prints the Secrets of components/redis, with a password made for them: Redis gets its hash, the services get itself.
#   sh deploy/kubernetes/redis-secret.sh | kubectl apply -f -
set -eu
password=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
hash=$(printf %s "$password" | sha256sum | cut -d' ' -f1)
cat <<END
apiVersion: v1
kind: Secret
metadata: { name: redis-password, namespace: ropeteam }
stringData:
  password: "$password"
---
apiVersion: v1
kind: Secret
metadata: { name: redis-users, namespace: ropeteam }
stringData:
  users.acl: |
    user default off
    user ropeteam on #$hash ~{ropeteam}* &{ropeteam}* +@all -@admin -@dangerous +info +client
END
