#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""firefox.py FOLDER URL EXPRESSION PICTURE [CA [PREFERENCE=VALUE...]]: opens a page in Firefox without a screen, waits
until an expression is true, prints it as JSON, and writes a picture. By Marionette, the protocol of its own tests:
LENGTH:JSON over TCP. It trusts the certificate authority in the file CA, which certutil (libnss3-tools) puts into its
profile.
"""

import base64
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

PORT = 2828
DEADLINE_S = 40
PREFERENCES = """
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage", "about:blank");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("marionette.port", 2828);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.native_https_query", true);
user_pref("toolkit.telemetry.enabled", false);
"""


class Marionette:
    def __init__(self):
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", PORT), 1)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        self._socket.settimeout(DEADLINE_S)
        self._number = 0
        self._read()  # who it is
        self.call("WebDriver:NewSession", capabilities={})

    def _read(self):
        size = b""
        while not size.endswith(b":"):
            size += self._socket.recv(1)
        text = b""
        while len(text) < int(size[:-1]):
            text += self._socket.recv(int(size[:-1]) - len(text))
        return json.loads(text)

    def call(self, command, **parameters):
        error, value = self.try_call(command, **parameters)
        if error:
            sys.exit(f"{command}: {error}")
        return value

    def try_call(self, command, **parameters):
        """An error, or None and the result."""
        self._number += 1
        text = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(str(len(text)).encode() + b":" + text)
        _, _, error, result = self._read()
        return error, result.get("value") if isinstance(result, dict) else result


def trust(profile, authority):
    store = ["certutil", "-d", f"sql:{profile}"]
    subprocess.run([*store, "-N", "--empty-password"], check=True)
    subprocess.run([*store, "-A", "-n", "test", "-t", "C,,", "-i", authority], check=True)


def main(folder, url, expression, picture, authority=None, *preferences):
    profile = pathlib.Path(folder) / "firefox"
    shutil.rmtree(profile, ignore_errors=True)
    profile.mkdir()
    more = (f'user_pref("{name}", {value});\n' for name, _, value in (one.partition("=") for one in preferences))
    (profile / "user.js").write_text(PREFERENCES + "".join(more))
    if authority is not None:
        trust(profile, authority)
    program = subprocess.Popen(["firefox-esr", "--headless", "--no-remote", "--marionette", "--profile", profile],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = Marionette()
        page.call("WebDriver:SetWindowRect", width=1280, height=860)
        until = time.monotonic() + DEADLINE_S
        # Where port 443 refuses before the HTTPS record has come, a reader has to reload.
        while (error := page.try_call("WebDriver:Navigate", url=url)[0]) and time.monotonic() < until:
            time.sleep(0.05)
        if error:
            sys.exit(f"{url}: {error}")
        value = None
        while not value and time.monotonic() < until:
            value = page.call("WebDriver:ExecuteScript", script=f"return {expression}", args=[], sandbox=None)
            time.sleep(0.05)
        shot = page.call("WebDriver:TakeScreenshot", full=False)
        pathlib.Path(picture).write_bytes(base64.b64decode(shot))
        print(json.dumps(value))
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
