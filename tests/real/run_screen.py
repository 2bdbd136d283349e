#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run` and `outrider top` on a terminal (tmux): every address that is shown works from where it is shown,
the QR code is read, keys and the program share the terminal; and wait, open and --need."""

import json
import re
import shutil
import subprocess
import time

import harness
from harness import PYTHON, Skip, check, equal
from tmux import Tmux

HELLO = harness.TOP / "packaging/examples/hello.py"
# Healthy while the file says so; says what it reads and what it was given.
PROGRAM = """
import http.server, os, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        state = open(sys.argv[1]).read().strip()
        self.send_response(200 if state == "ok" or self.path != "/health" else 503)
        self.end_headers()
        self.wfile.write(state.encode())
    def log_message(self, *args): pass
def read():
    for line in sys.stdin:
        if line.strip() == "die":
            print("one\\ntwo", file=sys.stderr, flush=True)
            print("boom: no database", file=sys.stderr, flush=True)
            os._exit(7)
        print("read " + line.strip(), flush=True)
if "deaf" not in sys.argv: threading.Thread(target=read, daemon=True).start()
print(*(f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith("OUTRIDER_")), flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
URL = r"https?://[^\s)]+"


def read_qr(world, screen):
    """What zbarimg reads in the half blocks of a screen."""
    rows = []
    # The quiet zone is of blanks, which tmux cuts off at the right.
    lines = [line for line in screen.splitlines() if line and not set(line) - set(" ▀▄█")]
    width = max(len(line) for line in lines)
    for line in lines:
        line = line.ljust(width + 4)
        for dark in ("▀█", "▄█"):
            rows.append([0 if character in dark else 255 for character in line])
    white = [[255] * len(rows[0])] * 8
    scale = 8
    rows = white + rows + white
    pixels = b"".join(bytes(pixel for pixel in row for _ in range(scale)) * scale for row in rows)
    picture = world.dir / "qr.pgm"
    picture.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale) + pixels)
    return subprocess.run(["zbarimg", "--raw", "-q", picture], stdout=subprocess.PIPE, check=False,
                          text=True).stdout.strip()


