#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs with an Eureka client and no Eureka server: they register on one host, are found by their like on another
and by dig on a third, and are gone when they cancel, when they are killed, and when they say so."""

import json
import shutil
import signal

import harness
from harness import HERE, PYTHON, Skip, check, equal, wait_for

MODULES = harness.TOP / "build/npm/node_modules"
LEASE_S = 6
API = {"consul_listen": "127.0.0.1:8500", "eureka": True}
DNS = {"listen": ["127.0.0.55:53"]}


def curl(host, *words):
    status, text = host.run(["curl", "-sS", "--max-time", "5", "-w", "\n%{http_code}", *words], may_fail=True)
    equal(status, 0, f"curl: {text}")
    body, _, code = text.rpartition("\n")
    return int(code), body


def ask(host, path, *words):
    code, body = curl(host, *words, f"http://127.0.0.1:8500{path}")
    equal(code, 200, f"{path}: {body}")
    return json.loads(body) if body else None


def instances(host, app):
    """Of an application: {id: status}."""
    code, body = curl(host, f"http://127.0.0.1:8500/eureka/apps/{app}")
    if code == 404:
        return {}
    return {one["instanceId"]: one["status"] for one in json.loads(body)["application"]["instance"]}


class Poller:
    """What Netflix's client knows: everything once, then deltas, everything again when the hash differs."""

    def __init__(self, host):
        self.host, self.known, self.full = host, {}, 0
        self.fetch()

    def fetch(self):
        self.full += 1
        self.known = {}
        self.add(ask(self.host, "/eureka/apps/"))

    def add(self, document):
        for app in document["applications"]["application"]:
            for one in app["instance"]:
                key = (app["name"], one["instanceId"])
                if one["actionType"] == "DELETED":
                    self.known.pop(key, None)
                else:
                    self.known[key] = one["status"]
        return document["applications"]["apps__hashcode"]

    def hash(self):
        counts = {}
        for status in self.known.values():
            counts[status] = counts.get(status, 0) + 1
        return "".join(f"{status}_{count}_" for status, count in sorted(counts.items()))

    def poll(self):
        if self.add(ask(self.host, "/eureka/apps/delta")) != self.hash():
            self.fetch()
        return {key: status for key, status in self.known.items() if key[0] in ("WEB", "NODE")}


