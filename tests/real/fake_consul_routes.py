# SPDX-License-Identifier: Apache-2.0
"""Routes of fake_consul.py: functions of an agent, its life, the request, and what follows the path.

They run with the lock of the cluster, and return headers and a document, or None for an empty body.
"""

import json
import random
import re
import time

import fake_consul_locks
from fake_consul_state import (
    CATALOG, CHECK_MEMBERS, DATACENTER, SERVICE_MEMBERS, STATUSES, Check, Gone, Refused, check_meta, expect, members,
    seconds)

WAIT_S, WAIT_MAX_S = 300, 600
JITTER = 16  # a wait takes up to a sixteenth longer


def show_self(agent, life, request, _):
    if "agent" not in agent.rights(request):
        raise Refused(403, "Permission denied")
    config = {"Datacenter": DATACENTER, "NodeName": agent.node, "NodeID": "40e4a748-2192-161a-0510-9bf59fe950b5",
              "Revision": "27de64da7", "Server": True, "Version": "1.10.11"}
    member = {"Name": agent.node, "Addr": agent.address, "Port": 8301, "Tags": {"dc": DATACENTER, "role": "consul"},
              "Status": 1, "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2, "DelegateMin": 2, "DelegateMax": 5,
              "DelegateCur": 4}
    return {}, {"Config": config, "DebugConfig": {}, "Coord": None, "Member": member, "Stats": {},
                "Meta": {"consul-network-segment": ""}}


def register(agent, life, request, _):
    values = members(decode(request), SERVICE_MEMBERS)
    name = expect(values, "name", str, "")
    if not name:
        raise Refused(400, "Missing service name")
    address, port = expect(values, "address", str, ""), expect(values, "port", int, 0)
    if address in ("0.0.0.0", "::"):
        raise Refused(400, "Invalid service address")
    tagged = dict(expect(values, "taggedaddresses", dict, {}))
    if re.fullmatch(r"[\d.]+", address):
        for one in ("lan_ipv4", "wan_ipv4"):
            tagged.setdefault(one, {"Address": address, "Port": port})
    weights = {k.lower(): v for k, v in expect(values, "weights", dict, {}).items()}
    service = {"ID": expect(values, "id", str, "") or name, "Service": name, "Tags": expect(values, "tags", list, []),
               "Address": address, "TaggedAddresses": tagged, "Meta": expect(values, "meta", dict, {}), "Port": port,
               "Weights": {"Passing": weights.get("passing", 1), "Warning": weights.get("warning", 1)},
               "EnableTagOverride": expect(values, "enabletagoverride", bool, False)}
    check_meta(service["Meta"])
    bodies = [values["check"]] if values.get("check") else []
    bodies += expect(values, "checks", list, [])
    parsed = [members(body, CHECK_MEMBERS) for body in bodies]
    checks = [Check(one, service, at + 1 if len(parsed) > 1 else 0) for at, one in enumerate(parsed)]
    agent.need_write(request, name)
    now = time.monotonic()
    agent.services[service["ID"]] = service
    before = {k: c for k, c in agent.checks.items() if c.service["ID"] == service["ID"]}
    if "replace-existing-checks" in request.query:
        agent.checks = {k: c for k, c in agent.checks.items() if k not in before}
    for old in before.values():
        old.service = service
    for check in checks:
        if old := before.get(check.id):
            check.status, check.output = old.status, old.output
        check.begin(now)
        agent.checks[check.id] = check
    agent.cluster.sync(agent)
    agent.news.notify_all()  # timers too
    return {}, None


def deregister(agent, life, request, service_id):
    if service := agent.services.get(service_id):
        agent.need_write(request, service["Service"])
    agent.remove(service_id)
    return {}, None


def maintain(agent, life, request, service_id):
    if "enable" not in request.query:
        raise Refused(400, "Missing value for enable")
    wanted = request.query["enable"].lower()
    if wanted not in ("1", "t", "true", "0", "f", "false"):
        raise Refused(400, f'Invalid value for enable: "{request.query["enable"]}"')
    service = agent.services.get(service_id)
    if not service:
        raise Refused(404, f'Unknown service "{service_id}"')
    agent.need_write(request, service["Service"])
    key = f"_service_maintenance:{service_id}"
    agent.checks.pop(key, None)
    if wanted in ("1", "t", "true"):
        check = Check({"checkid": key, "name": "Service Maintenance Mode", "ttl": "1s"}, service, 0)
        check.notes = request.query.get("reason") or (
            "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.")
        check.ttl, check.kind = 0, "maintenance"
        agent.checks[key] = check
    agent.cluster.sync(agent)
    return {}, None


def update(agent, life, request, check_id):
    body = decode(request)
    values = {k.lower(): v for k, v in body.items()} if isinstance(body, dict) else {}
    status = values.get("status", "")
    if status not in STATUSES:
        raise Refused(400, f"Invalid check status: '{status}'")
    return set_check(agent, request, check_id, status, values.get("output", ""))


def report_as(status):
    return lambda agent, life, request, check_id: set_check(
        agent, request, check_id, status, request.query.get("note", ""))


def set_check(agent, request, check_id, status, output):
    check = agent.checks.get(check_id)
    if check:
        agent.need_write(request, check.service["Service"])
    if not check or not check.ttl:
        raise Refused(500, f'CheckID "{check_id}" does not have associated TTL')
    now = time.monotonic()
    check.deadline = now + check.ttl
    check.set(status, output, now)
    agent.cluster.sync(agent)
    agent.news.notify_all()
    return {}, None


def list_services(agent, life, request, _):
    shown = agent.services if "read" in agent.rights(request) else {}
    return {}, {one: {**service, "Datacenter": DATACENTER} for one, service in shown.items()}


