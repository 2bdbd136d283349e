# SPDX-License-Identifier: Apache-2.0
"""The servers of bench/run dns. Each function writes a configuration and returns the command, or None when the
program is not installed: (lab, folder, port, records) -> command. To add one, write it and put it into ALL."""

import os
import shutil


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def value_in_master_file(kind, value):
    if kind == "TXT":
        return f'"{value}"'
    return value + "." if kind == "SRV" else value


def master_file(folder, records, ttl=5):
    lines = ["$ORIGIN .", f"$TTL {ttl}", "svc. IN SOA ns.svc. host.svc. 1 3600 600 86400 5", "svc. IN NS ns.svc.",
             "ns.svc. IN A 127.0.0.1"]
    lines += [f"{name}. IN {kind} {value_in_master_file(kind, value)}" for name, kind, value in records]
    (folder / "svc.zone").write_text("\n".join(lines) + "\n")


def limit(place, _folder, port, _records):
    return [place.build / "bench/echo_limit", f"127.0.0.1:{port}"]


def uv_echo(place, _folder, port, _records):
    return [place.build / "bench/uv_echo", f"127.0.0.1:{port}"]


def outrider(place, _folder, port, _records):
    return [place.build / "bench/zone_server", f"127.0.0.1:{port}", place.folder / "records.txt"]


def outrider_changing(place, folder, port, records):
    """While 1,000 names a second change."""
    return [*outrider(place, folder, port, records), "1000"]


def nsd(_place, folder, port, records, ttl=5):
    if not program("nsd"):
        return None
    master_file(folder, records, ttl)
    (folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/pid"
  xfrdfile: "{folder}/xfrd"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zones"
  rrl-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
zone:
  name: svc
  zonefile: svc.zone
""")
    return [program("nsd"), "-d", "-c", folder / "nsd.conf"]


def knot(_place, folder, port, records):
    if not program("knotd"):
        return None
    master_file(folder, records)
    os.makedirs(folder / "db")
    (folder / "knot.conf").write_text(f"""
server:
  rundir: "{folder}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{folder}/db"
log:
  - target: stderr
    any: error
zone:
  - domain: svc
    file: "{folder}/svc.zone"
    semantic-checks: false
    journal-content: none
    zonefile-sync: -1
""")
    return [program("knotd"), "-c", folder / "knot.conf"]


def run_unbound(folder, port, server, more=""):
    """The common part of its configuration, `server` for that clause and `more` behind it."""
    if not program("unbound"):
        return None
    (folder / "unbound.conf").write_text(f"""
server:
  interface: 127.0.0.1
  port: {port}
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  minimal-responses: yes
{server}
remote-control:
  control-enable: no
{more}""")
    return [program("unbound"), "-d", "-c", folder / "unbound.conf"]


def unbound(_place, folder, port, records):
    data = ['  local-zone: "svc." static']
    for name, kind, value in records:
        quote = "'" if kind == "TXT" else '"'
        data.append(f"  local-data: {quote}{name}. 5 IN {kind} {value_in_master_file(kind, value)}{quote}")
    return run_unbound(folder, port, "\n".join(data))


def dnsmasq(_place, folder, port, records):
    if not program("dnsmasq"):
        return None
    lines = [f"port={port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "user=root",
             "pid-file=", "local-ttl=5", "local=/svc/", f"addn-hosts={folder}/hosts"]
    hosts = []
    for name, kind, value in records:
        if kind == "SRV":
            priority, weight, service_port, target = value.split()
            lines.append(f"srv-host={name},{target},{service_port},{priority},{weight}")
        elif kind == "TXT":
            lines.append(f'txt-record={name},"{value}"')
        else:
            hosts.append(f"{value} {name}")
    (folder / "hosts").write_text("\n".join(hosts) + "\n")
    (folder / "dnsmasq.conf").write_text("\n".join(lines) + "\n")
    return [program("dnsmasq"), "--keep-in-foreground", f"--conf-file={folder}/dnsmasq.conf", "--log-facility=-"]


ALL = {"limit": limit, "uv_echo": uv_echo, "outrider": outrider,
       "outrider_changing": outrider_changing, "nsd": nsd, "knot": knot, "unbound": unbound,
       "dnsmasq": dnsmasq}
