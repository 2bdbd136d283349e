#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The network of the real tests itself, with other people's programs only.

When a scenario fails and this one does too, look at the machine rather than at Outrider.
"""

import harness


def scenario(world):
    harness.need("avahi-daemon", "avahi-publish", "avahi-browse", "dbus-daemon", "curl")
    a, b = world.host("a"), world.host("b")
    with world.step("HTTP from one host to the other, over IPv4 and IPv6"):
        a.http_server(8000, bind="::")
        for address in (a.ip4, f"[{a.ip6}]"):
            argv = ["curl", "-sS", f"http://{address}:8000/"]
            harness.equal(b.run(argv)[1], "page of a\n", f"the page of {address}")
    with world.step(
        "a service published by avahi-daemon on one is resolved by avahi-daemon on the other"
    ):
        a.avahi_daemon()
        b.avahi_daemon()
        a.start(
            "publish",
            ["avahi-publish", "-s", "plain", "_plain._tcp", "8000", "key=value with spaces"],
        )
        seen = harness.wait_for("plain in avahi-browse", lambda: b.avahi_resolve("_plain._tcp"))
        harness.equal(seen[0].txt, {"key": "value with spaces"}, "TXT")
        harness.equal(seen[0].port, 8000, "port")
    with world.step("and by python3-zeroconf"):
        seen = b.zeroconf_resolve("_plain._tcp", 1)
        harness.equal(seen["plain"]["txt"], {"key": "value with spaces"}, "TXT")
    with world.step("a folder below which something is mounted is kept, with what is in it"):
        folder = world.dir / "kept"
        (folder / "mounted here").mkdir(parents=True)
        harness.run(["mount", "-t", "tmpfs", "tmpfs", str(folder / "mounted here")])
        (folder / "mounted here/file").touch()
        found = [harness.remove_folder(folder), (folder / "mounted here/file").exists()]
        harness.equal(found, [False, True], "removed, still there")
        harness.run(["umount", str(folder / "mounted here")])
        found = [harness.remove_folder(folder), folder.exists()]
        harness.equal(found, [True, False], "removed, still there")
    with world.step("each host has a resolver configuration of its own"):
        harness.check("127.0.0.55" in a.run(["cat", "/etc/resolv.conf"])[1], "not ours")


if __name__ == "__main__":
    harness.main(scenario)
