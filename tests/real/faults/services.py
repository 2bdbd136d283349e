# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the service itself. Gone within the checks' three failures, back after a success."""

import signal

import harness
from faults.campaign import PORT, STUB, fault, one_host, pause

# Three failures, the first of them up to 0.5 s away, each of up to 0.4 s.
NOTICED_S = 2.5

# Answers as told by its second argument.
BAD = """
import socket, struct, sys, time
kind = sys.argv[2]
server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[1]))); server.listen(64); print("listening", flush=True)
kept = []
while True:
    client, _ = server.accept()
    if kind == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); client.close(); continue
    if kind == "mute":
        kept.append(client); kept = kept[-200:]; continue
    client.recv(4096)
    client.sendall({
        "503": b"HTTP/1.1 503 Service Unavailable\\r\\nContent-Length: 0\\r\\n\\r\\n",
        "garbage": bytes(range(256)) * 64,
        "endless": b"HTTP/1.1 200 OK\\r\\n" + b"X-Filler: " + b"x" * 100_000,
        "chunked-204": b"HTTP/1.1 204 No Content\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n",
        "hang-up": b"",
    }[kind])
    if kind == "chunked-204":
        kept.append(client); kept = kept[-200:]
    else:
        client.close()
"""


def replaced(scene, kind):
    """The service of b is another program, until that is noticed."""
    start(scene, kind)
    scene.wait_gone(NOTICED_S)


def start(scene, kind):
    scene.service["b"].kill()
    scene.service["b"] = scene.host["b"].start(kind, [harness.PYTHON, "-c", BAD, PORT, kind])
    scene.service["b"].wait_line("^listening$")


def restored(scene):
    scene.service["b"].kill()
    scene.service["b"] = scene.host["b"].http_server(PORT)


@fault(right_within=5, wrong_for=0, meanwhile=one_host)
def service_killed(scene):
    scene.service["b"].kill()
    scene.wait_gone(NOTICED_S)
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host)
def service_stopped(scene):
    """It accepts and says nothing."""
    scene.service["b"].send(signal.SIGSTOP)
    scene.wait_gone(NOTICED_S)
    yield
    scene.service["b"].send(signal.SIGCONT)


@fault(right_within=5, wrong_for=0, meanwhile=one_host)
def service_says_503(scene):
    replaced(scene, "503")
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host, quick=False)
def service_resets_connections(scene):
    replaced(scene, "reset")
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host, quick=False)
def service_hangs_up(scene):
    replaced(scene, "hang-up")
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host)
def service_answers_garbage(scene):
    replaced(scene, "garbage")
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host, quick=False)
def service_answers_without_end(scene):
    replaced(scene, "endless")
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0)
def service_answers_204_and_claims_chunks(scene):
    """RFC 9112 §6.3: a 204 has no body, whatever its head says. It stays passing."""
    start(scene, "chunked-204")
    pause(NOTICED_S)
    scene.wait_right(0.1)
    yield
    restored(scene)


@fault(right_within=5, wrong_for=0, meanwhile=one_host, quick=False)
def service_restarts_five_times(scene):
    for _ in range(5):
        restored(scene)
    yield


@fault(right_within=5, wrong_for=0, meanwhile=one_host)
def service_moves_to_loopback(scene):
    """Healthy for its own host alone; no other is sent there."""
    scene.service["b"].kill()
    scene.wait_gone(NOTICED_S)
    scene.service["b"] = scene.host["b"].http_server(PORT, bind="127.0.0.1")
    scene.host["b"].watch_dns("hello.svc", port=STUB).wait_line(r"127\.0\.0\.1")
    yield
    restored(scene)
