#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The status page with real readers: curl, w3m, lynx, Chromium and Firefox. Pictures are kept in build/pictures."""

import json
import re
import shutil
import signal

import etcd_agent
import harness
from browser import Chromium
from harness import HERE, PYTHON, Skip, check, equal

PICTURES = harness.TOP / "build/pictures"
BASE = "http://127.0.0.1:8500"
MANY = 1_000
SHOWN_WITHIN_MS, TRIES = 1_000, 6  # other programs of the machine may take the processor for a while
SHOWN_AT = (f"loaded && rows.length === {MANY} && document.querySelector('#rows .row .name').textContent && "
            "performance.now()")
PAGE_BYTES_MAX = 60_000
HOSTILE = "</noscript><script>alert(1)</script>"
SPOOF = "\x1b[31m\u202egnp"  # a terminal's escape, and text from right to left
CONFIG = {
    "api": {"consul_listen": "127.0.0.1:8500", "persist": False},
    "lifecycle": {"drain": "0s"},
    "dns": {"listen": ["127.0.0.55:53"]},
    "mdns": {"browse": ["_printer._tcp"]},
    "services": [
        {"name": "shop", "id": "shop-1", "port": 8000, "protocol": "http", "checks": [{"http": "/", "interval": "1s"}],
         "farp": {"openapi": "/openapi.json"}},
        {"name": "shop", "id": "shop-2", "port": 8001, "protocol": "http", "checks": [{"http": "/", "interval": "1s"}]},
        {"name": "pay", "id": "pay-1", "port": 9, "checks": [{"tcp": "127.0.0.1:9", "interval": "1s"}]},
        {"name": "mail", "id": "mail-1", "port": 25, "metadata": {"note": HOSTILE}},
        {"name": "vault", "id": "vault-1", "port": 8443, "protocol": "https"},
    ],
}
# Prints what leaves the host but is neither mDNS nor the housekeeping of the network itself.
CAPTURE = """
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
print("ready", flush=True)
while True:
    p, to = s.recvfrom(65535)
    kind = struct.unpack("!H", p[12:14])[0]
    if to[2] == 4 and kind == 0x800 and p[14 + 9] not in (2,) and p[30:34] != bytes([224, 0, 0, 251]):
        print("sent to", socket.inet_ntoa(p[30:34]), flush=True)
"""


def curl(host, *words):
    said = host.run(["curl", "-sS", "-i", *words])[1]
    head, _, body = said.replace("\r\n", "\n").partition("\n\n")
    return int(head.split()[1]), head, body


def scenario(world):
    a = world.host("a")
    token = a.dir / "outrider/token"
    a.http_server(8000)
    a.http_server(8001)
    agent = a.agent(CONFIG)
    for service in ("shop", "pay"):
        agent.wait_line(f"event=health_(changed|failed) service={service} ")
    html = ["-H", "Accept: text/html"]

    with world.step("curl: a page for browsers, JSON for programs, and nothing for other origins"):
        status, head, body = curl(a, *html, f"{BASE}/")
        equal(status, 200, head)
        check("default-src 'self'; script-src 'sha256-" in head and "X-Frame-Options: DENY" in head, head)
        script = body[body.index("<script>"):]
        check(len(body) < PAGE_BYTES_MAX and "@" + "TABLES@" not in body, f"{len(body)} bytes")
        hosts = set(re.findall(r"https?://([\w.-]+)", script))
        equal(hosts, {"www.w3.org", "NAME.localhost"}, "hosts in the script")
        equal(json.loads(curl(a, f"{BASE}/")[2])["name"], "outrider", "JSON")
        equal(curl(a, *html, "-H", "Host: evil.test", f"{BASE}/")[0], 403, "Host")
        probe = ["-X", "PUT", f"{BASE}/v1/outrider/probe/shop-1"]
        bearer = ["-H", f"Authorization: Bearer {token.read_text().strip()}"]
        equal(curl(a, *probe)[0], 401, "without the token")
        equal(curl(a, "-H", "Origin: http://127.0.0.1:8501", *bearer, *probe)[0], 403, "another page")
        equal(curl(a, "-H", f"Origin: {BASE}", *bearer, *probe)[0], 200, "the page itself")

    with world.step("w3m and lynx read the tables, what fails first") as say:
        readers = [reader for reader in ("w3m", "lynx") if shutil.which(reader)]
        if not readers:
            raise Skip("neither w3m nor lynx is installed (tests/packages-optional.txt)")
        for reader in readers:
            more = ["-nolist", "-width=140"] if reader == "lynx" else ["-cols", "140"]
            text = a.run([reader, "-dump", *more, f"{BASE}/"], env={"HOME": str(a.dir), "LANG": "C.UTF-8"})[1]
            check("1 service of 4 is not served." in text, text)
            check(text.index("NOT SERVED") < text.index("mail"), text)
            check(re.search("mail.* no check", text) and not re.search("(shop|pay).* no check", text), text)
            for needs_script in ("Failing", "search", "connecting", "Esc", "Close"):
                check(needs_script not in text, f"{needs_script} in {text}")
            text = a.run([reader, "-dump", *more, f"{BASE}/pay"], env={"HOME": str(a.dir), "LANG": "C.UTF-8"})[1]
            check("not in the answer: critical for" in text and "NODATA" in text, text)
            text = a.run([reader, "-dump", *more, f"{BASE}/vault"], env={"HOME": str(a.dir), "LANG": "C.UTF-8"})[1]
            check("port=8443" in text, text)
        say(", ".join(readers))

    watch_browser(world, a, agent, token)