def scenario(world):
    if not shutil.which("tmux"):
        raise Skip("no tmux")
    a, b = world.host("a"), world.host("b")
    project = a.dir / "My_Shop"
    project.mkdir()
    state = a.dir / "state"
    state.write_text("ok")
    fast = ["--set", "lifecycle.drain=0s"]
    run = ["env", "-C", project, world.outrider, "run", *fast]
    hello = [*run, "--health", "/health", "--", PYTHON, "-c", PROGRAM.replace("'", '"'), state]
    agent = b.agent({"dns": {"listen": ["127.0.0.55:53"]}, "lifecycle": {"drain": "0s"},
                     "services": [{"name": "db", "port": 5432, "protocol": "postgresql"}]})
    agent.wait_line("agent_ready")

    def probe():
        """At once; the interval of its check is ten seconds."""
        a.run(["curl", "-sS", "-X", "PUT", "--unix-socket", a.dir / "outrider/agent.sock",
               f"http://agent/v1/outrider/probe/{instance}"])

    def curl(host, url):
        return host.run(["curl", "-sS", "--max-time", "5", "-o", "/dev/null", "-H", "Accept: text/html",
                         "-w", "%{http_code}", url])[1]

    with world.step("the block: named after the folder; every address works where it is shown", vital=True) as say:
        terminal = Tmux(a, hello)
        terminal.wait(r"^ +my-shop  passing")
        screen = terminal.wait(r"(?s)my-shop  passing.*Ctrl-C stops")[0]
        shown = {line.split()[0]: re.findall(URL, line) for line in screen.splitlines() if re.search(URL, line)}
        check({"open", "here", "LAN", "page"} <= set(shown), screen)
        for label, urls in shown.items():
            for url in urls:
                equal(curl(b if label == "LAN" else a, url), "200", url)
        say(", ".join(url for urls in shown.values() for url in urls))
        check("outrider doctor" in screen, "no word about the name")
        equal(len(shown["LAN"]), 2, "addresses on the LAN")
        check("instance_added" not in terminal.screen(), "the log is on")
        check("h, then Enter: keys" in screen, screen)
    port = re.search(r"127\.0\.0\.1:(\d+)", shown["here"][0])[1]
    with world.step("the program gets its name, its URL and the agent's socket"):
        told = terminal.wait(r"OUTRIDER_NAME=my-shop OUTRIDER_SOCKET=(\S+) OUTRIDER_URL=(\S+)")
        equal(told[2], "http://my-shop.localhost:5380", "OUTRIDER_URL")
        check("my-shop" in a.outrider("services", "--socket", told[1])[1], "not its agent's socket")
    with world.step("what is typed is the program's first: it reads a single letter, too"):
        terminal.type("q", "Enter")
        terminal.wait("^read q$")
        terminal.type("more words", "Enter")
        terminal.wait("^read more words$")
        check("▀" not in terminal.screen(), "the key was taken from the program")
    instance = json.loads(a.outrider("instances", "my-shop", "--json")[1])["instances"][0]["id"]
    with world.step("a change of health is one line, with the reason"):
        state.write_text("db down")
        terminal.wait(r"my-shop  critical since \d\d:\d\d:\d\d . .*HTTP 503: db down", probe)
        state.write_text("ok")
        terminal.wait(r"my-shop  passing since", probe)
    with world.step("a program that dies: its status, below its last words, which stand there once"):
        terminal.type("die", "Enter")
        terminal.wait("^one\ntwo\nboom: no database\n.*\noutrider: .*python3.* ended with status 7\nstatus 7$")
        equal(terminal.screen().count("boom"), 1, "last words")
        terminal.close()
    with world.step("the next start has the same port, and the name where this host's resolver finds it"):
        deaf = [*run, "--set", "dns.listen=127.0.0.55:53", "--health", "/health", "--", PYTHON, "-c",
                PROGRAM.replace("'", '"'), state, "deaf"]
        terminal = Tmux(a, deaf)
        screen = terminal.wait(r"(?s)my-shop  passing.*Ctrl-C stops")[0]
        check(f"http://my-shop.svc:{port}/" in screen, screen)
        equal(curl(a, f"http://my-shop.svc:{port}/"), "200", "by name")
        # Those that other commands know; the host's generated name is none of them.
        shown = re.findall(URL, screen[screen.index("passing"):])
        known = [url for url in shown if not re.search(r"//a-\w+\.local:", url)]
    with world.step("keys that no program reads: their list, the reasons, the QR code as zbarimg reads it") as say:
        for _ in range(3):  # people divide what is shown with it
            terminal.type("Enter")
            harness.wait_for("the key", lambda: terminal.unread() == 0)
        terminal.type("h", "Enter")
        terminal.wait("a letter, then Enter: w why, l log, q QR code, d drain")
        terminal.type("w", "Enter")
        terminal.wait(r"my-shop\.svc answers with 1 of 1 known instance")
        terminal.type("q", "Enter")
        terminal.wait("▀")
        if not shutil.which("zbarimg"):
            raise Skip("no zbarimg")
        code = read_qr(world, terminal.wait(r"(?s)▀.*http://")and terminal.screen())
        equal(code, f"http://{a.ip4}:{port}/", "QR code")
        equal(curl(b, code), "200", code)
        say(code)
    with world.step("words that no program reads are left to it, and a line says what that means for the keys"):
        terminal.type("a word", "Enter")
        terminal.wait("what was typed waits for the program; there are no keys until it reads that")
    with world.step("top: live, failing services first; q gives the terminal back as it was"):
        top = Tmux(a, [world.outrider, "top"], lines=24)
        top.wait(r"^my-shop +1 of 1 +passing")
        top.wait(r"^db +1 of 1")
        state.write_text("db down")
        top.wait(r"^my-shop +0 of 1 +critical .*HTTP 503: db down", probe)
        check(top.screen().index("my-shop") < top.screen().index("db  "), top.screen())
        state.write_text("ok")
        top.wait(r"^my-shop +1 of 1 +passing", probe)
        late = b.dir / "late.json"
        late.write_text(json.dumps({"name": "late", "id": "late", "port": 9, "checks": [
            {"tcp": f"{b.ip4}:9", "interval": "1s", "deregister_critical_after": "1s"}]}))
        equal(b.outrider("register", late)[0], 0, "register")
        other = Tmux(b, [world.outrider, "top"], lines=24)
        other.wait(r"^late +0 of 1 +critical .*cannot connect")
        listed = lambda: json.loads(b.outrider("services", "--json")[1])["services"]
        harness.wait_for("dropped", lambda: any("dropped" in one for one in listed()))
        other.wait(r"^late +0 of 1 +critical .*cannot connect")
        other.wait(r"^db +1 of 1 +passing .* no check")
        check(not re.search("(?m)^my-shop.*no check", other.screen()), other.screen())
        again = b.outrider("top")[1]
        check(re.search("(?m)^late +0 of 1 +critical", again), again)
        equal(b.outrider("deregister", "late")[0], 0, "deregister")
        harness.wait_for("the end of late", lambda: "late" not in other.screen())
        other.close()
        top.type("q")
        top.wait("^status 0$")
        check("SERVICE" not in top.screen(), "the screen is not restored")
        top.close()
    with world.step("wait: 0 when it is healthy, 4 for what no agent knows, 1 for too few"):
        equal(a.outrider("wait", "db")[0], 0, "db")
        status, said = a.outrider("wait", "nothing", "--timeout", "1s")
        equal(status, 4, said)
        status, said = a.outrider("wait", "db", "--count", "2", "--timeout", "1s")
        equal(status, 1, said)
        check("1 of 2 healthy" in said, said)
        equal(a.outrider("wait", "my-shop", "--timeout", "30s")[0], 0, "it comes back")
    with world.step("wait for several: at the same time, within one timeout; what is missing is named"):
        equal(a.outrider("wait", "db", "my-shop,db.svc", "--timeout", "5s")[0], 0, "both")
        begun = time.monotonic()
        status, said = a.outrider("wait", "nothing", "db", "my-shop", "never", "--timeout", "1s")
        took = time.monotonic() - begun
        equal((status, took < 4), (4, True), f"after {took:.1f} s: {said}")
        check("Nothing is known of nothing" in said and "Nothing is known of never" in said, said)
        check("db.svc" not in said and "my-shop.svc" not in said, said)
        found = json.loads(a.outrider("wait", "db", "my-shop", "--json")[1])["instances"]
        equal([one["service"] for one in found], ["db", "my-shop"], "JSON")
        equal(a.outrider("wait", *(f"s{n}" for n in range(33)))[0], 2, "too many")
        equal(a.outrider("wait", "db", "--count", "0")[0], 2, "count")
    with world.step("open: the best address, tried; --qr: that of the LAN"):
        status, said = a.outrider("open", "my-shop", "--print")
        equal((status, said.strip()), (0, "http://my-shop.localhost:5380/"), "open")
        status, said = a.outrider("open", "my-shop", "--qr")
        check(status == 0 and f"http://{a.ip4}:{port}/" in said, said)
        equal(a.outrider("open", "nothing")[0], 4, "unknown")
    with world.step("status in another terminal: the same block, also in JSON; the agent's comes before it"):
        shown = Tmux(a, [world.outrider, "status"], lines=120)
        shown.wait("^status 0$")
        block = re.search(r"(?s)my-shop  passing for .*page .*", shown.screen())[0]
        urls = re.findall(URL, block)
        equal(sorted(urls), sorted(known), "addresses")
        check(len(known) >= 5, known)
        check(re.search("(?m)^version ", shown.screen()), "not the agent's status")
        shown.close()
        found = json.loads(a.outrider("status", "--json")[1])
        places = found["services"][0]["places"]
        equal(sorted(places.values()), sorted(known), "places")
        equal((len(found["services"]), found["services"][0]["health"], found["ready"]), (1, "passing", True), "JSON")
        status, said = a.outrider("status", "my-shop")
        check(status == 0 and said.strip().startswith("my-shop  passing for ") and "db" not in said, said)
        status, said = a.outrider("status", "db")
        check(status == 0 and f"{b.ip4}:5432 does not answer" in said, said)
    with world.step("known and not healthy is 1 and unknown 4, for every command"):
        state.write_text("db down")
        harness.wait_for("critical", lambda: (probe(), a.outrider("status", "my-shop")[0] == 1)[1])
        commands = (["open"], ["resolve"], ["why"], ["status"], ["instances", "--passing"], ["wait", "--timeout", "1s"])
        for words in commands:
            for name, wanted in (("db", 0), ("my-shop", 1), ("nothing", 4)):
                status, said = a.outrider(words[0], name, *words[1:])
                if (words[0], name) != ("open", "db"):  # nothing listens there
                    equal(status, wanted, f"{words[0]} {name}: {said}")
        status, said = a.outrider("status", "my-shop", "--json")
        about = json.loads(said)["services"][0]
        equal((status, about["health"], "open" in about["places"]), (1, "critical", False), "JSON")
        check(about["reason"].startswith("critical for ") and "HTTP 503: db down" in about["reason"], about["reason"])
        equal(a.outrider("status")[0], 0, "the agent's status")
        state.write_text("ok")
        harness.wait_for("passing", lambda: (probe(), a.outrider("status", "my-shop")[0] == 0)[1])
    with world.step("status shows 16 instances, also where one service has more, and says that there are others"):
        many = b.dir / "many.json"
        services = [{"name": f"s{n:02}", "port": 7000 + n} for n in range(16)]
        services += [{"name": "crowd", "id": f"c{n:02}", "port": 7100 + n} for n in range(17)]
        many.write_text(json.dumps({"services": services}))
        equal(b.outrider("register", many)[0], 0, "register")
        for words in ((), ("crowd",)):
            shown = Tmux(b, [world.outrider, "status", *words], lines=300)
            shown.wait("^status 0$")
            check("and more; to list them" in shown.screen(), shown.screen())
            shown.close()
            equal(len(json.loads(b.outrider("status", *words, "--json")[1])["services"]), 16, "shown")
        check(not re.search("(?m)^  s00  ", b.outrider("status")[1]), "asked without a terminal")
    with world.step("Ctrl-C ends both"):
        terminal.type("C-c")
        terminal.wait(r"^status ")
        terminal.close()

    plain = [world.outrider, "run", *fast, "--name", "web"]
    with world.step("--need waits, and gives address, port and URL"):
        said = a.run([*plain, "--need", "db", "--", "env"], may_fail=True)[1]
        for line in (f"DB_HOST={b.ip4}", "DB_PORT=5432", f"DB_URL=postgresql://{b.ip4}:5432"):
            check(line in said.splitlines(), said)
    with world.step("a needed service that does not come: the reason and a status, and no program"):
        need = ["--need", "mail", "--timeout", "1s"]
        status, said = a.run([*plain, *need, "--", "echo", "started"], may_fail=True)
        equal(status, 4, said)
        check("waiting for mail" in said and "Nothing is known of mail" in said and "started" not in said, said)
    with world.step("without a terminal: one plain line; in CI the same on a terminal"):
        server = a.start("plain", [*plain, "--", PYTHON, HELLO])
        server.wait_line(r"^outrider: web is passing at http://127\.0\.0\.1:\d+/ ")
        check(re.search("instance_added service=web ", server.text()), "nothing about its own service")
        check("service=db" not in server.text(), "lines about another service")
        equal(server.stop() in (0, 143, -15), True, "exit status")
        terminal = Tmux(a, [*plain, "--", PYTHON, HELLO], env={"CI": "1"})
        terminal.wait(r"outrider: web is passing at http://127")
        check("open " not in terminal.screen() and "Ctrl-C stops" not in terminal.screen(), terminal.screen())
        terminal.close()
    with world.step("after su, the terminal belongs to another user: the plain line, and what the program says"):
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "HOME=/nonexistent",
                "XDG_RUNTIME_DIR=/nonexistent"]
        if a.run([*user, world.outrider, "version"], may_fail=True)[0] != 0:
            raise Skip("other users cannot read the program")
        terminal = Tmux(a, [*user, *plain, "--", "sh", "-c", "echo words >&2; exec python3 -m http.server $PORT"])
        terminal.wait(r"outrider: web is passing at http://127")
        check("words" in terminal.screen(), terminal.screen())
        terminal.close()
    with world.step("--scope host: not on the LAN, and the block says so"):
        terminal = Tmux(a, [*plain, "--scope", "host", "--", PYTHON, HELLO])
        terminal.wait(r"LAN +not reachable: --scope host")
        equal(b.outrider("wait", "web", "--timeout", "1s")[0], 4, "on b")
        terminal.close()


if __name__ == "__main__":
    harness.main(scenario)
