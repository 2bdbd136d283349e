// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/history_line.h"

#include <algorithm>

#include "base/json_members.h"
#include "base/json_repeated.h"
#include "base/utf8.h"

namespace outrider::registry {
namespace {

using json::Value;
using json::Writer;

// --- writing ---------------------------------------------------------------------------------

void unless_empty(Writer& out, std::string_view key, std::string_view text) {
  if (!text.empty()) out.member(key, text);
}
void if_set(Writer& out, std::string_view key, bool flag) {
  if (flag) out.member(key, true);
}
/// Below 2^53, which every reader of JSON keeps exact.
std::int64_t microseconds_of(WallTime wall) {
  return std::chrono::floor<std::chrono::microseconds>(wall.time_since_epoch()).count();
}

template <class List, class Write>
void write_list(Writer& out, std::string_view key, const List& list, const Write& write) {
  if (list.empty()) return;
  out.key(key).begin_array();
  for (const auto& each : list)
    write(each);
  out.end_array();
}

void write_description(Writer& out, const Instance& i) {
  const auto text = [&](const std::string& each) { out.value(each); };
  unless_empty(out, "version", i.version);
  out.member("port", std::uint64_t{i.port}).member("protocol", i.protocol);
  out.member("weight", std::uint64_t{i.weight});
  write_list(out, "tags", i.tags, text);
  write_list(out, "subtypes", i.subtypes, text);
  write_list(out, "flags", i.flags, text);
  if (i.metadata.empty()) return;
  out.key("metadata").begin_object();
  for (const auto& [key, value] : i.metadata)
    out.member(key, value);
  out.end_object();
}

void write_health(Writer& out, const Instance& i) {
  out.member("health", to_string(i.health));
  if (i.maintenance) out.member("maintenance", i.maintenance_reason);
  if_set(out, "draining", i.draining);
  if_set(out, "stale", i.stale);
  if_set(out, "shadowed", i.shadowed);
  write_list(out, "checks", i.checks, [&](const CheckState& check) {
    out.begin_object().member("id", check.spec.id).member("kind", kind_name(check.spec));
    unless_empty(out, "name", check.spec.name);
    out.member("health", to_string(check.health)).member("output", check.output);
    out.member("since", microseconds_of(check.since.wall)).end_object();
  });
}

void write_instance(Writer& out, const Instance& i) {
  out.begin_object().member("service", i.service.text()).member("id", i.id.text());
  write_description(out, i);
  write_list(out, "addresses", i.addresses, [&](const PlacedAddress& placed) {
    out.begin_array().value(placed.address.to_string());
    out.value(std::uint64_t{placed.interface}).end_array();
  });
  out.member("source", to_string(i.source)).member("scope", to_string(i.scope));
  unless_empty(out, "announced_id", i.announced_id);
  unless_empty(out, "identity", i.stated->identity);
  unless_empty(out, "node", i.stated->node);
  if_set(out, "this_host", i.on_this_host);
  if_set(out, "loopback_only", i.exposure->loopback_only);
  unless_empty(out, "limit", i.exposure->limit);
  unless_empty(out, "advice", i.exposure->advice);
  unless_empty(out, "local_name", i.local_name->name);
  write_list(out, "places", i.places, [&](const SightedPlace& place) {
    out.begin_array().value(place.engine).value(place.host).end_array();
  });
  write_health(out, i);
  out.member("registered", microseconds_of(i.registered.wall));
  out.member("up", microseconds_of(i.up.wall)).member("latest", microseconds_of(i.latest.wall));
  out.member("revision", i.revision).end_object();
}

void write_surroundings(Writer& out, const Surroundings& seen) {
  out.key("around").begin_object().member("name", seen.host.name).member("node", seen.host.node);
  write_list(out, "addresses", seen.host.addresses,
             [&](const IpAddress& address) { out.value(address.to_string()); });
  write_list(out, "subnets", seen.host.subnets,
             [&](const Prefix& subnet) { out.value(subnet.to_string()); });
  write_list(out, "listen", seen.listen, [&](const std::string& text) { out.value(text); });
  out.end_object();
}

// --- reading ---------------------------------------------------------------------------------

std::vector<std::string> texts_in(const Value& object, std::string_view key) {
  std::vector<std::string> texts;
  for (const Value& each : list_at(object, key))
    if (each.as_string() != nullptr) texts.push_back(*each.as_string());
  return texts;
}
std::uint16_t small_in(const Value& object, std::string_view key) {
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(number_at(object, key), 0, 0xffff));
}

template <class Enum, std::size_t Count>
std::optional<Enum> named(const std::string& text, const Enum (&all)[Count]) {
  for (const Enum each : all)
    if (text == to_string(each)) return each;
  return std::nullopt;
}
constexpr Source kSources[] = {Source::own, Source::host, Source::sighting, Source::consul,
                               Source::etcd};
constexpr std::string_view kEngines[] = {"mdns", "host", "etcd", "consul"};
constexpr Scope kScopes[] = {Scope::automatic, Scope::lan, Scope::host};

/// A check of this kind; what it does is not remembered.
std::optional<CheckSpec::Kind> kind_named(const std::string& name) {
  if (name == "https") return HttpCheckSpec{.url = "https://-"};
  const CheckSpec::Kind all[] = {HttpCheckSpec{}, TcpCheckSpec{}, GrpcCheckSpec{}, TtlCheck{},
                                 AliasCheck{}};
  for (const CheckSpec::Kind& kind : all)
    if (facts_of(kind).name == name) return kind;
  return std::nullopt;
}

void read_description(const Value& value, Instance& i) {
  i.version = text_at(value, "version");
  i.port = small_in(value, "port");
  i.protocol = text_at(value, "protocol");
  i.weight = small_in(value, "weight");
  i.tags = texts_in(value, "tags");
  i.subtypes = texts_in(value, "subtypes");
  i.flags = texts_in(value, "flags");
  const Value* const metadata = value.find("metadata");
  if (metadata == nullptr || metadata->as_object() == nullptr) return;
  for (const auto& [key, content] : *metadata->as_object())
    if (content.as_string() != nullptr) i.metadata.emplace(key, *content.as_string());
}

bool read_addresses(const Value& value, Instance& i) {
  for (const Value& each : list_at(value, "addresses")) {
    const json::Array* const pair = each.as_array();
    if (pair == nullptr || pair->size() != 2 || (*pair)[0].as_string() == nullptr ||
        (*pair)[1].as_int() == nullptr)
      return false;
    const auto address = IpAddress::parse(*(*pair)[0].as_string());
    if (!address || i.addresses.size() >= kAddressesSeenMax) return false;
    i.addresses.push_back({*address, static_cast<std::uint32_t>(*(*pair)[1].as_int())});
  }
  for (const Value& each : list_at(value, "places")) {
    const json::Array* const pair = each.as_array();
    if (pair == nullptr || pair->size() != 2 || (*pair)[0].as_string() == nullptr ||
        (*pair)[1].as_string() == nullptr || i.places.size() >= kPlacesMax)
      return false;
    const auto* const engine = std::ranges::find(kEngines, *(*pair)[0].as_string());
    if (engine == std::end(kEngines)) return false;
    i.places.push_back({.key = {}, .engine = *engine, .host = *(*pair)[1].as_string()});
  }
  return i.own() || !i.places.empty();
}

Surroundings read_surroundings(const Value& value) {
  Surroundings seen;
  seen.host.name = text_at(value, "name");
  seen.host.node = text_at(value, "node");
  for (const std::string& text : texts_in(value, "addresses"))
    if (const auto address = IpAddress::parse(text)) seen.host.addresses.push_back(*address);
  for (const std::string& text : texts_in(value, "subnets"))
    if (const auto subnet = Prefix::parse(text)) seen.host.subnets.push_back(*subnet);
  seen.listen = texts_in(value, "listen");
  return seen;
}

WallTime wall_in(const Value& value, std::string_view key) {
  return WallTime(std::chrono::microseconds(std::max<std::int64_t>(0, number_at(value, key))));
}

std::string key_of(const Instance& instance) {
  return instance.service.label() + ' ' + instance.id.text();
}

}  // namespace

