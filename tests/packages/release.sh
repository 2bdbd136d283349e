#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The version is in one place, and a release is refused before it builds anything if the others disagree.
set -uo pipefail
. "$(dirname "$0")/steps.sh"

step "every file has the version of meson.build" packaging/version --check

mkdir -p "$scratch/tree/bindings"
cp -R meson.build CHANGELOG.md release packaging "$scratch/tree/"
cp -R bindings/node bindings/python "$scratch/tree/bindings/"

differs() {
  cd "$scratch/tree"
  sed -i "s/^  version: '.*',/  version: '7.8.9',/" meson.build
  ! ./release --trial 2>said
  [ "$(packaging/version)" = 7.8.9 ]
  for file in bindings/node/package.json bindings/python/pyproject.toml packaging/kubernetes/sidecar.yaml; do
    grep -F "$file has version" said
  done
  [ ! -e dist ]
}
step "./release names the files that have another version, and builds nothing" differs

unreleased() {
  cd "$scratch/tree"
  cp "$OLDPWD/meson.build" .
  sed -i '0,/^## .*/s//## Unreleased/' CHANGELOG.md
  ! ./release 2>said
  grep -F 'CHANGELOG.md must begin with "## ' said
  [ ! -e dist ]
}
step "./release wants the version at the head of CHANGELOG.md" unreleased
finish
