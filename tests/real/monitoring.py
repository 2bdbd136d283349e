#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard and the Prometheus alerts of packaging/, judged by promtool, and by the metrics of an agent."""

import json
import re
import shutil

import harness
from harness import Skip, check, equal

DASHBOARD = harness.TOP / "packaging/grafana/outrider.json"
ALERTS = harness.TOP / "packaging/prometheus/outrider-alerts.yml"
NAME = re.compile(r"\boutrider_[a-z_]+")
COLUMNS = 24
# Of registries and exports that this agent does not have; the name is in the source all the same.
CONFIG = {
    "dns": {"listen": ["127.0.0.55:53"]},
    "services": [{"name": "hello", "id": "hello-1", "port": 8000, "checks": [{"tcp": "127.0.0.1:8000"}]}],
}
TESTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'up{{job="outrider", instance="a"}}', values: '1x3 0x9'}}
      - {{series: 'outrider_dns_bound{{instance="a"}}', values: '1x20'}}
      - {{series: 'outrider_registry_instances{{health="critical", source="own", instance="a"}}', values: '0 2x19'}}
      - {{series: 'outrider_dns_forward_total{{event="sent", instance="a"}}', values: '0+60x20'}}
      - {{series: 'outrider_dns_forward_total{{event="failed", instance="a"}}', values: '0+30x20'}}
      - {{series: 'outrider_api_streams_lagged_total{{instance="a"}}', values: '0x20'}}
      - {{series: 'outrider_api_clients_lagged_total{{instance="a"}}', values: '0x20'}}
    alert_rule_test:
      - {{eval_time: 3m, alertname: OutriderDown, exp_alerts: []}}
      - {{eval_time: 9m, alertname: OutriderDnsNotListening, exp_alerts: []}}
      - {{eval_time: 4m, alertname: OutriderInstanceCritical, exp_alerts: []}}
      - {{eval_time: 9m, alertname: OutriderClientsLag, exp_alerts: []}}
    promql_expr_test:
      - {{expr: 'count(ALERTS{{alertname="OutriderDown", alertstate="firing"}})', eval_time: 8m,
          exp_samples: [{{value: 1}}]}}
      - {{expr: 'count(ALERTS{{alertname="OutriderInstanceCritical", alertstate="firing"}})', eval_time: 8m,
          exp_samples: [{{value: 1}}]}}
      - {{expr: 'count(ALERTS{{alertname="OutriderForwardingFails", alertstate="firing"}})', eval_time: 15m,
          exp_samples: [{{value: 1}}]}}
"""


def names_in_source():
    found = set()
    for file in (harness.TOP / "agent").rglob("*.cc"):
        found |= set(re.findall(r'"(outrider_[a-z_]+)"', file.read_text()))
    return found


def names_in(expressions):
    return {name for expression in expressions for name in NAME.findall(expression)}


def scenario(world):
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    alerts = re.findall(r"expr: (?:\|\n)?((?:.*\n)(?: {12}.*\n)*)", ALERTS.read_text())
    host = world.host("a")
    agent = host.agent(CONFIG)
    agent.wait_line("event=agent_ready")
    socket = host.dir / "outrider/agent.sock"

    with world.step("the dashboard and the alerts use metrics that the agent has"):
        said = host.run(["curl", "-sS", "--unix-socket", socket, "http://agent/metrics"])[1]
        served = set(re.findall(r"^# TYPE (\S+)", said, re.M))
        used = names_in(shown) | names_in(alerts)
        check(len(used) > 25, f"only {sorted(used)}")
        beyond = {name for name in used - served if not name.startswith(("outrider_registry_", "outrider_export_"))}
        equal(beyond, set(), "not served")
        equal(used - names_in_source(), set(), "not in the source")
        for name in used:
            rated = re.search(rf"(rate|increase)\({name}\b", " ".join(shown + alerts)) is not None
            equal(rated, name.endswith("_total"), f"{name}: counters are rated, gauges are not")

    with world.step("the panels have a title, a query and a place of their own"):
        taken = {}
        for panel in panels:
            at = panel["gridPos"]
            check(panel["title"] and panel["targets"] and at["x"] + at["w"] <= COLUMNS, str(panel))
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    equal(other, panel["title"], "two panels at one place")
        equal(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]), "ids")

    with world.step("promtool accepts every query, and the alerts fire when they should") as say:
        if shutil.which("promtool") is None:
            raise Skip("promtool is not there")
        say(host.run(["promtool", "check", "rules", ALERTS])[1].split("\n")[1].strip())
        queries = host.dir / "queries.yml"
        plain = [expr.replace("$__rate_interval", "5m") for expr in shown]
        rules = [{"record": f"panel:{i}", "expr": expr} for i, expr in enumerate(plain)]
        queries.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        host.run(["promtool", "check", "rules", queries])
        tests = host.dir / "alerts_test.yml"
        tests.write_text(TESTS.format(rules=ALERTS))
        host.run(["promtool", "test", "rules", tests])


if __name__ == "__main__":
    harness.main(scenario)
