#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiled for 64-bit Arm: the unit tests of base, dns and mdns under qemu-user. What needs a kernel of
# that machine, such as namespaces and avahi, is not run. The static program is started too if
# build-static-arm64/ is there: `./quickstart --tarball arm64` makes it, and takes as long as a
# release build.
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
  ninja -C $tree "${programs[@]}"
  readelf -h $tree/tests/dns/test_dns | grep -q AArch64
}
step "base, dns and mdns compile" build
[ $failed = 0 ] || finish

qemu=(qemu-aarch64-static -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$sysroot/usr/lib/aarch64-linux-gnu")
for program in "${programs[@]}"; do
  step "the tests of ${program#*_} pass" "${qemu[@]}" "$tree/$program"
  grep -h 'test cases:' "$scratch/step.log" | sed 's/^/          /'
done

program=build-static-arm64/stage/usr/local/bin/outrider
starts() {
  ! readelf -l $program | grep -q INTERP
  qemu-aarch64-static $program version | grep -F "$(packaging/version)"
  echo '{"services": [{"name": "hello", "port": 8000}]}' >"$scratch/hello.json"
  qemu-aarch64-static $program config check --config "$scratch/hello.json"
}
if [ -e $program ]; then
  step "the static program starts" starts
else
  skip "the static program" "./quickstart --tarball arm64 was not run"
fi
finish
