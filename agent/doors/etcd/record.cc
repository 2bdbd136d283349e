// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/record.h"

#include "agent/doors/etcd/journal.h"
#include "base/base64.h"
#include "base/json_members.h"
#include "base/text.h"

namespace outrider::doors::etcd {
namespace {

void write_kv(json::Writer& out, const KeyValue& kv) {
  out.member("key", base64_encode(kv.key)).member("value", base64_encode(kv.value));
  out.member("create", kv.create_revision).member("mod", kv.mod_revision);
  out.member("version", kv.version);
  if (kv.lease != 0) out.member("lease", std::to_string(kv.lease));
}

std::optional<std::string> octets_at(const json::Value& object, std::string_view key) {
  const json::Value* const member = object.find(key);
  if (member == nullptr || member->as_string() == nullptr) return std::nullopt;
  return base64_decode(*member->as_string());
}

/// 0 if there is none; nothing if it is no number.
std::optional<std::int64_t> id_at(const json::Value& object, std::string_view key) {
  const json::Value* const member = object.find(key);
  if (member == nullptr) return 0;
  if (member->as_string() == nullptr) return std::nullopt;
  return parse_number<std::int64_t>(*member->as_string());
}

KeyValuePtr read_kv(const json::Value& object) {
  auto key = octets_at(object, "key"), value = octets_at(object, "value");
  const auto lease = id_at(object, "lease");
  KeyValue kv{.key = {},
              .create_revision = json::number_at(object, "create"),
              .mod_revision = json::number_at(object, "mod"),
              .version = json::number_at(object, "version"),
              .value = {},
              .lease = lease.value_or(0)};
  if (!key || key->empty() || !value || !lease || kv.create_revision <= 0 ||
      kv.mod_revision < kv.create_revision || kv.version <= 0)
    return nullptr;
  kv.key = std::move(*key);
  kv.value = std::move(*value);
  return std::make_shared<const KeyValue>(std::move(kv));
}

std::optional<Event> read_event(const json::Value& object, std::int64_t revision) {
  if (!json::flag_at(object, "gone")) {
    KeyValuePtr kv = read_kv(object);
    if (kv == nullptr || kv->mod_revision != revision) return std::nullopt;
    return Event{Event::Type::put, std::move(kv), nullptr};
  }
  auto key = octets_at(object, "key");
  if (!key || key->empty()) return std::nullopt;
  KeyValue kv{.key = std::move(*key), .mod_revision = revision};
  return Event{Event::Type::deleted, std::make_shared<const KeyValue>(std::move(kv)), nullptr};
}

std::optional<OwnChange> read_own(const json::Value& object) {
  auto key = octets_at(object, "key");
  auto value = octets_at(object, "value");
  const auto lease = id_at(object, "lease");
  OwnChange own{.key = {}, .value = {}, .lease = 0, .gone = json::flag_at(object, "gone")};
  if (!key || key->empty() || !lease || (!value && !own.gone)) return std::nullopt;
  own.key = std::move(*key);
  if (value) own.value = std::move(*value);
  own.lease = *lease;
  return own;
}

std::optional<LeaseChange> read_lease(const json::Value& object) {
  const auto id = id_at(object, "id");
  LeaseChange lease{.id = id.value_or(0),
                    .ttl = json::number_at(object, "ttl"),
                    .gone = json::flag_at(object, "gone")};
  if (lease.id == 0 || (!lease.gone && lease.ttl <= 0)) return std::nullopt;
  return lease;
}

/// False: an element cannot be read.
template <class Element, class Read>
bool read_list(const json::Value& line, std::string_view key, std::vector<Element>& list,
               const Read& read) {
  for (const json::Value& each : json::list_at(line, key)) {
    auto element = read(each);
    if (!element) return false;
    list.push_back(std::move(*element));
  }
  return true;
}

}  // namespace

std::string write_record(const Record& record) {
  std::string line;
  json::Writer out(line);
  out.begin_object();
  if (record.begin) out.member("begin", *record.begin);
  if (record.base) write_kv(out, *record.base);
  if (!record.events.empty()) {
    out.member("revision", record.revision).key("events").begin_array();
    for (const Event& event : record.events) {
      out.begin_object();
      if (event.type == Event::Type::put)
        write_kv(out, *event.kv);
      else
        out.member("key", base64_encode(event.kv->key)).member("gone", true);
      out.end_object();
    }
    out.end_array();
  }
  if (!record.own.empty()) {
    out.key("own").begin_array();
    for (const OwnChange& own : record.own) {
      out.begin_object().member("key", base64_encode(own.key));
      if (own.gone)
        out.member("gone", true);
      else
        out.member("value", base64_encode(own.value)).member("lease", std::to_string(own.lease));
      out.end_object();
    }
    out.end_array();
  }
  if (!record.leases.empty()) {
    out.key("leases").begin_array();
    for (const LeaseChange& lease : record.leases) {
      out.begin_object().member("id", std::to_string(lease.id));
      if (lease.gone)
        out.member("gone", true);
      else
        out.member("ttl", lease.ttl);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
  return line;
}

std::optional<Record> read_record(std::string_view line) {
  const auto value = json::parse(line, kJournalLineBytesMax);
  if (!value || value->as_object() == nullptr) return std::nullopt;
  Record record;
  if (value->find("begin") != nullptr) {
    record.begin = json::number_at(*value, "begin");
    if (*record.begin <= 0) return std::nullopt;
  }
  if (value->find("key") != nullptr) {
    record.base = read_kv(*value);
    if (record.base == nullptr) return std::nullopt;
  }
  record.revision = json::number_at(*value, "revision");
  const auto event = [&](const json::Value& each) { return read_event(each, record.revision); };
  if (!read_list(*value, "events", record.events, event) ||
      !read_list(*value, "own", record.own, read_own) ||
      !read_list(*value, "leases", record.leases, read_lease))
    return std::nullopt;
  if (!record.events.empty() && record.revision <= 0) return std::nullopt;
  if (record.empty()) return std::nullopt;
  return record;
}

}  // namespace outrider::doors::etcd
