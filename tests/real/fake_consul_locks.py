# SPDX-License-Identifier: Apache-2.0
"""Sessions of fake_consul.py, and keys that they lock: routes, as those of fake_consul_routes.py.

A session ends between one and two of its TTLs after its last renewal; then its keys are deleted or released, and cannot
be locked again for its lock delay. Keys are kept whole: no flags, no transactions.
"""

import base64
import json
import time
import uuid

from fake_consul_state import KEYS, Refused, seconds

TTL_LEAST_S, TTL_MOST_S = 10, 86400
TTL_FACTOR = 1.5
LOCK_DELAY = "15s"


class Session:
    def __init__(self, values, node):
        self.id = str(uuid.uuid4())
        self.name, self.node = values.get("name", ""), node
        self.behavior = values.get("behavior", "release")
        self.ttl_text = values.get("ttl", "")
        self.ttl = seconds(self.ttl_text, f"Invalid Session TTL '{self.ttl_text}'") if self.ttl_text else 0
        self.lock_delay = seconds(values.get("lockdelay", LOCK_DELAY), "Request decode failed: time: invalid duration")
        if self.ttl and not TTL_LEAST_S <= self.ttl <= TTL_MOST_S:
            raise Refused(500, f"Invalid Session TTL '{self.ttl_text}', must be between [10s=24h0m0s]")
        if self.behavior not in ("release", "delete"):
            raise Refused(500, f"Invalid Behavior setting '{self.behavior}'")
        self.renew()

    def renew(self):
        self.deadline = time.monotonic() + TTL_FACTOR * self.ttl if self.ttl else None

    def document(self):
        return {"ID": self.id, "Name": self.name, "Node": self.node, "LockDelay": int(self.lock_delay * 1e9),
                "Behavior": self.behavior, "TTL": self.ttl_text, "NodeChecks": [], "ServiceChecks": None,
                "CreateIndex": 1, "ModifyIndex": 1}


def need_servers(agent, request):
    if not agent.cluster.reachable:
        raise Refused(500, "No known Consul servers")
    if "write" not in agent.rights(request):
        raise Refused(403, "Permission denied")


def create(agent, life, request, _):
    need_servers(agent, request)
    try:
        values = {name.lower(): value for name, value in json.loads(request.body or b"{}").items()}
    except ValueError as why:
        raise Refused(400, f"Request decode failed: {why}") from None
    session = Session(values, agent.node)
    agent.cluster.sessions[session.id] = session
    agent.news.notify_all()  # timers too
    return {}, {"ID": session.id}


def renew(agent, life, request, session_id):
    need_servers(agent, request)
    session = agent.cluster.sessions.get(session_id)
    if not session:
        raise Refused(404, f"Session id '{session_id}' not found")
    session.renew()
    return {}, [session.document()]


def destroy(agent, life, request, session_id):
    need_servers(agent, request)
    end(agent.cluster, session_id)
    return {}, True


def end(cluster, session_id):
    """With the lock of the cluster."""
    session = cluster.sessions.pop(session_id, None)
    held = [name for name, key in cluster.keys.items() if session and key.get("Session") == session_id]
    for name in held:
        cluster.lock_delays[name] = time.monotonic() + session.lock_delay
        if session.behavior == "delete":
            del cluster.keys[name]
        else:
            del cluster.keys[name]["Session"]
    if held:
        cluster.touch_keys()


def expire(cluster, now):
    for session in list(cluster.sessions.values()):
        if session.deadline and session.deadline <= now:
            end(cluster, session.id)


def use_key(agent, life, request, name):
    if not name and "recurse" not in request.query:
        raise Refused(400, "Missing key name")
    if request.method == "GET":
        return show(agent, life, request, name)
    need_servers(agent, request)
    if request.method == "PUT":
        return {}, put(agent.cluster, request, name)
    if request.method == "DELETE":
        return {}, delete(agent.cluster, request, name)
    raise Refused(405, f"method {request.method} not allowed")


def show(agent, life, request, name):
    from fake_consul_routes import block
    headers = block(agent, life, request, KEYS)
    keys = agent.cluster.keys
    shown = [keys[one] for one in sorted(keys) if (one.startswith(name) if "recurse" in request.query else one == name)]
    if not shown or "read" not in agent.rights(request):
        raise Refused(404, "", headers)
    return headers, shown


def put(cluster, request, name):
    key, query = cluster.keys.get(name), request.query
    wanted = query.get("acquire") or query.get("release")
    holder = key.get("Session") if key else None
    if "acquire" in query:
        if wanted not in cluster.sessions:
            raise Refused(500, f'rpc error making call: invalid session "{wanted}"')
        if holder not in (None, wanted) or cluster.lock_delays.get(name, 0) > time.monotonic():
            return False
    elif "release" in query and holder != wanted:
        return False
    elif "cas" in query and int(query["cas"]) != (key["ModifyIndex"] if key else 0):
        return False
    cluster.touch_keys()
    fresh = {"LockIndex": key["LockIndex"] if key else 0, "Key": name, "Flags": 0,
             "Value": base64.b64encode(request.body).decode() or None}
    if "acquire" in query:
        fresh.update(LockIndex=fresh["LockIndex"] + (holder != wanted), Session=wanted)
    elif holder and "release" not in query:
        fresh["Session"] = holder
    fresh.update(CreateIndex=key["CreateIndex"] if key else cluster.index, ModifyIndex=cluster.index)
    cluster.keys[name] = fresh
    return True


def delete(cluster, request, name):
    key = cluster.keys.get(name)
    if "cas" in request.query and (not key or int(request.query["cas"]) != key["ModifyIndex"]):
        return False
    if cluster.keys.pop(name, None):
        cluster.touch_keys()
    return True


ROUTES = (
    ("PUT", "/v1/session/create", create),
    ("PUT", "/v1/session/renew/", renew),
    ("PUT", "/v1/session/destroy/", destroy),
    (None, "/v1/kv/", use_key),
)
