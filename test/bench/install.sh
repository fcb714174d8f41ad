#!/usr/bin/env bash
# Installs the servers that the bench compares with, from Debian's packages. The bench starts each itself, on a free
# loopback port with an empty data folder, so the services that the packages bring with them are kept from starting.
# What is there already is left alone; what cannot be had is named with the reason, and the bench skips it.
set -uo pipefail

# command and the package that has it
readonly SERVERS=(nats-server:nats-server redis-server:redis-server etcd:etcd-server pgbench:postgresql)
readonly POLICY=/usr/sbin/policy-rc.d
PATH=$PATH:/usr/sbin:/sbin

missing=()
for server in "${SERVERS[@]}"; do
  command=${server%%:*}
  if path=$(command -v "$command"); then
    echo "$command: $path"
  else
    missing+=("$server")
  fi
done
((${#missing[@]} > 0)) || exit 0

# skip REASON: tells what the bench will do without.
skip() {
  for server in "${missing[@]}"; do echo "${server%%:*}: skipped, $1"; done
  exit 0
}

[[ $(uname -s) == Linux ]] || skip "packages are for Debian and its derivatives"
command -v apt-get >/dev/null || skip "there is no apt-get"
((EUID == 0)) || skip "installing needs root: sudo test/bench/install.sh"

log=$(mktemp)
own_policy=no
cleanup() {
  rm -f "$log"
  if [[ $own_policy == yes ]]; then rm -f "$POLICY"; fi
}
trap cleanup EXIT
if [[ ! -e $POLICY ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY" && own_policy=yes
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update >"$log" 2>&1 || echo "apt-get update failed, going on with the lists that are there"
for server in "${missing[@]}"; do
  command=${server%%:*} package=${server##*:}
  if apt-get install -y --no-install-recommends "$package" >"$log" 2>&1 && path=$(command -v "$command"); then
    echo "$command: $path (installed $(dpkg-query -W -f='${Version}' "$package"))"
  else
    echo "$command: skipped, apt-get could not install $package: $(grep -m1 '^E:' "$log" || tail -n1 "$log")"
  fi
done
