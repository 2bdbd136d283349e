# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a screen, driven through its pipe: the DevTools protocol, JSON with a NUL after each."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

from harness import DEADLINE_S, PYTHON, Failed, Skip

# No calls home, and no name resolves but those of this host: what the page loads comes from it or fails.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
         "--disable-extensions", "--disable-domain-reliability", "--metrics-recording-only", "--no-proxy-server",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE *.localhost , EXCLUDE 127.0.0.1",
         "--remote-debugging-pipe"]
# It reads file descriptor 3 and writes 4.
AS_3_AND_4 = """
import fcntl, os, sys
to_read, to_write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(to_read, 3)
os.dup2(to_write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """One page. Use as a context; `evaluate` runs JavaScript in it, `wait` until an expression is true."""

    def __init__(self, host, width=1440, height=900, dark=False):
        program = shutil.which("chromium")
        if program is None:
            raise Skip("chromium is not installed (tests/packages-optional.txt)")
        self.folder = host.dir / "chromium"
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        argv = [program, *FLAGS, f"--user-data-dir={self.folder}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            [*host._enter(), PYTHON, "-c", AS_3_AND_4, str(to_read), str(to_write), *argv],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**host.env, "HOME": str(host.dir)})
        os.close(to_read)
        os.close(to_write)
        self._number, self._rest, self.events = 0, b"", []
        self._session = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        if dark:
            self._call("Emulation.setEmulatedMedia",
                       features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 3 * DEADLINE_S
        while True:
            while b"\0" in self._rest:
                text, self._rest = self._rest.split(b"\0", 1)
                said = json.loads(text)
                if said.get("id") == self._number:
                    if "error" in said:
                        raise Failed(f"{method}: {said['error']}")
                    return said["result"]
                if "method" in said:
                    self.events.append(said)
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise Failed(f"chromium does not answer {method}")
            more = os.read(self._read, 1 << 20)
            if not more:
                raise Failed(f"chromium ended before it answered {method}")
            self._rest += more

    def go(self, url):
        self._call("Page.navigate", url=url)

    def evaluate(self, expression):
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression, deadline=DEADLINE_S):
        """The first true value of an expression."""
        until = time.monotonic() + deadline
        while True:
            value = self.evaluate(f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()")
            if value:
                return value
            if time.monotonic() > until:
                raise Failed(f"not within {deadline} s: {expression}; the page says: "
                             f"{self.evaluate('document.body.innerText')[:1500]}")
            time.sleep(0.05)

    def press(self, key):
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text):
        self._call("Input.insertText", text=text)

    def resize(self, width, height):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def emulate(self, medium):
        self._call("Emulation.setEmulatedMedia", media=medium)

    def complaints(self):
        """What its console says is wrong: exceptions, violations of the policy."""
        self.evaluate("0")
        entries = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        return [e["params"]["exceptionDetails"] for e in self.events if e["method"] == "Runtime.exceptionThrown"] + \
               [e["text"] for e in entries if e["level"] == "error"]

    def requests(self):
        """The URLs that it asked for."""
        self.evaluate("0")
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
