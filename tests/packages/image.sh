#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The container image: built, checked, and run by podman in namespaces of its own.
set -uo pipefail
. "$(dirname "$0")/steps.sh"

SIZE_MAX=15000000  # octets, of the image as it is shipped and of its files
[ "$(id -u)" = 0 ] || { skip "all of it" "network namespaces need root"; finish; }

build() { ./quickstart --image >"$scratch/name" && test -s "$(cat "$scratch/name")"; }
step "./quickstart --image builds it" build
[ $failed = 0 ] || finish
file=$PWD/$(cat "$scratch/name")
version=$(packaging/version)

same_bytes() { cp "$file" "$scratch/first.tar"; ./quickstart --image; cmp "$file" "$scratch/first.tar"; }
step "built again, it has the same bytes" same_bytes

mkdir "$scratch/layout" "$scratch/root"
tar -x -C "$scratch/layout" -f "$file"

layout() {
  python3 - "$scratch/layout" "$SIZE_MAX" <<'END'
import gzip, hashlib, json, pathlib, sys
folder, size_max = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def blob(descriptor):
    data = (folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert len(data) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
    return data
assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
[entry] = json.loads((folder / "index.json").read_text())["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
[layer] = manifest["layers"]
content = gzip.decompress(blob(layer))
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(content).hexdigest()]
assert config["config"]["User"] == "65532:65532"
[docker] = json.loads((folder / "manifest.json").read_text())
assert docker["Layers"] == ["blobs/" + layer["digest"].replace(":", "/")]
assert len(content) <= size_max, len(content)
print(layer["size"], len(content))
END
}
step "it is an OCI layout whose digests are right, of at most $((SIZE_MAX / 1000000)) MB unpacked" layout

unpacked() {
  local layer
  layer=$(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))[0]["Layers"])' \
    "$scratch/layout/manifest.json")
  tar -x -C "$scratch/root" -f "$scratch/layout/$layer"
  chroot --userspec=65532:65532 "$scratch/root" /usr/local/bin/outrider version | grep -F "$version"
  [ "$(stat -c %u:%a "$scratch/root/run/outrider")" = 65532:750 ]
  ! find "$scratch/root" -name '*sh' -type f -perm /111 | grep .
}
step "its files alone, without a shell, are enough for the program" unpacked

manifests() {
  python3 - <<'END'
import json, re, sys
sys.dont_write_bytecode = True
try:
    import yaml
except ImportError:
    sys.exit("python3-yaml is not installed")
map_, pod = yaml.safe_load_all(open("packaging/kubernetes/sidecar.yaml"))
json.loads(map_["data"]["outrider.json"])
agent = pod["spec"]["containers"][1]
assert agent["securityContext"]["readOnlyRootFilesystem"] and agent["securityContext"]["runAsNonRoot"]
version = re.search(r"version: '([^']+)'", open("meson.build").read()).group(1)
assert agent["image"].endswith(":" + version), agent["image"]
volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
assert {mount["name"] for mount in agent["volumeMounts"]} == volumes
compose = yaml.safe_load(open("packaging/compose/compose.yaml"))["services"]["orders-outrider"]
assert compose["image"] == agent["image"] and compose["read_only"]
END
  for config in packaging/compose/outrider.json; do
    "$scratch/root/usr/local/bin/outrider" config check --config "$config"
  done
}
if python3 -c 'import yaml' 2>/dev/null; then
  step "the pod and the compose file name this image, and their configurations are valid" manifests
else
  skip "the pod and the compose file" "python3-yaml is not installed"
fi

