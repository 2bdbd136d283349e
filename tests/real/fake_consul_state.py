# SPDX-License-Identifier: Apache-2.0
"""What fake_consul.py keeps: checks of an agent, the catalog of the servers, and how a registration is read."""

import collections
import re
import threading

DATACENTER = "dc1"
FRESH_INDEX = 5  # of a server with an empty data directory
CATALOG = None  # key of what watches all services, where others watch a name
KEYS = "/keys"  # of what watches keys: no service has this name
STATUSES = ("passing", "warning", "critical")
META_PAIRS, META_KEY_BYTES, META_VALUE_BYTES = 64, 128, 512
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}

# Members of a registration and of its checks, in lower case and without underscores, as Go matches them.
SERVICE_MEMBERS = set(
    "kind id name tags address taggedaddresses meta port socketpath check checks weights token enabletagoverride"
    " proxy connect namespace".split())
CHECK_MEMBERS = set(
    "id checkid name notes status scriptargs args http header method body disableredirects tcp interval"
    " outputmaxsize dockercontainerid shell grpc grpcusetls h2ping tlsservername tlsskipverify timeout ttl"
    " aliasnode aliasservice successbeforepassing failuresbeforewarning failuresbeforecritical"
    " deregistercriticalserviceafter".split())
PROBED = ("http", "tcp", "grpc", "h2ping", "args", "scriptargs", "dockercontainerid")
KIND_OF = {"http": "http", "tcp": "tcp", "grpc": "grpc", "h2ping": "h2ping", "args": "script", "scriptargs": "script",
           "dockercontainerid": "docker", "aliasservice": "alias"}


class Refused(Exception):
    """An answer that is no success; its body is text."""

    def __init__(self, status, text, headers=None):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers or {}


class Gone(Exception):
    """The process has been killed meanwhile: no answer."""


