#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# ./install.sh               copies Outrider to /usr/local
# PREFIX=DIR ./install.sh    copies it to DIR
# ./install.sh --list        prints what it would copy, and copies nothing
# ./install.sh --uninstall   removes what it has copied
#
# It only copies: it creates no user, starts nothing and does not touch the resolver. What it copied
# is listed in PREFIX/share/outrider/installed. DESTDIR=DIR puts all of it below DIR. The systemd
# units have the path /usr/local in them, and are copied only there.
set -eu
umask 022
source=$(cd "$(dirname "$0")" && pwd)
prefix=${PREFIX:-/usr/local}
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
target=${DESTDIR:-}$prefix
record=share/outrider/installed

usage() { sed -n 's/^# \(.*install\.sh.*\)/  \1/p' "$0"; }

# files: what is copied, relative to the prefix. A configuration that is there is kept.
files() {
  cd "$source"
  find bin share -type f | sort
  if [ "$prefix" = /usr/local ]; then
    find lib -type f | sort
    [ -e "$target/etc/outrider/outrider.json" ] || echo etc/outrider/outrider.json
  fi
}

# folder DIR: creates it and those above it, and notes which of them are new.
folder() {
  [ ! -d "$target/$1" ] || return 0
  case $1 in */*) folder "${1%/*}" ;; esac
  mkdir "$target/$1"
  echo "$1/" >>"$list"
}

copy() {
  mkdir -p "$target"
  list=$(mktemp)
  trap 'rm -f "$list"' EXIT
  [ ! -e "$target/$record" ] || cat "$target/$record" >"$list"
  files | while read -r file; do
    folder "${file%/*}"
    # Not over a program that runs: the new file takes the place of the old one.
    cp "$source/$file" "$target/$file.new"
    mv -f "$target/$file.new" "$target/$file"
    echo "$file" >>"$list"
  done
  # outrider.service reads it.
  [ "$prefix" != /usr/local ] || folder etc/outrider/conf.d
  folder "${record%/*}"
  awk '!seen[$0]++' "$list" >"$target/$record"
  chmod 644 "$target/$record"
  echo "Outrider is in $prefix. Next:"
  echo "  $prefix/bin/outrider doctor"
  echo "  man outrider"
  [ "$prefix" != /usr/local ] || echo "  systemd-sysusers && systemctl enable --now outrider"
  echo "To remove it: PREFIX=$prefix $source/install.sh --uninstall"
}

uninstall() {
  if [ ! -e "$target/$record" ]; then
    echo "install.sh: nothing is installed in $prefix: no $target/$record" >&2
    exit 1
  fi
  list=$(mktemp)
  trap 'rm -f "$list"' EXIT
  cat "$target/$record" >"$list"
  rm -f "$target/$record"
  while read -r file; do
    case $file in
      */) ;;
      # A configuration that was changed is kept.
      etc/*) ! cmp -s "$source/$file" "$target/$file" || rm -f "$target/$file" ;;
      *) rm -f "$target/$file" ;;
    esac
  done <"$list"
  # Of the folders those that it created and that are empty, the inner ones first.
  sort -r "$list" | while read -r file; do
    case $file in */) rmdir "$target/${file%/}" 2>/dev/null || true ;; esac
  done
}

case ${1:-} in
  '') copy ;;
  --list) files | sed "s|^|$prefix/|" ;;
  --uninstall) uninstall ;;
  -h | --help) usage ;;
  *) echo "install.sh: unknown argument: $1" >&2; usage >&2; exit 2 ;;
esac