def watch_browser(world, a, agent, token):
    b = world.host("b")
    argv = [PYTHON, HERE / "zeroconf_publish.py", b.ip4, "_printer._tcp", HOSTILE, 9100, f"note={SPOOF}"]
    b.start("zeroconf", argv).wait_line("registered")
    agent.wait_line("service=printer")
    capture = a.start("capture", [PYTHON, "-c", CAPTURE])
    capture.wait_line("ready")
    with Chromium(a) as page:
        front_page(world, page)
        one_service(world, a, page)
        reader(world, page, token)
        without_agent(world, a, agent, page)
        many(world, page)
        dumped(world, a)
        qr_code(world, a, page)
        in_firefox(world, a)
        nothing_left(world, page, capture)
    for size, name in (((420, 860), "page-phone"), ((1440, 900), "page-dark")):
        with world.step(f"{name}: in its width, without a bar to scroll sideways"):
            with Chromium(a, *size, dark=name == "page-dark") as page:
                page.go(f"{BASE}/s7")
                page.wait("document.querySelector('#side').textContent.includes('in the answer')")
                check(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is too wide")
                page.picture(PICTURES / f"{name}.png")
    registries(world)


def front_page(world, page):
    with world.step("Chromium: what fails is on top, with its reason; a banner counts it", vital=True):
        page.go(f"{BASE}/")
        # The first page of a browser that has just begun.
        page.wait("document.querySelectorAll('#rows .row:not([hidden])').length >= 5", 3 * harness.DEADLINE_S)
        page.wait("document.querySelector('#live').textContent === 'live'")
        equal(page.evaluate("document.querySelector('#rows .row .name').textContent"), "pay", "the first row")
        check("connection refused" in page.evaluate("document.querySelector('#rows .row .why').textContent"), "why")
        check("1 service is not served: pay" in page.evaluate("document.querySelector('#banner').textContent"), "")
        page.wait("document.querySelector('#side').textContent.includes('DNS listens on 127.0.0.55:53')")
        page.picture(PICTURES / "page.png")
    with world.step("what has no checks looks different from what passes them; those of other hosts are not known"):
        whys = page.evaluate("Object.fromEntries([...document.querySelectorAll('#rows .row:not([hidden])')].map("
                             "(row) => [row.dataset.name, [row.querySelector('.why').textContent, "
                             "row.querySelectorAll('.pips .none').length, row.querySelector('.dot').title]]))")
        for name, wanted in (("mail", ["no check", 1, "served, no check"]), ("printer", ["", 0, "served"]),
                             ("shop", ["", 0, "served"])):
            equal(whys[name], wanted, name)
        page.evaluate("openService('mail')")
        page.wait("[...document.querySelectorAll('#side .check')].some((one) => one.innerText === 'no check')")
        page.evaluate("openService('')")


def one_service(world, a, page):
    with world.step("a row opens: reasons, exact DNS, the strip of outcomes, the timeline"):
        page.evaluate("document.querySelectorAll('#rows .row').forEach((r) => "
                      "{ if (r.dataset.name === 'shop') r.click(); })")
        text = page.wait("document.querySelectorAll('.strip i').length > 4 && "
                         "document.querySelector('#side').innerText")
        for wanted in ("shop.svc answers with 2 of 2", "in the answer: passing for", "dig @127.0.0.55 shop.svc SRV",
                       f"http://{a.ip4}:8000/", "p50", "starting → passing"):
            check(wanted in text, f"{wanted!r} is not in {text!r}")
        equal(page.evaluate("location.pathname"), "/shop", "path")
        page.picture(PICTURES / "page-service.png")
    with world.step("a row says when and by which address its name was asked for last"):
        a.run(["dig", "-b", "127.0.0.9", "@127.0.0.55", "shop.svc"])
        row = "[...document.querySelectorAll('#rows .row')].find((r) => r.dataset.name === 'shop')"
        page.wait(f"/^[0-9]+s  127.0.0.9$/.test({row}.querySelector('.c-a').textContent)")
        check(page.evaluate(f"{row}.querySelector('.c-a').offsetWidth") > 0, "it is hidden")
        text = page.wait("[...document.querySelectorAll('#side p')].map((p) => p.innerText).find("
                         "(text) => text.includes('DNS quer'))")
        check(re.fullmatch(r"\d+ DNS quer(y|ies), the last \d+s ago from 127\.0\.0\.9", text), text)
    with world.step("the HTTPS records of a service that speaks https, as dig has them"):
        page.evaluate("openService('vault')")
        text = page.wait("document.querySelector('#side').innerText.includes('port=8443') && "
                         "document.querySelector('#side').innerText")
        for record in a.dig("vault.svc", "HTTPS").data("HTTPS"):
            check(record.replace(". ", " ") in text, f"{record!r} is not in {text!r}")
        check("dig @127.0.0.55 vault.svc HTTPS" in text, text)
        page.evaluate("openService('shop')")
        page.wait("document.querySelectorAll('.strip i').length > 4")
    with world.step("links lead to what the service says of itself to gateways (FARP)"):
        links = page.wait("(() => { const found = [...document.querySelectorAll('#side .facts a')]"
                          ".filter((link) => ['manifest', 'openapi'].includes(link.innerText)); "
                          "return found.length === 2 && found.map((link) => link.href) })()")
        equal(json.loads(curl(a, links[0])[2])["instance_id"], "shop-1", "the manifest")
        equal(links[1], f"http://{a.ip4}:8000/openapi.json", "OpenAPI")
    with world.step("a button shows the QR code of an address"):
        page.evaluate("document.querySelector('[data-act=qr]').click()")
        if curl(a, f"{BASE}/v1/outrider/qr?text=x")[0] == 501:
            page.wait("document.querySelector('#said').innerText.includes('makes no QR codes')")
            raise Skip("built without the module for QR codes")
        page.wait("document.querySelector('#qr').open && document.querySelector('#qr img').naturalWidth > 0")
        equal(page.evaluate("document.querySelector('#qrtext').innerText"), f"http://{a.ip4}:8000/", "its text")
        page.picture(PICTURES / "page-qr.png")
        page.evaluate("document.querySelector('[data-act=close]').click()")
    with world.step("a service that fails says why"):
        page.evaluate("openService('pay')")
        page.wait("document.querySelector('#side').innerText.includes('not in the answer: critical for')")
        equal(page.evaluate("document.querySelector('#side h2 .dot').className"), "dot bad", "the dot of the heading")
        page.picture(PICTURES / "page-failing.png")


def reader(world, page, token):
    with world.step("the keyboard is enough"):
        page.press("Escape")
        page.press("/")
        page.type("shop-2")
        page.wait("rows.length === 1 && rows[0].name === 'shop'")
        page.press("Enter")
        page.wait("opened === 'shop'")
        for _ in range(3):
            page.press("Escape")
        page.press("f")
        page.wait("rows.length === 1 && rows[0].name === 'pay'")
        page.press("f")
        page.wait("rows.length >= 4 && opened === ''")
    with world.step("names of the network are inert text"):
        page.evaluate("openService('printer')")
        page.wait("document.querySelector('#side').textContent.includes('alert(1)')")
        equal(page.evaluate("document.querySelectorAll('script').length"), 1, "scripts")
        check(page.evaluate("![...document.body.innerText].some((c) => c === '\\u001b' || c === '\\u202e')"), "")
        page.wait("document.querySelector('#side').textContent.includes('[U+202E]')")
        page.picture(PICTURES / "page-hostile.png")
    with world.step("it only reads without the token; with it, an instance is drained"):
        page.evaluate("openService('shop')")
        page.wait("document.querySelectorAll('#side .card').length > 2")
        equal(page.evaluate("document.querySelectorAll('[data-act=drain]').length"), 0, "buttons")
        page.evaluate(f"token = {json.dumps(token.read_text().strip())}; showDetail()")
        page.wait("!!document.querySelector('[data-act=drain][data-arg=shop-2]')")
        page.evaluate("document.querySelector('[data-act=drain][data-arg=shop-2]').click()")
        page.wait("document.querySelector('#side').innerText.includes('not in the answer: draining')")
        page.wait("[...document.querySelectorAll('#rows .row')].some((r) => r.dataset.name === 'shop' && "
                  "r.innerText.includes('1/2'))")


def without_agent(world, a, agent, page):
    with world.step("it says when the agent is silent, and when it is gone; it comes back by itself"):
        agent.send(signal.SIGSTOP)
        page.wait("document.querySelector('#live').textContent.startsWith('stale: no answer for')", 20)
        check(page.evaluate("document.querySelectorAll('#rows .row:not([hidden])').length") >= 4, "rows are gone")
        agent.send(signal.SIGCONT)
        page.wait("document.querySelector('#live').textContent === 'live'")
        page.evaluate("openService('')")
        page.wait("document.querySelectorAll('.finding .dot.good').length > 0")
        agent.stop()
        page.wait("document.querySelector('#live').textContent.startsWith('disconnected for')")
        page.wait("/The agent does not answer. All of this is as of [0-9:]{8}\\./.test("
                  "document.querySelector('#side').innerText)")
        check(page.evaluate("document.querySelector('#banner').innerText").startswith("As of "), "the banner")
        colours = page.evaluate("[...document.querySelectorAll('main .dot, .pips i, #banner')].map((one) => "
                                "getComputedStyle(one)).flatMap((one) => [one.backgroundColor, one.color])")
        lively = {"rgb(44, 138, 95)", "rgb(180, 120, 15)", "rgb(200, 54, 47)"}  # good, fair, bad
        equal(lively & set(colours), set(), "colours of what is of the past")
        check(len(colours) > 20, colours)
        page.picture(PICTURES / "page-disconnected.png")
        services = [{"name": f"s{i}", "id": f"s{i}-1", "port": 1 + i} for i in range(MANY)]
        again = a.agent({**CONFIG, "mdns": {"provider": "off"}, "services": services})
        again.wait_line("event=agent_ready", 4 * harness.DEADLINE_S)
        page.wait(f"rows.filter((s) => s.known).length === {MANY} && "
                  "document.querySelector('#live').textContent === 'live'", 3 * harness.DEADLINE_S)


def many(world, page):
    with world.step(f"{MANY:,} services: few nodes, and every row is there when it is scrolled to") as say:
        took = []
        while not took or (min(took) > SHOWN_WITHIN_MS and len(took) < TRIES):
            page.evaluate("rows = []")
            page.go(f"{BASE}/")
            took.append(page.wait(SHOWN_AT))
        check(min(took) <= SHOWN_WITHIN_MS, f"complete after {took} ms")
        page.evaluate("services.clear(); loaded = false; render()")
        equal(page.evaluate("document.querySelector('#none').innerText"), "Loading …", "before anything has come")
        check("loading" in page.evaluate("document.querySelector('#banner').innerText"), "the banner")
        page.evaluate("takeTable()")  # of the server, before the stream has come
        equal(page.evaluate("rows.length"), MANY, "rows of the table")
        equal(page.evaluate("document.querySelector('#rows .row').innerText.split(/\\s+/).slice(0, 2)"), ["s0", "1/1"],
              "the first one")
        page.go(f"{BASE}/")
        page.wait(SHOWN_AT)
        nodes = page.evaluate("document.querySelectorAll('#rows .row').length")
        check(nodes < 80, f"{nodes} rows in the document")
        page.evaluate("document.querySelector('#rows').scrollTop = 1e9")
        page.wait("[...document.querySelectorAll('#rows .row:not([hidden])')].some((r) => "
                  "r.dataset.name === rows[rows.length - 1].name)")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        equal(page.evaluate("document.querySelectorAll('#rows .row:not([hidden])').length"), MANY, "printed rows")
        page.emulate("print")
        check(page.evaluate("document.documentElement.scrollHeight > 30 * rows.length"), "the sheet ends too early")
        shown = "[...document.querySelectorAll('button, input, #keys')].filter((one) => one.offsetWidth).length"
        equal(page.evaluate(shown), 0, "what a sheet cannot do")
        page.picture(PICTURES / "page-print.png")
        page.emulate("screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        drawing = page.evaluate("(() => { const at = performance.now(); for (let i = 0; i < 20; ++i) render(); "
                                "return (performance.now() - at) / 20 })()")
        page.picture(PICTURES / "page-many.png")
        say(f"complete after {min(took):.0f} ms, one drawing {drawing:.1f} ms, {nodes} rows")


def dumped(world, a):
    with world.step("chromium --dump-dom with a virtual clock ends, and has what the stream brought"):
        words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={a.dir}/dumped"]
        argv = ["chromium", *words, "--virtual-time-budget=10000", "--dump-dom", f"{BASE}/"]
        text = a.run(argv, timeout=60)[1]
        check(f"{MANY:,} services" in text and 'data-name="s0"' in text, text[-2000:])


def qr_code(world, a, page):
    with world.step("a phone's camera reads the QR code"):
        page.go(f"{BASE}/v1/outrider/qr?text=http%3A%2F%2F{a.ip4}%3A8000%2F")
        page.wait("document.documentElement.nodeName === 'svg' || document.body.innerText.includes('error')")
        if page.evaluate("document.documentElement.nodeName") != "svg":
            raise Skip("built without the module for QR codes")
        if shutil.which("zbarimg") is None:
            raise Skip("zbarimg is not installed (tests/packages-optional.txt)")
        page.picture(PICTURES / "qr.png")
        said = a.run(["zbarimg", "-q", "--raw", "--nodbus", PICTURES / "qr.png"])[1]
        equal(said.strip(), f"http://{a.ip4}:8000/", "what the code says")


def in_firefox(world, a):
    with world.step("Firefox shows the same"):
        if shutil.which("firefox-esr") is None:
            raise Skip("firefox-esr is not installed (tests/packages-optional.txt)")
        shown = ("document.querySelector('#side').innerText.includes('in the answer') && "
                 "document.querySelector('#live').innerText === 'live' && "
                 "[...document.querySelectorAll('#rows .row')].some((row) => row.innerText.includes('s0')) && "
                 "document.querySelectorAll('#rows .row').length < 80 && "
                 f"document.body.innerText.includes('{MANY:,} services') && document.body.innerText")
        argv = [PYTHON, HERE / "firefox.py", a.dir, f"{BASE}/s7", shown, PICTURES / "page-firefox.png"]
        text = json.loads(a.run(argv, timeout=90, env={"HOME": str(a.dir)})[1].splitlines()[-1])
        check(text and f"{MANY:,} services" in text and "s7.svc answers with 1 of 1" in text, text)


def nothing_left(world, page, capture):
    with world.step("nothing was asked of anybody else, and the policy was never broken"):
        # That the agent was gone for a while is said on the console, too.
        errors = [e for e in page.complaints() if "ERR_" not in str(e) and "status of 4" not in str(e)
                  and "status of 501" not in str(e)]  # built without the module for QR codes
        equal(errors, [], "console")
        urls = page.requests()
        foreign = [url for url in urls if "://" in url and not url.startswith((BASE + "/", "data:"))]
        equal(foreign, [], "requests")
        sent = [line for _, line in capture.lines if line.startswith("sent")]
        equal(sent, [], "packets")


def registries(world):
    with world.step("what etcd has is shown with its key, and so is what is written there") as say:
        if not shutil.which("etcd") or not shutil.which("etcdctl"):
            raise Skip("etcd-server and etcd-client are not installed")
        c = world.host("c")
        server = etcd_agent.Server(c).start()
        value = {"id": "k1", "name": "users", "version": "v1", "metadata": {}, "endpoints": ["http://10.9.8.7:80"]}
        server.ctl("put", "/microservices/users/k1", json.dumps(value))
        c.agent({"api": CONFIG["api"], "services": [{"name": "mine", "port": 8000}], "registries": [
            {"etcd": {"endpoints": [server.url], "layouts": {"kratos": {}}}}]}).wait_line("source=etcd.*state=current")
        with Chromium(c, 1100, 800) as page:
            for name, shown in (("users", "etcd: /microservices/users/k1, revision "),
                                ("mine", "etcd: /microservices/mine/")):
                page.go(f"{BASE}/{name}")
                page.wait(f"document.querySelector('#side').innerText.includes({json.dumps(shown)})")
                say(page.evaluate("[...document.querySelectorAll('#side dd')].map((one) => one.innerText)"
                                  ".filter((text) => text.includes('microservices')).join('; ')"))
            page.picture(PICTURES / "page-etcd.png")


if __name__ == "__main__":
    harness.main(scenario)