def seconds(value, otherwise):
    """A duration as Go reads it: "1m30s", or a number of nanoseconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1e9
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise Refused(400, otherwise)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def members(value, known):
    """Members of an object by the names in `known`; Go does not mind case, and refuses other names."""
    if not isinstance(value, dict):
        raise Refused(400, f"Request decode failed: json: cannot unmarshal {type(value).__name__} into Go value")
    found = {}
    for name, one in value.items():
        folded = name.lower().replace("_", "")
        if folded not in known:
            raise Refused(400, f'Request decode failed: json: unknown field "{name}"')
        if one is not None:
            found[folded] = one
    return found


def expect(values, name, kind, default):
    value = values.get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool:
        raise Refused(400, f"Request decode failed: json: cannot unmarshal value into Go struct field .{name}")
    return value


def check_meta(meta):
    why = f"Node metadata cannot contain more than {META_PAIRS} key/value pairs" if len(meta) > META_PAIRS else None
    for key, value in meta.items():
        if not isinstance(value, str):
            raise Refused(400, "Request decode failed: json: cannot unmarshal value into Go struct field .Meta")
        said = (
            "Key cannot be blank" if not key
            else "Key contains invalid characters" if not re.fullmatch(r"[a-zA-Z0-9_-]+", key)
            else f"Key is too long (limit: {META_KEY_BYTES} characters)" if len(key) > META_KEY_BYTES
            else "Key prefix 'consul-' is reserved for internal use" if key.startswith("consul-")
            else f"Value is too long (limit: {META_VALUE_BYTES} characters)"
            if len(value.encode()) > META_VALUE_BYTES else None)
        if said and not why:
            why = f"Couldn't load metadata pair ('{key}', '{value}'): {said}"
    if why:
        raise Refused(400, f"Invalid Service Meta: {why}")


class Check:
    """A check of a service, as its agent keeps it."""

    def __init__(self, values, service, number):
        self.id = values.get("checkid") or values.get("id") or f"service:{service['ID']}" + (
            f":{number}" if number else "")
        self.name = values.get("name") or f"Service '{service['Service']}' check"
        self.notes = values.get("notes", "")
        self.status, self.output = values.get("status") or "critical", ""
        duration = lambda name: seconds(values[name], f'Request decode failed: time: invalid duration "{values[name]}"')
        self.ttl = duration("ttl") if values.get("ttl") else 0
        interval = duration("interval") if values.get("interval") else 0
        probed = [name for name in PROBED if values.get(name)]
        self.kind = next((KIND_OF[name] for name in KIND_OF if values.get(name)), "ttl")
        after = "deregistercriticalserviceafter"
        self.reap_after = duration(after) if values.get(after) else 0
        self.service, self.deadline, self.critical_since = service, None, None
        if self.status not in STATUSES:
            raise Refused(400, "Status for checks must 'passing', 'warning', 'critical'")
        if interval and self.ttl:
            raise Refused(400, "Invalid check: Interval and TTL cannot both be specified")
        if probed and not interval:
            raise Refused(400, "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, or TCP checks")
        if self.kind == "ttl" and not self.ttl:
            raise Refused(400, "Invalid check: TTL must be > 0 for TTL checks")

    def begin(self, now):
        self.deadline = now + self.ttl if self.ttl else None
        self.critical_since = now if self.status == "critical" else None

    def set(self, status, output, now):
        if status != "critical":
            self.critical_since = None
        elif self.critical_since is None:
            self.critical_since = now
        self.status, self.output = status, output

    def document(self, node):
        return {"Node": node, "CheckID": self.id, "Name": self.name, "Status": self.status, "Notes": self.notes,
                "Output": self.output, "ServiceID": self.service["ID"], "ServiceName": self.service["Service"],
                "ServiceTags": self.service["Tags"], "Type": self.kind, "Interval": "", "Timeout": "",
                "ExposedPort": 0, "Definition": {}}


class Stored:
    """A document of the catalog, with the indexes of its first and last change."""

    def __init__(self, document, index):
        self.document, self.created, self.changed = document, index, index

    def shown(self):
        return {**self.document, "CreateIndex": self.created, "ModifyIndex": self.changed}


class Cluster:
    """The servers. `news` guards everything here and in the agents, and wakes who waits."""

    def __init__(self):
        self.news = threading.Condition(threading.RLock())
        self.reachable = True
        self.agents = {}  # by node
        self.wipe()

    def wipe(self):
        """An empty data directory: indexes begin again."""
        with self.news:
            self.index = self.catalog_index = FRESH_INDEX
            self.extinction_index = 1  # of the last service that lost its last instance
            self.entries = {}  # (node, service id): (Stored service, {check id: Stored})
            self.indexes = {}  # by name of a service
            self.changes = collections.Counter()  # by name of a service, and for CATALOG
            self.dead_nodes = set()
            self.sessions, self.keys, self.lock_delays = {}, {}, {}  # fake_consul_locks.py
            self.keys_index = 1
            self.news.notify_all()

    def set_reachable(self, reachable):
        """Whether agents reach a server; what they were told meanwhile is written when they do again."""
        with self.news:
            self.reachable = reachable
            for agent in self.agents.values():
                self.sync(agent)
            self.news.notify_all()

    def set_alive(self, node, alive):
        """What the other members think of a node: its serfHealth."""
        with self.news:
            (self.dead_nodes.discard if alive else self.dead_nodes.add)(node)
            self.index += 1
            for name in {s.document["Service"] for (n, _), (s, _) in self.entries.items() if n == node}:
                self._touch(name)

    def jump(self, index):
        """The next change gets an index beyond this one."""
        with self.news:
            self.index = max(self.index, index)

    def _touch(self, name):
        self.indexes[name] = self.index
        self.changes[name] += 1
        self.news.notify_all()

    def touch_keys(self):
        self.index += 1
        self.keys_index = self.index
        self.changes[KEYS] += 1
        self.news.notify_all()

    def _touch_catalog(self):
        self.catalog_index = self.index
        self.changes[CATALOG] += 1

    def _remove(self, key):
        name = self.entries.pop(key)[0].document["Service"]
        self.index += 1
        self._touch(name)
        self._touch_catalog()
        if not self.named(name):
            self.extinction_index = self.index
            del self.indexes[name]

    def sync(self, agent):
        """Writes what differs between an agent and the catalog. Output alone is not told."""
        if not self.reachable:
            return
        for key in [key for key in self.entries if key[0] == agent.node]:
            service = agent.services.get(key[1])
            if not service or service["Service"] != self.entries[key][0].document["Service"]:
                self._remove(key)
        for service in agent.services.values():
            self._sync_service(agent, service)

    def _sync_service(self, agent, service):
        key, name = (agent.node, service["ID"]), service["Service"]
        if key not in self.entries or self.entries[key][0].document != service:
            self.index += 1
            if key in self.entries:
                self.entries[key][0].document, self.entries[key][0].changed = dict(service), self.index
            else:
                self.entries[key] = (Stored(dict(service), self.index), {})
            self._touch(name)
            self._touch_catalog()
        checks = self.entries[key][1]
        wanted = {c.id: c.document(agent.node) for c in agent.checks.values() if c.service["ID"] == service["ID"]}
        for one in [one for one in checks if one not in wanted]:
            self.index += 1
            del checks[one]
            self._touch(name)
        for one, document in wanted.items():
            known = checks.get(one)
            if known and {**known.document, "Output": ""} == {**document, "Output": ""}:
                continue
            self.index += 1
            if known:
                known.document, known.changed = document, self.index
            else:
                checks[one] = Stored(document, self.index)
            self._touch(name)

    def named(self, name):
        return [self.entries[key] + (key[0],) for key in sorted(self.entries)
                if self.entries[key][0].document["Service"] == name]

    def index_of(self, key):
        if key is CATALOG:
            return self.catalog_index
        if key is KEYS:
            return self.keys_index
        return self.indexes.get(key, self.extinction_index)

    def services(self):
        found = {"consul": []}
        for service, _ in self.entries.values():
            tags = found.setdefault(service.document["Service"], [])
            tags += [tag for tag in service.document["Tags"] if tag not in tags]
        return found

    def health(self, name):
        return [self._entry(*one) for one in self.named(name)]

    def _entry(self, service, checks, node):
        address = self.agents[node].address
        alive = node not in self.dead_nodes
        serf = {"Node": node, "CheckID": "serfHealth", "Name": "Serf Health Status",
                "Status": "passing" if alive else "critical", "Notes": "",
                "Output": "Agent alive and reachable" if alive else "Agent not live or unreachable",
                "ServiceID": "", "ServiceName": "", "ServiceTags": [], "Type": "", "Interval": "", "Timeout": "",
                "ExposedPort": 0, "Definition": {}, "CreateIndex": FRESH_INDEX, "ModifyIndex": FRESH_INDEX}
        tagged = {"lan": address, "lan_ipv4": address, "wan": address, "wan_ipv4": address}
        return {"Node": {"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": node, "Address": address,
                         "Datacenter": DATACENTER, "TaggedAddresses": tagged, "Meta": {"consul-network-segment": ""},
                         "CreateIndex": FRESH_INDEX, "ModifyIndex": FRESH_INDEX},
                "Service": {**service.shown(), "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}}, "Connect": {}},
                "Checks": [serf] + [checks[one].shown() for one in sorted(checks)]}
