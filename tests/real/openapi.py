#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The API by its own description: the OpenAPI document with an independent validator and a client that is generated
from it, the examples of outrider-api(7), bodies in chunks, and a crowd of clients at once."""

import json
import pathlib
import shutil
import subprocess

import harness
from harness import HERE, PYTHON, Skip, check, equal

SCHEMA = pathlib.Path("/usr/share/openapi-specification/schemas/v3.0/schema.json")
MANUAL = harness.TOP / "man/outrider-api.7"
QUERIES, STREAMS, RATE, SECONDS = 1_000, 500, 200, 3
SLOW_MS = 10_000  # a modest bound: the machine may be busy, and a client that is kept out fails anyway
CONFIG = {
    "api": {"consul_listen": "127.0.0.1:8500", "token": False, "host_names": ["consul"]},
    "dns": {"listen": ["127.0.0.55:53"]},
    "mdns": {"provider": "off"},
}


def examples():
    """The commands of the manual page, as a reader would copy them."""
    lines, command = [], []
    for line in MANUAL.read_text().split("\n"):
        if line.startswith("$ "):
            command = [line[2:]]
        elif command and line.startswith("    "):
            command.append(line)
        elif command:
            lines.append("\n".join(command))
            command = []
        if command and not (command[-1].endswith("\\e") or command[-1].endswith("|")):
            lines.append("\n".join(command))
            command = []
    return [line.replace("\\e", "\\") for line in lines]


def scenario(world):
    a = world.host("a")
    agent = a.agent(CONFIG)
    agent.wait_line("event=agent_ready")
    socket = a.dir / "outrider/agent.sock"
    env = {"SOCKET": str(socket)}

    def curl(*words):
        command = ["curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", socket, *words]
        status, text = a.run(command, may_fail=True)
        equal(status, 0, text)
        said, _, code = text.rpartition("\n")
        return int(code), said

    document = json.loads(curl("http://agent/openapi.json")[1])

    with world.step("the document is valid for the schema of OpenAPI 3.0") as say:
        if not SCHEMA.exists():
            raise Skip("openapi-specification is not there")
        try:
            import jsonschema
        except ImportError:
            raise Skip("python3-jsonschema is not there") from None
        validator = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))
        equal([error.message[:200] for error in validator.iter_errors(document)], [], "errors")
        say(f"{len(document['paths'])} paths")

    with world.step("a client that is generated from it registers, finds, selects, deregisters") as say:
        if subprocess.run(["perl", "-MOpenAPI::Client", "-e1"], capture_output=True).returncode != 0:
            raise Skip("libopenapi-client-perl is not there")
        _, text = a.run(["perl", HERE / "openapi_client.pl", "http://127.0.0.1:8500"])
        said = json.loads(text.splitlines()[-1])
        equal(said["errors"], [], "of the document")
        equal(said["register"], {"status": 200, "json": {"registered": ["perl-1"]}}, "register")
        equal(said["services"]["json"]["services"][0]["name"], "perl", "services")
        equal(said["instances"]["json"]["instances"][0]["id"], "perl-1", "instances")
        equal(said["select"]["status"], 200, "select")
        equal(said["missing"]["status"], 400, "a path parameter is missing")
        equal(said["unknown"]["status"], 404, "an unknown id")
        equal(said["deregister"], {"status": 200, "json": {}}, "deregister")
        say(f"{said['operations']} paths")

    with world.step("every example of outrider-api(7) works") as say:
        commands = examples()
        check(len(commands) >= 12, f"only {len(commands)} examples")
        for command in commands:
            status, text = a.run(["sh", "-c", command], may_fail=True, env=env)
            check(status == 0 and not text.startswith('{"error"'), f"{command}\n{status}: {text}")
        say(f"{len(commands)} commands")

    with world.step("outrider api lists the routes; register prints ids; a heartbeat is no probe"):
        status, text = a.outrider("api")
        equal(status, 0, text)
        for path in document["paths"]:
            check(path in text, f"{path} is missing")
        file = a.dir / "jobs.json"
        service = {"name": "jobs", "id": "jobs-1", "port": 1, "checks": [{"ttl": "30s"}]}
        file.write_text(json.dumps({"services": [service, {"name": "plain", "id": "plain-1"}]}))
        equal(a.outrider("register", file), (0, "jobs-1\nplain-1\n"), "register")
        equal(a.outrider("pass", "jobs-1")[0], 0, "pass")
        text = a.outrider("why", "jobs")[1]
        check("fails without a heartbeat in" in text and "next probe" not in text, text)
        status, text = a.outrider("resolve", "jobs", "--strategy", "consistent_hash")
        check(status == 2 and "needs --key" in text, f"{status}: {text}")

    with world.step("bodies in chunks: curl, Python, Node"):
        url = "http://agent/v1/outrider/register"
        said = a.run(["sh", "-c", f"echo '{json.dumps(service)}' | curl -sS --unix-socket {socket} -T - {url}"])[1]
        equal(json.loads(said), {"registered": ["jobs-1"]}, "curl")
        python = (
            "import http.client,json;c=http.client.HTTPConnection('127.0.0.1',8500);"
            f"b=json.dumps({service!r}).encode();"
            "c.request('PUT','/v1/outrider/register',iter([b[:9],b[9:]]),encode_chunked=True,"
            "headers={'Transfer-Encoding':'chunked','Host':'consul'});print(c.getresponse().read().decode())"
        )
        equal(json.loads(a.run([PYTHON, "-c", python])[1]), {"registered": ["jobs-1"]}, "Python")
        if not shutil.which("node"):
            raise Skip("node is not there")
        node = (
            "const to={port:8500,method:'PUT',path:'/v1/outrider/register'};"
            "const r=require('http').request(to,a=>a.pipe(process.stdout));"
            f"const b=JSON.stringify({json.dumps(service)});r.write(b.slice(0,9));setImmediate(()=>r.end(b.slice(9)));"
        )
        equal(json.loads(a.run([shutil.which("node"), "-e", node])[1]), {"registered": ["jobs-1"]}, "Node")

    with world.step("a mistake is told with its place and what helps"):
        for words, code, wanted in (
            (["http://agent/v1/outrider/instances?tags=v1"], 400, 'did you mean \\"tag\\"?'),
            (["-X", "PUT", "-d", '{"name": }', url], 400, "line 1, column 10"),
            (["-X", "PUT", url], 400, "the body is empty"),
            (["http://agent/v9"], 404, "/openapi.json"),
            (["-X", "PUT", "http://agent/healthz"], 405, "use GET"),
        ):
            status, text = curl(*words)
            check(status == code and wanted in text, f"{words}: {status} {text}")

    with world.step(f"{QUERIES} blocking queries, {STREAMS} streams and {RATE} registrations a second at once") as say:
        before = agent.cpu_seconds()
        crowd = [PYTHON, HERE / "api_crowd.py", socket, SECONDS, QUERIES, STREAMS, RATE]
        said = json.loads(a.run([*map(str, crowd)], timeout=200)[1].splitlines()[-1])
        equal((said["waiting"], said["watching"]), (QUERIES, STREAMS), "waiting and watching")
        equal((said["registered"], said["refused"]), (RATE * SECONDS, 0), "registered and refused")
        equal(said["ended"], 0, "connections that the agent closed")
        check(said["answers"] > 0 and said["events"] > 0, f"{said}")
        check(said["p99_ms"] < SLOW_MS, f"{said}")
        delays = f"written in {said['p50_ms']} ms, 99 % in {said['p99_ms']} ms"
        used = f"{agent.cpu_seconds() - before:.1f} s of CPU"
        say(f"{delays}; {used}; {said['answers']} answers, {said['events']} events")

    with world.step("four times the registrations cost a list of checks no more than eight times") as say:
        script = (
            "import http.client,json,pathlib,socket,sys\n"
            "c = http.client.HTTPConnection('agent')\n"
            "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
            "def ask(*words): c.request(*words); return c.getresponse().read()\n"
            "def spent(): return int(pathlib.Path(f'/proc/{sys.argv[2]}/schedstat').read_text().split()[0])\n"
            "def service(i): return {'name': f's{i}', 'id': f's{i}', 'checks': [{'ttl': '600s'}]}\n"
            "for begin, count in ((0, 1000), (1000, 4000)):\n"
            "    for i in range(begin, count, 250):\n"
            "        text = json.dumps({'services': [service(n) for n in range(i, i + 250)]})\n"
            "        ask('PUT', '/v1/outrider/register', text)\n"
            "    for path in ('/v1/agent/checks', '/v1/outrider/checks'):\n"
            "        before = spent()\n"
            "        for _ in range(5): ask('GET', path)\n"
            "        print(spent() - before)\n"
        )
        _, text = a.run([PYTHON, "-c", script, str(socket), str(agent.pid)], timeout=120)
        few, ours_few, many, ours_many = map(int, text.split())
        check(many < 8 * few and ours_many < 8 * ours_few, text)
        say(f"{many / few:.1f} and {ours_many / ours_few:.1f} times")

    with world.step("hundreds of clients that send nothing, or wait, keep no heartbeat out"):
        script = (
            "import resource,socket,sys\n"
            "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))\n"
            "def to(text):\n"
            "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(text); return s\n"
            "idle = [to(b'') for _ in range(600)]\n"
            "end = b' HTTP/1.1\\r\\nHost: a\\r\\n'\n"
            "wait = [to(b'GET /v1/outrider/watch/jobs' + end + b'\\r\\n') for _ in range(600)]\n"
            "begun = b'PUT /v1/outrider/register' + end + b'Content-Length: 9\\r\\n\\r\\n'\n"
            "half = [to(begun) for _ in range(600)]\n"
            "beat = to(b'PUT /v1/outrider/check/pass/jobs-1' + end + b'\\r\\n')\n"
            "print(beat.recv(100)[9:12].decode())\n"
        )
        a.run(["prlimit", "--pid", str(agent.pid), "--nofile=1024:"])
        equal(a.run([PYTHON, "-c", script, str(socket)], timeout=60)[1].strip(), "200", "the heartbeat")

    with world.step("all of it behind it, the agent answers and stops in order"):
        equal(curl("http://agent/healthz"), (200, "ok\n"), "healthz")
        equal(agent.stop(deadline=30), 0, "exit status")


harness.main(scenario)
