# SPDX-License-Identifier: Apache-2.0
"""Files, descriptors and streams of the agent's own host."""

import contextlib
import os
import pathlib
import shutil
import signal

import harness
from faults.campaign import HELLO, fault, one_host, one_or_none, pause


def answers(scene, name):
    """Whether the command line finds the agent of this host."""
    return lambda: scene.host[name].outrider("status")[0] == 0


def config_file(scene, name):
    return pathlib.Path(scene.agent[name].popen.args[-1])


@fault(right_within=1)
def control_socket_deleted(scene):
    scene.socket("b").unlink()
    yield
    harness.wait_for("the control socket is there again", answers(scene, "b"), 5)


@fault(right_within=1)
def run_time_directory_deleted(scene):
    shutil.rmtree(scene.socket("b").parent)
    yield
    harness.wait_for("the control socket is there again", answers(scene, "b"), 5)


@fault(right_within=1)
def configuration_is_garbage_at_reload(scene):
    file = config_file(scene, "b")
    good = file.read_text()
    file.write_text('{"services": [')
    scene.agent["b"].send(signal.SIGHUP)
    scene.agent["b"].wait_line("event=config_refused")
    yield
    file.write_text(good)
    scene.agent["b"].send(signal.SIGHUP)


@fault(right_within=1)
def configuration_deleted_at_reload(scene):
    file = config_file(scene, "b")
    good = file.read_text()
    file.unlink()
    scene.agent["b"].send(signal.SIGHUP)
    pause(0.5)
    yield
    file.write_text(good)
    scene.agent["b"].send(signal.SIGHUP)


@fault(right_within=1)
def configuration_is_a_pipe_at_reload(scene):
    file = config_file(scene, "b")
    good = file.read_text()
    file.unlink()
    os.mkfifo(file)
    scene.agent["b"].send(signal.SIGHUP)
    pause(0.5)
    yield
    file.unlink()
    file.write_text(good)
    scene.agent["b"].send(signal.SIGHUP)


@fault(right_within=1)
def check_changed_at_reload(scene):
    file = config_file(scene, "b")
    good = file.read_text()
    file.write_text(good.replace('"/"', '"/index.html"'))
    scene.agent["b"].send(signal.SIGHUP)
    pause(1)
    yield
    file.write_text(good)
    scene.agent["b"].send(signal.SIGHUP)


def without_descriptors(scene, name, seconds, limit):
    pid = scene.agent[name].pid
    harness.run(["prlimit", f"--pid={pid}", f"--nofile={limit}:4096"])
    pause(seconds)


@fault(right_within=2)
def no_descriptors_for_3_s_at_a_server(scene):
    without_descriptors(scene, "b", 3, 5)
    yield
    harness.run(["prlimit", f"--pid={scene.agent['b'].pid}", "--nofile=1024:4096"])


@fault(right_within=2)
def no_descriptors_for_3_s_at_the_observer(scene):
    without_descriptors(scene, "c", 3, 5)
    yield
    harness.run(["prlimit", f"--pid={scene.agent['c'].pid}", "--nofile=1024:4096"])


@fault(right_within=3, meanwhile=one_or_none)
def log_that_nobody_reads(scene):
    """Standard error is a full pipe for the rest of the agent's life."""
    scene.agent["b"].kill()
    b = scene.host["b"]
    file = b.dir / "unread.json"
    file.write_text(harness.json.dumps(
        {**scene.config("b"), "log": {"level": "debug"}}))
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    # Through a shell, so that the harness goes on reading the rest.
    agent = b.start("agent", ["bash", "-c", f"exec {scene.world.outrider} agent --config {file} 2>&{write}"],
                    pass_fds=[write])
    harness.wait_for("the agent answers", answers(scene, "b"), 5)
    scene.wait_right(10)
    pause(2)
    harness.check(answers(scene, "b")(), "the agent hangs")
    yield
    agent.kill()
    os.close(read)
    os.close(write)
    scene.start_agent("b")


@fault(right_within=3, meanwhile=one_or_none)
def standard_streams_closed_at_start(scene):
    scene.agent["b"].kill()
    b = scene.host["b"]
    file = b.dir / "closed.json"
    file.write_text(harness.json.dumps(scene.config("b")))
    agent = b.start("agent", ["sh", "-c", f"exec {scene.world.outrider} agent --config {file} <&- >&- 2>&-"])
    harness.wait_for("the agent answers", answers(scene, "b"), 5)
    scene.wait_right(10)
    harness.equal(agent.stop(), 0, "exit status")
    yield
    scene.start_agent("b")


@fault(right_within=3, meanwhile=one_or_none)
def state_directory_read_only(scene):
    scene.agent["b"].kill()
    b = scene.host["b"]
    state = b.dir / "state"
    state.mkdir(exist_ok=True)
    b.run(["mount", "-t", "tmpfs", "-o", "ro", "state", state])
    b.env["STATE_DIRECTORY"] = str(state)
    scene.start_agent("b")
    scene.wait_right(10)
    scene.agent["b"].kill()
    yield
    b.run(["umount", state])
    del b.env["STATE_DIRECTORY"]
    scene.start_agent("b")


@fault(right_within=3, meanwhile=one_or_none)
def state_directory_full_of_garbage(scene):
    scene.agent["b"].kill()
    b = scene.host["b"]
    state = b.dir / "garbage"
    state.mkdir(exist_ok=True)
    b.env["STATE_DIRECTORY"] = str(state)
    scene.start_agent("b")
    scene.wait_right(10)
    scene.agent["b"].kill()
    for file in state.iterdir():
        file.write_bytes(os.urandom(4096))
    scene.start_agent("b")
    scene.wait_right(10)
    scene.agent["b"].kill()
    yield
    del b.env["STATE_DIRECTORY"]
    scene.start_agent("b")


HOLDER = """
import socket, sys, signal
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
held.bind((address, port))
if kind == "tcp": held.listen()
print("held", flush=True)
signal.pause()
"""


def held(host, kind, address, port):
    holder = host.start("holder", [harness.PYTHON, "-c", HOLDER, kind, address, port])
    holder.wait_line("^held$")
    return holder


@fault(right_within=6, wrong_for=3, meanwhile=lambda scene: {*one_or_none(scene), "none"})
def dns_port_taken_at_start(scene):
    scene.agent["c"].kill()
    holder = held(scene.host["c"], "udp", "127.0.0.55", 53)
    scene.start_agent("c")
    pause(1)
    yield
    holder.kill()


@fault(right_within=8, wrong_for=3, meanwhile=one_or_none)
def mdns_port_held_exclusively_at_start(scene):
    scene.agent["b"].kill()
    holder = held(scene.host["b"], "udp", "0.0.0.0", 5353)
    scene.start_agent("b")
    pause(2)
    yield
    holder.kill()


@fault(right_within=3, meanwhile=one_or_none)
def farp_port_taken_at_start(scene):
    scene.agent["b"].kill()
    holder = held(scene.host["b"], "tcp", "0.0.0.0", 5371)
    scene.start_agent("b", {"services": [{**HELLO, "id": "hello-b", "farp": {"openapi": "/openapi.json"}}]})
    scene.wait_right(10)
    yield
    holder.kill()
    scene.restart_agent("b")


@fault(right_within=2, meanwhile=one_host)
def resolver_configuration_rewritten(scene):
    resolv = scene.host["c"].dir / "resolv.conf"
    good = resolv.read_text()
    for text in ("", "nameserver 192.0.2.1\n", "garbage \0\n", good):
        resolv.write_text(text)
        pause(0.1)
    yield
    resolv.write_text(good)