HistoryHead::HistoryHead(const History& history, History::Place first, const Registry& now)
    : since_(history.since(first)), past_(history.past(first, now, std::nullopt)) {
  for (const std::string& label : past_.registry.services()) {
    lines_.push_back({label, nullptr});
    for (const InstancePtr& instance : past_.registry.instances(label))
      lines_.push_back({label, instance});
  }
  for (const std::string& label : past_.registry.remembered())
    lines_.push_back({label, nullptr});
}

std::size_t HistoryHead::write(std::string& text, std::size_t most) {
  const std::size_t begun = written_;
  for (; written_ <= lines_.size() && written_ - begun < most; ++written_)
    text += line(written_) + '\n';
  return written_ - begun;
}

std::string HistoryHead::line(std::size_t number) const {
  std::string text;
  Writer out(text);
  out.begin_object();
  if (number == 0) {
    out.member("outrider", "history").member("version", kHistoryVersion);
    out.member("since", microseconds_of(since_));
    write_surroundings(out, past_.surroundings);
  } else if (const Line& line = lines_[number - 1]; line.instance) {
    out.key("was");
    write_instance(out, *line.instance);
  } else {
    out.member("known", line.label).member("note", past_.registry.note(line.label));
  }
  out.end_object();
  return text;
}

std::string history_line(const History& history, History::Place place, const Registry& now) {
  const History::Event event = history.event(place);
  std::string text;
  Writer out(text);
  out.begin_object().member("at", microseconds_of(event.at));
  if (event.label.empty()) {
    write_surroundings(out, history.surroundings_after(place));
  } else {
    out.member("service", event.label);
    if (!event.known_before) out.member("known_before", false);
    unless_empty(out, "note_before", event.note_before);
    unless_empty(out, "note", event.after ? now.note(event.label) : event.note_after);
    if (event.before) out.member("gone", event.before->id.text());
    if (event.after) {
      out.key("is");
      write_instance(out, *event.after);
    }
  }
  out.end_object();
  return text + '\n';
}