# podman keeps everything in $scratch, and its bridges in a network namespace that ends with it.
cat >"$scratch/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
init_path = "/usr/bin/catatonit"
# Those of the pod, which podman 4.3 does not read.
default_sysctls = ["net.ipv4.ip_unprivileged_port_start=53"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "localhost/pause:1"
[network]
network_config_dir = "$scratch/networks"
END
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$scratch" "$scratch" \
  >"$scratch/storage.conf"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$scratch/policy.json"
export CONTAINERS_CONF=$scratch/containers.conf CONTAINERS_STORAGE_CONF=$scratch/storage.conf
mkdir -p "$scratch/networks"

for program in podman runc catatonit busybox; do
  command -v $program >/dev/null || { skip "running it" "$program is not installed"; finish; }
done
# The namespaces live as long as this program: it holds their first process's input.
mkfifo "$scratch/hold"
unshare --net --mount --propagation private sh -c "ip link set lo up; echo ready; cat <'$scratch/hold'" \
  >"$scratch/held" &
holder=$!
exec 9>"$scratch/hold"
cleanups+=("inside podman pod rm -fa -t 0" "inside podman rm -fa -t 0" "exec 9>&-" "wait $holder")
inside() { nsenter --target "$holder" --net --mount "$@" 9>&-; }

prepare() {
  until grep -q ready "$scratch/held"; do :; done
  inside podman load --signature-policy "$scratch/policy.json" -i "$file"
  inside podman image exists "localhost/outrider:$version"
  # The service, and what holds a pod's namespaces: busybox.
  mkdir -p "$scratch/busybox/bin" "$scratch/busybox/www"
  cp "$(command -v busybox)" "$scratch/busybox/bin/"
  echo 'page of orders' >"$scratch/busybox/www/index.html"
  tar -C "$scratch/busybox" -c . | inside podman import --signature-policy "$scratch/policy.json" \
    --change 'ENTRYPOINT ["/bin/busybox", "httpd", "-f", "-p", "8000", "-h", "/www"]' - localhost/orders:1
  mkdir -p "$scratch/pause"
  cp /usr/bin/catatonit "$scratch/pause/pause"
  tar -C "$scratch/pause" -c . | inside podman import --signature-policy "$scratch/policy.json" \
    --change 'ENTRYPOINT ["/pause", "-P"]' - localhost/pause:1
  inside podman run --rm --network none --entrypoint /bin/busybox localhost/orders:1 true
}
prepare >"$scratch/prepare.log" 2>&1 ||
  { skip "running it" "podman does not run here: $(tail -n 1 "$scratch/prepare.log")"; finish; }

# healthy CONTAINER: its health check passes within 10 seconds.
healthy() {
  local deadline=$((SECONDS + 10))
  until inside podman exec "$1" /usr/local/bin/outrider status 2>"$scratch/refused"; do
    [ $SECONDS -lt $deadline ] || { cat "$scratch/refused"; inside podman logs "$1"; return 1; }
  done
}

runs() {
  inside podman run -d --name alone --read-only --cap-drop all --security-opt no-new-privileges --network none \
    "localhost/outrider:$version"
  healthy alone
  inside podman exec alone /usr/local/bin/outrider doctor || [ $? = 1 ]
  inside podman stop -t 10 alone
  [ "$(inside podman inspect -f '{{.State.ExitCode}}' alone)" = 0 ]
}
step "it runs read-only, without capabilities, passes its health check, and stops with 0" runs

pair() {
  local name
  for name in left right; do
    printf '{"services": [{"name": "%s", "port": 8000}]}' $name >"$scratch/$name.json"
    inside podman run -d --name $name --read-only --cap-drop all \
      -v "$scratch/$name.json:/etc/outrider/outrider.json:ro" "localhost/outrider:$version"
  done
  healthy left
  local deadline=$((SECONDS + 10))
  until inside podman exec left /usr/local/bin/outrider resolve right; do
    [ $SECONDS -lt $deadline ] || { inside podman logs left; return 1; }
  done
  inside podman rm -f -t 0 left right
}
step "two containers on one bridge find each other over mDNS" pair

# The compose file as it is, by Docker's own program, which asks podman as if that were Docker.
composed() {
  local name=app_orders-outrider_1 deadline=$((SECONDS + 15))
  compose config --quiet
  compose up -d
  healthy $name
  until inside podman exec $name /usr/local/bin/outrider resolve orders; do
    [ $SECONDS -lt $deadline ] || { inside podman logs $name; return 1; }
  done
  inside podman exec app_orders_1 /bin/busybox wget -q -O - http://orders.svc:8000/ | grep 'page of orders'
  compose stop
  [ "$(inside podman inspect -f '{{.State.ExitCode}}' $name)" = 0 ]
  inside podman rm -f -t 0 $name
  inside podman rm -f -t 0 app_orders_1
}
compose() {
  inside env DOCKER_HOST="unix://$scratch/podman.sock" \
    docker-compose -p app -f "$PWD/packaging/compose/compose.yaml" "$@"
}
if command -v docker-compose >/dev/null; then
  nsenter --target "$holder" --net --mount \
    podman system service --time=0 "unix://$scratch/podman.sock" >"$scratch/service.log" 2>&1 9>&- &
  cleanups+=("kill $!")
  deadline=$((SECONDS + 10))
  until [ -S "$scratch/podman.sock" ] || [ $SECONDS -ge $deadline ]; do :; done
  step "docker-compose starts the compose file: beside its service, the agent answers it by name, and drains" composed
else
  skip "the compose file" "docker-compose is not installed"
fi

pod() {
  inside podman play kube --signature-policy "$scratch/policy.json" "$PWD/packaging/kubernetes/sidecar.yaml"
  healthy orders-outrider
  local deadline=$((SECONDS + 15))
  until inside podman exec orders-outrider /usr/local/bin/outrider resolve orders; do
    [ $SECONDS -lt $deadline ] || { inside podman logs orders-outrider; return 1; }
  done
  inside podman exec orders-service /bin/busybox wget -q -O - http://orders.svc:8000/ | grep 'page of orders'
  inside podman pod stop -t 15 orders
  [ "$(inside podman inspect -f '{{.State.ExitCode}}' orders-outrider)" = 0 ]
}
step "podman plays the pod, where the service reaches itself by its name, and the agent drains at the stop" pod
finish
