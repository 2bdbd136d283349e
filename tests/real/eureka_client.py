#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""eureka_client.py URL APP ID ADDRESS PORT SECONDS: what Spring Cloud's client does, with urllib alone. It registers in
Netflix's shape with a lease of so many seconds, renews at a third of that, registers again after 404, and cancels on
SIGTERM. Each of its answers is a line of output."""

import base64
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

URL, APP, ID, ADDRESS, PORT, SECONDS = sys.argv[1:]
PLAIN, AUTHORITY = URL, None
parts = urllib.parse.urlsplit(URL)
if parts.password:
    AUTHORITY = "Basic " + base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    PLAIN = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())


def ask(method, path, body=None):
    headers = {"Accept": "application/json"}
    if AUTHORITY:
        headers["Authorization"] = AUTHORITY
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(PLAIN + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return f"unreachable: {error}"


def register():
    dirty = str(int(time.time() * 1000))
    base = f"http://{ADDRESS}:{PORT}"
    body = {"instance": {
        "instanceId": ID, "hostName": ADDRESS, "app": APP, "ipAddr": ADDRESS, "status": "UP",
        "overriddenStatus": "UNKNOWN", "port": {"$": int(PORT), "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"}, "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": int(SECONDS) // 3, "durationInSecs": int(SECONDS)},
        "metadata": {"management.port": PORT, "pid": str(os.getpid())}, "homePageUrl": f"{base}/",
        "statusPageUrl": f"{base}/actuator/info", "healthCheckUrl": f"{base}/actuator/health",
        "vipAddress": APP.lower(), "secureVipAddress": APP.lower(), "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": dirty, "lastDirtyTimestamp": dirty}}
    print(f"register {ask('POST', f'apps/{APP}', body)}", flush=True)
    return dirty


stamp = register()
while not stop.wait(int(SECONDS) / 3):
    status = ask("PUT", f"apps/{APP}/{ID}?status=UP&lastDirtyTimestamp={stamp}")
    print(f"renew {status}", flush=True)
    if status == 404:
        stamp = register()
print(f"cancel {ask('DELETE', f'apps/{APP}/{ID}')}", flush=True)
