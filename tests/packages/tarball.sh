#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The static tarball: built, installed and removed, and run in an empty root and in one of musl.
set -uo pipefail
. "$(dirname "$0")/steps.sh"

[ "$(id -u)" = 0 ] || { skip "all of it" "chroot and network namespaces need root"; finish; }

build() { ./quickstart --tarball >"$scratch/name" && test -s "$(cat "$scratch/name")"; }
step "./quickstart --tarball builds it" build
[ $failed = 0 ] || finish
file=$(cat "$scratch/name")
version=$(packaging/version)

same_bytes() { cp "$file" "$scratch/first.tar.gz"; ./quickstart --tarball; cmp "$file" "$scratch/first.tar.gz"; }
step "packed again, it has the same bytes" same_bytes

mkdir "$scratch/unpacked"
tar -x -C "$scratch/unpacked" -f "$file"
here=$scratch/unpacked/$(basename "$file" .tar.gz)
outrider=$here/bin/outrider

is_static() { ! readelf -l "$outrider" | grep -q INTERP && ! readelf -d "$outrider" | grep -q NEEDED; }
step "the program needs no loader and no shared library" is_static

complete() {
  local path
  for path in man/man1/outrider.1 man/man5/outrider.json.5 man/man7/outrider-dns.7 man/man8/outrider-agent.8 \
    bash-completion/completions/outrider zsh/site-functions/_outrider fish/vendor_completions.d/outrider.fish \
    doc/outrider/LICENSE; do
    test -s "$here/share/$path"
  done
}
step "manual pages, completions and the licence are in it" complete

sbom() {
  python3 - "$here/share/doc/outrider" <<'END'
import hashlib, json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
sbom = json.loads((folder / "sbom.spdx.json").read_text())
names = {package["name"] for package in sbom["packages"]}
relations = {relation["relatedSpdxElement"]: relation["relationshipType"] for relation in sbom["relationships"]}
linked = {name for name, kind in relations.items() if kind == "STATIC_LINK"}
wanted = {"libuv1-dev", "libc-ares-dev", "libc6-dev", "libhttp-parser-dev", "libmd-dev"}
assert wanted <= names, names
assert {"SPDXRef-Package-" + name for name in wanted} <= linked, linked
assert "libexpected-dev" in names, names
for package in sbom["packages"]:
    assert package["versionInfo"], package
    if package["name"] != "outrider":
        assert (folder / "copyright" / package["name"]).stat().st_size > 100, package["name"]
program = (folder / "../../../bin/outrider").read_bytes()
assert sbom["packages"][0]["checksums"][0]["checksumValue"] == hashlib.sha256(program).hexdigest()
END
}
step "its SBOM has the libraries that are linked, with versions and licences" sbom

