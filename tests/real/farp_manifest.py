# SPDX-License-Identifier: Apache-2.0
"""An independent judge of FARP manifests: the rules written down again, in another language."""

import hashlib
import json
import re

TYPES = {"openapi", "asyncapi", "grpc", "graphql", "orpc", "thrift", "avro", "custom"}
STRATEGIES = {"root", "instance", "service", "versioned", "custom", "subdomain"}
STATUSES = {"starting", "healthy", "degraded", "unhealthy", "draining", "stopping"}


def go_hash(document):
    """SHA-256 of what Go's encoding/json would write (documents without fractions)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return hashlib.sha256(text.encode()).hexdigest()


def faults(manifest):
    """What is wrong with it, as a list of sentences."""
    wrong = []

    def need(holds, sentence):
        if not holds:
            wrong.append(sentence)

    need(re.fullmatch(r"1\.[01]\.\d+", manifest.get("version", "")), "version")
    for key in ("service_name", "service_version", "instance_id"):
        need(isinstance(manifest.get(key), str) and manifest[key], key)
    for key in ("schemas", "capabilities"):
        need(isinstance(manifest.get(key), list), f"{key} is not an array")
    need(isinstance(manifest.get("updated_at"), int), "updated_at is not an integer")
    need((manifest.get("endpoints") or {}).get("health"), "endpoints.health")
    routing = manifest.get("routing") or {}
    need(routing.get("strategy") in STRATEGIES, "routing.strategy")
    need(0 <= routing.get("priority", 50) <= 100, "routing.priority")
    instance = manifest.get("instance") or {}
    need(re.fullmatch(r"\S+:\d+", instance.get("address", "")), "instance.address")
    need(instance.get("status") in STATUSES, "instance.status")
    need(isinstance(instance.get("started_at"), int), "instance.started_at")
    need((manifest.get("auth") or {}).get("schemes", []) == [], "auth")
    for schema in manifest.get("schemas") or []:
        need(schema.get("type") in TYPES, "schema type")
        need(schema.get("spec_version"), "spec_version")
        need(schema.get("content_type"), "content_type")
        need(re.fullmatch("[0-9a-f]{64}", schema.get("hash", "")), "hash")
        need(isinstance(schema.get("size"), int) and schema["size"] >= 0, "size")
        location = schema.get("location") or {}
        if location.get("type") == "inline":
            need(go_hash(schema.get("inline_schema")) == schema.get("hash"), "inline_schema")
        else:
            need(location.get("type") == "http", "location.type")
            need(location.get("url", "").startswith("http://"), "location.url")
    hashes = sorted((schema["type"], schema["hash"]) for schema in manifest.get("schemas") or [])
    joined = "".join(value for _, value in hashes)
    wanted = hashlib.sha256(joined.encode()).hexdigest() if hashes else ""
    need(manifest.get("checksum") == wanted, "checksum")
    return wrong
