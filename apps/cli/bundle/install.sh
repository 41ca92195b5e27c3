#!/bin/sh
# Installs Moraine from the parts beside this file. No network, no root, no Node, npm, Python or compiler is needed:
# sh, tar, gzip, sha256sum and the usual small tools are. Running it again repairs or updates; what the user made stays.
set -eu

name='@NAME@'
machine='@MACHINE@'
least_glibc='@GLIBC@'
least_libstdcxx='@LIBSTDCXX@'
unpacked_kib='@KIB@'
sums='@SUMS@'

usage="usage: sh install.sh [DIR]
Installs $name into DIR (default: \$HOME/moraine)."

stop() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# Whether the dotted number $1 is smaller than $2.
is_older() {
  a=$1 b=$2
  while [ -n "$a$b" ]; do
    x=${a%%.*} y=${b%%.*}
    [ "${x:-0}" -lt "${y:-0}" ] && return 0
    [ "${x:-0}" -gt "${y:-0}" ] && return 1
    case $a in *.*) a=${a#*.} ;; *) a= ;; esac
    case $b in *.*) b=${b#*.} ;; *) b= ;; esac
  done
  return 1
}

sha256() {
  hash=$(sha256sum <"$1") || return 1
  printf '%s' "${hash%% *}"
}

require_machine() {
  here_machine="$(uname -s)-$(uname -m)"
  [ "$here_machine" = "$machine" ] || stop "this bundle is for $machine; this machine is $here_machine."
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
  glibc=${glibc#glibc }
  [ -n "$glibc" ] || stop "glibc $least_glibc or newer is needed; this system has another C library (musl?)."
  if is_older "$glibc" "$least_glibc"; then
    stop "glibc $least_glibc or newer is needed; this system has glibc $glibc."
  fi
  # Every copy that the loader knows, one a line; where it knows none, Node says below what it misses.
  libraries=$( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null | sed -n 's/.*libstdc++\.so\.6 .*=> //p') || true
  [ -z "$libraries" ] || printf '%s\n' "$libraries" | while read -r library; do
    grep -q "$least_libstdcxx" "$library" && echo found
  done | grep -q found || stop "a libstdc++.so.6 with $least_libstdcxx or newer is needed; that of this system is older: $libraries"
}

# Every part is looked at before anything is written, and everything that is wrong is named.
require_parts() {
  [ -f "$here/SHA256SUMS" ] || stop "SHA256SUMS is missing in $here."
  [ "$(sha256 "$here/SHA256SUMS")" = "$sums" ] || stop "SHA256SUMS is damaged or of another bundle: copy it again."
  missing='' damaged=''
  while read -r hash part; do
    if [ ! -f "$here/$part" ]; then
      missing="$missing $part"
    elif [ "$(sha256 "$here/$part")" != "$hash" ]; then
      damaged="$damaged $part"
    fi
  done <"$here/SHA256SUMS"
  [ -z "$missing" ] || printf 'install.sh: missing in %s:%s\n' "$here" "$missing" >&2
  [ -z "$damaged" ] || printf 'install.sh: damaged (the hash differs), copy again:%s\n' "$damaged" >&2
  [ -z "$missing$damaged" ] || exit 1
}

# Only an empty folder or an earlier installation is written to.
require_target() {
  mkdir -p "$target" || stop "$target cannot be made: name another folder."
  target=$(CDPATH='' cd -- "$target" && pwd -P)
  [ -w "$target" ] || stop "$target cannot be written to: name another folder."
  rm -rf "$target"/.moraine-new.*
  if [ ! -f "$target/.moraine-bundle" ] && [ -n "$(ls -A "$target")" ]; then
    stop "$target is not empty and holds no Moraine: name an empty or new folder."
  fi
  free=$(df -Pk "$target" | { read -r _; read -r _ _ _ available _; echo "$available"; })
  [ "$free" -gt "$unpacked_kib" ] ||
    stop "$((unpacked_kib / 1024)) MiB are needed in $target, where $((free / 1024)) MiB are free."
}

# Node comes first, packed as every system can unpack it; it unpacks the rest.
unpack() {
  new="$target/.moraine-new.$$"
  mkdir "$new"
  while read -r _ part; do
    case $part in node.*) cat "$here/$part" ;; esac
  done <"$here/SHA256SUMS" | gzip -dc | tar -xof - -C "$new" || stop "Node could not be unpacked into $new."
  "$new/node/bin/node" --version >/dev/null || stop "the Node of this bundle does not run here; the line above says why."
  "$new/node/bin/node" "$new/node/unpack.mjs" "$here" "$new" || stop "the parts could not be unpacked into $new."
}

# The folders of an earlier installation make room one by one; whatever else is in the target stays.
put_in_place() {
  echo "$name" >"$target/.moraine-bundle"
  for path in "$new"/*; do
    entry=${path##*/}
    [ ! -e "$target/$entry" ] || mv "$target/$entry" "$new/.old-$entry"
    mv "$path" "$target/$entry"
  done
  rm -rf "$new"
}

case ${1:-} in -h | --help) printf '%s\n' "$usage" && exit 0 ;; -*) stop "unknown option $1. $usage" ;; esac
[ $# -le 1 ] || stop "one folder at most. $usage"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
target=${1:-${HOME:+$HOME/moraine}}
[ -n "$target" ] || stop "HOME is not set: name a folder. $usage"

require_machine
echo "Checking the parts of $name"
require_parts
require_target
echo "Unpacking into $target"
unpack
put_in_place
echo
"$target/bin/moraine" doctor || stop "Moraine is in $target, but it is not ready to train; the lines above say what is missing."
echo
echo "Moraine is in $target. For example:"
echo "  $target/bin/moraine local train --base $target/examples/base --data $target/examples/tasks/record-train.jsonl --steps 20 --out my-run"
