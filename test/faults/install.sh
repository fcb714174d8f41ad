#!/usr/bin/env bash
# Installs what the fault programs use and a machine may lack: strace. Prints nothing when it is there; else says what it did,
# and ends with 1 when it could not.
set -uo pipefail

command -v strace >/dev/null && exit 0
if ! command -v apt-get >/dev/null; then
  echo "strace is not installed, and there is no apt-get to install it with"
  exit 1
fi
if [[ $(id -u) != 0 ]]; then
  echo "strace is not installed, and only root can install it"
  exit 1
fi
(apt-get install -y strace || (apt-get update && apt-get install -y strace)) >/dev/null 2>&1
if ! command -v strace >/dev/null; then
  echo "strace is not installed, and apt-get could not install it"
  exit 1
fi
echo "installed $(strace --version | head -n 1)"