def scenario(world):
    a, b, c = (world.host(name) for name in "abc")
    agents = {}
    for host in (a, b, c):
        file = host.dir / "agent.json"
        file.write_text(json.dumps({"api": API if host is not b else {**API, "token": False}, "dns": DNS}))
        agents[host] = host.agent(arguments=["--config", file])
        agents[host].wait_line("event=agent_ready")
    token = (a.dir / "outrider/token").read_text().strip()
    url = f"http://agent:{token}@127.0.0.1:8500/eureka/"
    socket = ["--unix-socket", a.dir / "outrider/agent.sock"]
    status_url = "http://127.0.0.1:8500/eureka/apps/WEB/web-a"
    poller = Poller(b)
    shown = lambda: a.dig("web.svc", server="127.0.0.55").data("A")
    dug = lambda: c.dig("web.svc").data("A")

    def client(host, where, name="web-a", port=8000):
        argv = [PYTHON, HERE / "eureka_client.py", where, "WEB", name, host.ip4, port, LEASE_S]
        return host.start("client", argv)

    with world.step("a program registers on a, is fetched on b, and dug on c", vital=True) as say:
        web = client(a, url)
        web.wait_line("^register 204$")
        wait_for("web-a on b", lambda: instances(b, "WEB") == {"web-a": "UP"})
        wait_for("web on c", lambda: dug() == [a.ip4])
        equal(shown(), [a.ip4], "DNS on a")
        one = ask(b, "/eureka/v2/apps/web/web-a")["instance"]
        equal((one["app"], one["ipAddr"], one["port"]), ("WEB", a.ip4, {"$": 8000, "@enabled": "true"}), "as b has it")
        equal(one["healthCheckUrl"], f"http://{a.ip4}:8000/actuator/health", "URL on b")
        equal(one["metadata"]["management.port"], "8000", "metadata on b")
        equal(len(ask(b, "/eureka/vips/web")["applications"]["application"]), 1, "by VIP address")
        equal(ask(b, "/eureka/instances/web-a")["instance"]["vipAddress"], "web", "by id")
        say(one["dataCenterInfo"]["name"])

    with world.step("b's poller learns of it by the delta alone"):
        wait_for("web-a by delta", lambda: poller.poll() == {("WEB", "web-a"): "UP"})
        equal(poller.full, 1, "full fetches")

    with world.step("the commands name the door"):
        text = a.outrider("instances", "web")[1]
        check("here, by eureka" in text, text)
        check("registered here through eureka" in a.outrider("why", "web")[1], a.outrider("why", "web")[1])

    with world.step("changes over TCP need the token, reading does not"):
        equal(curl(a, "-X", "DELETE", status_url)[0], 401, "without")
        equal(curl(a, "-u", "x:wrong", "-X", "DELETE", status_url)[0], 401, "with another one")
        equal(curl(a, status_url)[0], 200, "reading")

    with world.step("XML is refused with a sentence"):
        code, body = curl(a, "-H", "Accept: application/xml", "http://127.0.0.1:8500/eureka/apps")
        equal(code, 406, body)
        check("XML is not supported" in body, body)
        code, body = curl(a, *socket, "-H", "Content-Type: application/xml", "-d", "<instance/>",
                          "http://agent/eureka/apps/WEB")
        equal(code, 415, body)
        check("XML is not supported" in body, body)

    with world.step("an overridden status takes it out everywhere, and back"):
        equal(curl(a, *socket, "-X", "PUT", "http://agent/eureka/apps/WEB/web-a/status?value=OUT_OF_SERVICE")[0], 200,
              "override")
        equal(instances(a, "WEB"), {"web-a": "OUT_OF_SERVICE"}, "on a")
        wait_for("nothing on c", lambda: dug() == [])
        wait_for("b knows", lambda: poller.poll().get(("WEB", "web-a")) != "UP")
        web.wait_line("^renew 200$", since=web.mark())
        equal(instances(a, "WEB"), {"web-a": "OUT_OF_SERVICE"}, "after a renewal")
        equal(curl(a, *socket, "-X", "DELETE", "http://agent/eureka/apps/WEB/web-a/status?value=UP")[0], 200, "end")
        wait_for("web on c", lambda: dug() == [a.ip4])
        wait_for("b knows", lambda: poller.poll().get(("WEB", "web-a")) == "UP")

    with world.step("metadata that is added reaches the other host"):
        equal(curl(a, *socket, "-X", "PUT", "http://agent/eureka/v2/apps/WEB/web-a/metadata?color=red")[0], 200, "put")
        wait_for("red on b",
                 lambda: ask(b, "/eureka/apps/WEB/web-a")["instance"]["metadata"].get("color") == "red")

    with world.step("npm's eureka-js-client registers in its shape, renews, polls, deregisters"):
        if not (MODULES / "eureka-js-client").is_dir() or not shutil.which("node"):
            raise Skip("not installed: tests/real/run does it where npm and its registry are to be had")
        argv = [shutil.which("node"), HERE / "eureka_client.js", 8500, b.ip4]
        node = b.start("node", argv, env={"NODE_PATH": str(MODULES)})
        node.wait_line("^started$")
        node.wait_line(f'"web":\\["web-a UP {a.ip4}:8000"\\],"own":\\["node-1"\\]')
        node.wait_line("^heartbeat$")
        wait_for("node on a", lambda: instances(a, "NODE") == {"node-1": "UP"})
        one = ask(a, "/eureka/apps/NODE")["application"]["instance"][0]
        equal((one["hostName"], one["statusPageUrl"], one["port"]["@enabled"]),
              ("node-host", "http://node-host/", "true"), "as a has it")
        wait_for("node on c", lambda: c.dig("node.svc").data("A") == [b.ip4])
        node.send(signal.SIGTERM)
        node.wait_line("^stopped$")
        equal(instances(b, "NODE"), {}, "after it has deregistered")
        wait_for("nothing on c", lambda: c.dig("node.svc").data("A") == [])

    with world.step("the agent is killed and starts again under it: registered, and no renewal is refused"):
        mark = web.mark()
        agents[a].kill()
        agents[a] = a.agent(arguments=["--config", a.dir / "agent.json"])
        agents[a].wait_line("event=state_restored")
        agents[a].wait_line("event=agent_ready")
        equal(instances(a, "WEB"), {"web-a": "UP"}, "right after the start")
        web.wait_line("^renew 200$", since=mark)
        wait_for("web on c", lambda: dug() == [a.ip4])
        check("renew 404" not in web.text(), web.text())

    with world.step("killed: gone by the end of its lease") as say:
        web.kill()
        wait_for("nothing on a", lambda: shown() == [], deadline=2 * LEASE_S + 5)
        wait_for("nothing on c", lambda: dug() == [])
        wait_for("nothing in a's list", lambda: instances(a, "WEB") == {}, deadline=30)
        wait_for("nothing by delta on b", lambda: poller.poll() == {}, deadline=30)

    with world.step("cancelled: gone at once"):
        web = client(a, url, "web-b", 8001)
        web.wait_line("^register 204$")
        wait_for("web-b on b", lambda: instances(b, "WEB") == {"web-b": "UP"})
        web.send(signal.SIGTERM)
        web.wait_line("^cancel 200$")
        equal((shown(), instances(a, "WEB")), ([], {}), "on a")
        wait_for("nothing on b", lambda: instances(b, "WEB") == {}, deadline=3)
        wait_for("nothing on c", lambda: dug() == [], deadline=3)


harness.main(scenario)
