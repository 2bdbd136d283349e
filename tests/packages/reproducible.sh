#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# reprotest builds the Debian packages of dist/ once more: in another folder, more than half a year later, with another
# locale, time zone, umask, home, path, host name, kernel release and order of files, and without a compiler's cache.
# The same bytes have to come out. Takes as long as the packages took.
set -uo pipefail
. "$(dirname "$0")/steps.sh"
need reprotest faketime disorderfs git

info=$(ls dist/*.buildinfo 2>/dev/null | head -n 1)
[ -n "$info" ] || { skip "all of it" "no packages in dist: run ./quickstart --deb"; finish; }
listed() { git ls-files -z --cached --others --exclude-standard -- "$@"; }
newer=$(listed ':!tests' ':!docs/*.py' | xargs -0 sh -c 'find "$@" -maxdepth 0 -newer "$0"' "$info" 2>/dev/null |
  head -n 3 | tr '\n' ' ')
[ -z "$newer" ] || { skip "all of it" "newer than the packages in dist: $newer"; finish; }

# environment NAME: what it was at the first build.
environment() { sed -n "s/^ $1=\"\(.*\)\"$/\1/p" "$info"; }

# Of two packages, hashes of the files that differ.
members() {
  local unpacked
  unpacked=$(mktemp -d -p "$scratch")
  dpkg-deb -R "$1" "$unpacked"
  (cd "$unpacked" && find . -type f -exec sha256sum {} + | sort -k 2)
}

first=$scratch/first/source-root second=$scratch/second
mkdir -p "$scratch/source" "$first/dist"
listed | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar -c --null -T - | tar -x -C "$scratch/source"
cp dist/*.deb "$first/dist/"

again() {
  local status=0 name
  export CCACHE_DISABLE=1 SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS
  SOURCE_DATE_EPOCH=$(environment SOURCE_DATE_EPOCH) DEB_BUILD_OPTIONS=$(environment DEB_BUILD_OPTIONS)
  # The user stays: another one would need sudo. So do the cores, which would double the time.
  reprotest --no-diffoscope --min-cpus="$(nproc)" --vary=+all,-user_group,-num_cpus \
    --control-build="$scratch/first" --store-dir="$second" \
    --build-command='./quickstart --deb' "$scratch/source" 'dist/*.deb' -- null || status=$?
  [ $status != 0 ] || return 0
  for file in dist/*.deb; do
    name=$second/experiment-1/source-root/$file
    [ -e "$name" ] || continue
    cmp "$file" "$name" || diff <(members "$file") <(members "$name")
  done
  return $status
}
step "reprotest builds $(ls dist/*.deb | wc -l) packages with the same bytes" again
finish
