#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiled for 64-bit Arm, and run under qemu-user: the unit tests of base, dns and mdns, and an agent
# that answers. What needs a kernel of that machine, such as namespaces and avahi, is not run. The
# static program is started too if build-static-arm64/ is there: `./quickstart --tarball arm64` makes
# it, and takes as long as a release build.
set -uo pipefail
. "$(dirname "$0")/steps.sh"
need aarch64-linux-gnu-g++ qemu-aarch64-static dpkg-architecture

tree=build-arm64
mkdir -p $tree
sysroot=$PWD/$tree/sysroot
packaging/cross-libraries arm64 "$sysroot" >"$scratch/libraries.log" 2>&1 ||
  { skip "all of it" "apt has no packages of arm64: $(tail -n 1 "$scratch/libraries.log")"; finish; }

programs=(tests/base/test_base tests/dns/test_dns tests/mdns/test_mdns)
build() {
  [ -e $tree/build.ninja ] ||
    meson setup $tree --cross-file packaging/arm64/cross.ini --cross-file "$sysroot/paths.ini" \
      --buildtype=debug -Ddebug=false -Dstatic_program=true
  ninja -C $tree "${programs[@]}" agent/outrider
  readelf -h $tree/tests/dns/test_dns | grep -q AArch64
}
step "base, dns, mdns and the agent compile" build
[ $failed = 0 ] || finish

qemu=(qemu-aarch64-static -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$sysroot/usr/lib/aarch64-linux-gnu")
for program in "${programs[@]}"; do
  step "the tests of ${program#*_} pass" "${qemu[@]}" "$tree/$program"
  grep -h 'test cases:' "$scratch/step.log" | sed 's/^/          /'
done

echo '{"services": [{"name": "hello", "port": 8000}]}' >"$scratch/hello.json"

# serves PROGRAM: an agent answers dig and its own command, and ends with 0.
serves() {
  # In namespaces of its own, where only the loopback is up. mDNS joins no group there.
  unshare --net --pid --fork --kill-child bash -e -c '
    scratch=$1
    shift
    ip link set lo up
    rm -f "$scratch/log"
    mkfifo "$scratch/log"
    "$@" agent --config "$scratch/hello.json" --set api.socket="$scratch/api" --set dns.listen=127.0.0.55:5370 \
      --set lifecycle.drain=0s 2>"$scratch/log" &
    agent=$!
    exec 3<"$scratch/log"
    while read -r -t 60 -u 3 line; do
      echo "$line"
      case $line in *dns_listening*) break ;; esac
    done
    cat <&3 &
    dig @127.0.0.55 -p 5370 hello.svc SRV | tee "$scratch/said"
    grep -q "status: NOERROR" "$scratch/said"
    [ "$(dig @127.0.0.55 -p 5370 +short hello.svc)" = 127.0.0.1 ]
    "$@" instances --socket "$scratch/api" | grep hello
    kill -TERM $agent
    wait $agent
  ' bash "$scratch" "$@"
}

starts() {
  ! readelf -l "$program" | grep -q INTERP
  qemu-aarch64-static "$program" version | grep -F "$(packaging/version)"
  qemu-aarch64-static "$program" config check --config "$scratch/hello.json"
}
program=build-static-arm64/stage/usr/local/bin/outrider
if [ ! -e $program ]; then
  skip "the static program" "./quickstart --tarball arm64 was not run"
else
  step "the static program starts" starts
fi
if [ "$(id -u)" != 0 ] || ! command -v dig >/dev/null; then
  skip "an agent" "needs root for a network namespace, and dig"
else
  step "an agent answers dig, and stops at SIGTERM" serves "${qemu[@]}" $tree/agent/outrider
  [ ! -e $program ] || step "so does the static program" serves qemu-aarch64-static $program
fi
finish