// --- playing ---------------------------------------------------------------------------------

bool HistoryReader::read(std::string_view text) {
  const auto line = json::parse_repeated(text, kHistoryLineBytesMax);
  if (!line || line->as_object() == nullptr) return false;
  if (!begun_) return read_head(*line);
  if (const Value* const was = line->find("was")) {
    InstancePtr one = instance(*was);
    if (!one || there_.size() >= kHistoryInstancesMax) return false;
    there_.insert_or_assign(key_of(*one), one);
    return true;
  }
  if (line->find("known") != nullptr) {
    if (notes_.size() >= kHistoryInstancesMax) return false;
    notes_[text_at(*line, "known")] = text_at(*line, "note");
    return true;
  }
  return read_event(*line);
}

bool HistoryReader::read_head(const Value& line) {
  const Value* const around = line.find("around");
  if (text_at(line, "outrider") != "history" || around == nullptr) return false;
  if (number_at(line, "version") != kHistoryVersion) {
    refusal_ = "written by another version of outrider: format " +
               std::to_string(number_at(line, "version")) + ", expected " +
               std::to_string(kHistoryVersion);
    return false;
  }
  history_.begin(read_surroundings(*around), {now_.at, wall_in(line, "since")});
  begun_ = true;
  return true;
}

bool HistoryReader::read_event(const Value& line) {
  const WallTime at = wall_in(line, "at");
  if (const Value* const around = line.find("around")) {
    history_.see(read_surroundings(*around), {now_.at, at});
    return true;
  }
  const std::string label = text_at(line, "service");
  if (label.empty()) return false;
  Change change{.note_before = text_at(line, "note_before"),
                .known_before = line.find("known_before") == nullptr};
  if (const std::string gone = text_at(line, "gone"); !gone.empty()) {
    const auto before = there_.find(label + ' ' + gone);
    if (before == there_.end()) return false;
    change.before = before->second;
    there_.erase(before);
  }
  if (const Value* const is = line.find("is")) {
    change.after = instance(*is);
    if (!change.after || change.after->service.label() != label ||
        there_.size() >= kHistoryInstancesMax)
      return false;
    there_.insert_or_assign(key_of(*change.after), change.after);
  }
  const std::string note = text_at(line, "note");
  if (!change.before && !change.after) {
    notes_.erase(label);
    history_.forget(label, change.note_before, at);
    return true;
  }
  if (notes_.size() >= kHistoryInstancesMax && !notes_.contains(label)) return false;
  notes_[label] = note;
  history_.replay(change, note, at);
  return true;
}

