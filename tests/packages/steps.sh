# SPDX-License-Identifier: Apache-2.0
# Read by the tests of this folder: steps, and the closing line. $scratch is a folder that is removed at the end.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
cleanups=()
end() {
  local command
  for command in ${cleanups[@]+"${cleanups[@]}"}; do eval "$command" >/dev/null 2>&1 || true; done
  rm -rf "$scratch"
}
trap end EXIT

# step SENTENCE COMMAND...: passes if the command does; else what it printed is shown.
step() {
  local sentence=$1 status
  shift
  # Not as the condition of `if`, where bash ignores set -e.
  ( set -e; "$@" ) >"$scratch/step.log" 2>&1
  status=$?
  if [ $status = 0 ]; then
    echo "  ok    $sentence"
    passed=$((passed + 1))
  else
    echo "  FAIL  $sentence"
    tail -n 30 "$scratch/step.log" | sed 's/^/        /'
    failed=$((failed + 1))
  fi
}

# skip SENTENCE REASON
skip() {
  echo "  skip  $1: $2"
  skipped=$((skipped + 1))
}

# need PROGRAM...: without one of them, the whole test is skipped.
need() {
  local program
  for program; do
    command -v "$program" >/dev/null || { skip "all of it" "$program is not installed"; finish; }
  done
}

finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ $failed = 0 ] || exit 1
  exit 0
}