# tree DIR: what is in a folder, with modes and contents.
tree() { (cd "$1" && find . -printf '%y %m %p\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2); }

installs() {
  local root=$scratch/opt
  mkdir -p "$root/share/man/man1"
  echo other >"$root/share/man/man1/other.1"
  tree "$root" >"$scratch/before"
  PREFIX=$root "$here/install.sh" --list >"$scratch/list"
  tree "$root" | cmp - "$scratch/before"
  PREFIX=$root "$here/install.sh"
  while read -r path; do test -s "$path"; done <"$scratch/list"
  "$root/bin/outrider" version | grep -F "$version"
  PREFIX=$root "$here/install.sh"  # over itself
  PREFIX=$root "$here/install.sh" --uninstall
  tree "$root" | diff "$scratch/before" -
  ! PREFIX=$root "$here/install.sh" --uninstall
}
step "install.sh copies what --list names, twice as well; --uninstall leaves the folder as it was" installs

keeps() {
  local root=$scratch/system
  mkdir -p "$root/usr/local/etc/outrider"
  echo '{"node": {"name": "mine"}}' >"$root/usr/local/etc/outrider/outrider.json"
  DESTDIR=$root "$here/install.sh"
  test -s "$root/usr/local/lib/systemd/system/outrider.service"
  grep -q mine "$root/usr/local/etc/outrider/outrider.json"
  test -d "$root/usr/local/etc/outrider/conf.d"
  DESTDIR=$root "$here/install.sh" --uninstall
  grep -q mine "$root/usr/local/etc/outrider/outrider.json"
  [ "$(find "$root" -type f | wc -l)" = 1 ]
}
step "units are copied to /usr/local; a configuration that is there is kept" keeps

mkdir -p "$scratch/empty"
cp "$outrider" "$scratch/empty/"
in_empty() { chroot "$scratch/empty" /outrider version | grep -F "$version"; }
step "it runs in a root where nothing else is" in_empty

modules() {
  echo '{"services": [{"name": "hello", "port": 8000, "checks": [{"http": "https://127.0.0.1/"}]}]}' >"$scratch/tls"
  "$outrider" config check --config "$scratch/tls" 2>"$scratch/said" || status=$?
  [ "${status:-0}" = 2 ]
  grep -F 'not in the static program' "$scratch/said"
  echo '{"services": [{"name": "hello", "port": 8000}]}' >"$scratch/hello.json"
  unshare --net --pid --fork --kill-child bash -e -c '
    ip link set lo up
    mkfifo "$2/log"
    "$1" agent --config "$2/hello.json" --set api.socket="$2/api" --set api.etcd_listen=127.0.0.1:2379 2>"$2/log" &
    exec 3<"$2/log"
    while read -r -t 20 -u 3 line; do
      case $line in *api_listening*2379*) break ;; esac
    done
    cat <&3 >/dev/null &
    curl -sS --get --unix-socket "$2/api" http://localhost/v1/agent/services \
      --data-urlencode "filter=Service matches \"^h.l+o\$\"" | grep -q hello
    curl -sS -o /dev/null -w "%{http_version}\n" --http2-prior-knowledge http://127.0.0.1:2379/version | grep -x 2
  ' bash "$outrider" "$scratch"
}
step "regular expressions and HTTP/2 are linked in; TLS is refused with advice" modules

# A root with musl and busybox, as Alpine has them.
musl() {
  local root=$scratch/musl
  mkdir -p "$root/bin" "$root/lib" "$root/etc" "$root/tmp" "$root/dev" "$root/proc" "$root/package"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for name in sh cp mv find sort mkdir cat awk sed chmod rm dirname mktemp cmp rmdir grep; do
    ln -s busybox "$root/bin/$name"
  done
  cp -L /lib/ld-musl-*.so.1 "$root/lib/"
  musl-gcc -o "$root/bin/lookup" tests/packages/lookup.c
  readelf -l "$root/bin/lookup" | grep -q ld-musl
  echo 'nameserver 127.0.0.55' >"$root/etc/resolv.conf"
  printf 'passwd: sss files\nhosts: mdns4_minimal resolve dns\n' >"$root/etc/nsswitch.conf"
  : >"$root/dev/null"
  cp -R "$here/." "$root/package/"
}
agent_on_musl() {
  # In namespaces of its own, where only the loopback is up.
  unshare --net --mount --pid --fork --kill-child bash -e -c '
    root=$1
    ip link set lo up
    mount -t proc proc "$root/proc"
    chroot "$root" /bin/sh /package/install.sh
    chroot "$root" /usr/local/bin/outrider version
    printf "%s" "{\"services\": [{\"name\": \"hello\", \"port\": 8000}]}" >"$root/tmp/hello.json"
    mkfifo "$root/tmp/log"
    chroot "$root" /usr/local/bin/outrider agent --config /tmp/hello.json --set dns.listen=127.0.0.55:53 \
      --set api.socket=/tmp/api 2>"$root/tmp/log" &
    agent=$!
    exec 3<"$root/tmp/log"
    while read -r -t 20 -u 3 line; do
      case $line in *api_listening*) break ;; esac
    done
    cat <&3 >"$root/tmp/rest" &
    chroot "$root" /usr/local/bin/outrider resolve hello --socket /tmp/api
    chroot "$root" /usr/local/bin/outrider status --socket /tmp/api
    [ "$(chroot "$root" /bin/lookup hello.svc)" = 127.0.0.1 ]
    chroot "$root" /usr/local/bin/outrider doctor --socket /tmp/api || [ $? = 1 ]
    kill -TERM $agent
    wait $agent
  ' bash "$scratch/musl"
}
if command -v musl-gcc >/dev/null && busybox true 2>/dev/null; then
  step "a root of musl and busybox is made" musl
  step "there, install.sh runs, the agent serves, and musl resolves hello.svc" agent_on_musl
else
  skip "a root of musl and busybox" "musl-tools or busybox-static is not installed"
fi
finish