def list_checks(agent, life, request, _):
    shown = agent.checks if "read" in agent.rights(request) else {}
    return {}, {one: check.document(agent.node) for one, check in shown.items()}


def show_service(agent, life, request, service_id):
    service = agent.services.get(service_id)
    if not service:
        raise Refused(404, f"unknown service ID: {service_id}")
    if "read" not in agent.rights(request):
        raise Refused(403, "Permission denied")
    return {}, {**service, "ContentHash": "%016x" % (hash(json.dumps(service)) % 2**64), "Datacenter": DATACENTER}


def show_health(agent, life, request, service_id):
    service = agent.services.get(service_id)
    if not service:
        raise Refused(404, f"ServiceId {service_id} not found")
    if "read" not in agent.rights(request):
        raise Refused(403, "Permission denied")
    found = [check.status for check in agent.checks.values() if check.service["ID"] == service_id]
    worst = max(found, key=STATUSES.index, default="passing")
    document = {"AggregatedStatus": worst, "Service": service}
    if worst != "passing":
        raise Refused(429 if worst == "warning" else 503, json.dumps(document, separators=(",", ":")))
    return {}, document


def health(agent, life, request, name):
    headers = block(agent, life, request, name)
    entries = agent.cluster.health(name)
    if request.query.get("passing", "false") not in ("false", "0"):
        entries = [e for e in entries if all(c["Status"] == "passing" for c in e["Checks"])]
    if "tag" in request.query:
        entries = [e for e in entries if request.query["tag"] in e["Service"]["Tags"]]
    return headers, entries if "read" in agent.rights(request) else []


def catalog_services(agent, life, request, _):
    headers = block(agent, life, request, CATALOG)
    return headers, agent.cluster.services() if "read" in agent.rights(request) else {}


def catalog_service(agent, life, request, name):
    headers = block(agent, life, request, name)
    entries = agent.cluster.health(name) if "read" in agent.rights(request) else []
    flat = [{**e["Node"], **{"Service" + k: v for k, v in e["Service"].items()},
             "ServiceName": e["Service"]["Service"], "NodeMeta": e["Node"]["Meta"]} for e in entries]
    return headers, [{k: v for k, v in e.items() if k not in ("Meta", "ServiceService")} for e in flat]


def block(agent, life, request, key):
    """Waits as `index` and `wait` ask for; headers of the answer."""
    agent.rights(request)
    query, cluster = request.query, agent.cluster
    if not re.fullmatch(r"\d*", query.get("index", "")):
        raise Refused(400, "Invalid index")
    index, wait = int(query.get("index") or 0), seconds(query.get("wait") or f"{WAIT_S}s", "Invalid wait time")
    if query.get("dc", DATACENTER) != DATACENTER:
        raise Refused(500, "No path to datacenter")
    if not cluster.reachable:
        raise Refused(500, "No known Consul servers")
    wait = min(wait or WAIT_S, WAIT_MAX_S)
    until = time.monotonic() + wait + random.uniform(0, wait / JITTER)
    seen = None  # unrelated changes can raise the index of a service without instances, and do not wake
    agent.blocked += 1
    try:
        while index and (cluster.index_of(key) <= index or seen == cluster.changes[key]):
            seen = cluster.changes[key]
            left = until - time.monotonic()
            if left <= 0:
                break
            agent.news.wait(left)
            if not agent._running(life):
                raise Gone
            if agent.state == "leaving":
                raise Refused(500, "rpc error: code = Canceled desc = context canceled")
            if not cluster.reachable:
                raise Refused(500, "rpc error making call: EOF")
    finally:
        agent.blocked -= 1
        if not agent.blocked:
            agent.news.notify_all()
    headers = {"X-Consul-Index": max(1, cluster.index_of(key)), "X-Consul-Knownleader": "true",
               "X-Consul-Lastcontact": 0}
    if agent.says_filtered and "read" not in agent.rights(request):
        headers["X-Consul-Results-Filtered-By-Acls"] = "true"
    return headers


def leader(agent, life, request, _):
    if not agent.cluster.reachable:
        raise Refused(500, "No known Consul servers")
    return {}, f"{agent.address}:8300"


def decode(request):
    try:
        return json.loads(request.body)
    except ValueError as why:
        raise Refused(400, f"Request decode failed: {why}") from None


ROUTES = (  # a path that ends with a slash has something behind it
    ("GET", "/v1/agent/self", show_self),
    ("PUT", "/v1/agent/service/register", register),
    ("PUT", "/v1/agent/service/deregister/", deregister),
    ("PUT", "/v1/agent/service/maintenance/", maintain),
    ("GET", "/v1/agent/service/", show_service),
    ("GET", "/v1/agent/health/service/id/", show_health),
    ("GET", "/v1/agent/services", list_services),
    ("GET", "/v1/agent/checks", list_checks),
    ("PUT", "/v1/agent/check/update/", update),
    ("PUT", "/v1/agent/check/pass/", report_as("passing")),
    ("PUT", "/v1/agent/check/warn/", report_as("warning")),
    ("PUT", "/v1/agent/check/fail/", report_as("critical")),
    ("GET", "/v1/health/service/", health),
    ("GET", "/v1/catalog/services", catalog_services),
    ("GET", "/v1/catalog/service/", catalog_service),
    ("GET", "/v1/status/leader", leader),
    *fake_consul_locks.ROUTES,
)


def route(agent, life, request):
    if "ns" in request.query:
        raise Refused(400, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature')
    for method, path, answer in ROUTES:
        if request.path == path or path.endswith("/") and request.path.startswith(path):
            if method and request.method != method:
                raise Refused(405, f"method {request.method} not allowed")
            with agent.news:
                return answer(agent, life, request, request.path[len(path):])
    raise Refused(404, "404 page not found\n")