void HistoryReader::end(const Surroundings& surroundings) {
  for (const auto& [key, instance] : there_) {
    std::string& note = notes_[instance->service.label()];
    const Change change{.before = instance, .note_before = note};
    note = instance->id.text() + " gone with the end of the agent";
    history_.replay(change, note, now_.wall);
  }
  for (const auto& [label, note] : notes_)
    history_.forget(label, note, now_.wall);
  history_.see(surroundings, now_);
}

Moment HistoryReader::moment(const Value& value, std::string_view key) const {
  const WallTime wall = wall_in(value, key);
  return {now_.at - (now_.wall - wall), wall};
}

InstancePtr HistoryReader::instance(const Value& value) const {
  const auto service = ServiceName::from_foreign(text_at(value, "service"));
  const auto id = InstanceId::from_foreign(text_at(value, "id"));
  const auto health = parse_health(text_at(value, "health"));
  const auto source = named(text_at(value, "source"), kSources);
  const auto scope = named(text_at(value, "scope"), kScopes);
  if (!service || !id || !health || !source || !scope) return nullptr;
  auto made = std::make_shared<Instance>(Instance{.id = *id, .service = *service});
  Instance& i = *made;
  read_description(value, i);
  i.health = *health;
  i.source = *source;
  i.scope = *scope;
  if (!read_addresses(value, i)) return nullptr;
  i.announced_id = text_at(value, "announced_id");
  i.stated = StatedHost{text_at(value, "identity"), text_at(value, "node")};
  i.on_this_host = flag_at(value, "this_host");
  i.exposure = Exposure{.loopback_only = flag_at(value, "loopback_only"),
                        .limit = text_at(value, "limit"),
                        .advice = text_at(value, "advice")};
  i.local_name = LocalName{.wanted = false, .name = text_at(value, "local_name")};
  i.maintenance = value.find("maintenance") != nullptr;
  i.maintenance_reason = text_at(value, "maintenance");
  i.draining = flag_at(value, "draining");
  i.stale = flag_at(value, "stale");
  i.shadowed = flag_at(value, "shadowed");
  for (const Value& each : list_at(value, "checks")) {
    const auto kind = kind_named(text_at(each, "kind"));
    const auto verdict = parse_check_health(text_at(each, "health"));
    if (!kind || !verdict || i.checks.size() >= kChecksPerInstanceMax) return nullptr;
    CheckState check{
        .spec = {.id = text_at(each, "id"), .name = text_at(each, "name"), .kind = *kind}};
    check.health = *verdict;
    check.output = text_at(each, "output");
    check.since = moment(each, "since");
    i.checks.push_back(std::move(check));
  }
  i.registered = moment(value, "registered");
  i.up = moment(value, "up");
  i.latest = moment(value, "latest");
  i.revision = static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(value, "revision")));
  return made;
}

}  // namespace outrider::registry
