// SPDX-License-Identifier: Apache-2.0
#include "tests/scenarios/mdns/sim_bed.h"

#include <algorithm>

namespace outrider::mdns {
namespace {

constexpr const char* kDevicePrefix = "192.168.1.2/24";
constexpr Duration kStopWithin = 2s;

/// "label type port key=value…"; "sub=_v1" is a subtype.
Announcement announcement(const std::vector<std::string>& words) {
  Announcement out;
  out.label = words[0];
  out.type = words[1];
  out.port = static_cast<std::uint16_t>(std::stoi(words[2]));
  for (std::size_t i = 3; i < words.size(); ++i)
    if (words[i].starts_with("sub="))
      out.subtypes.push_back(words[i].substr(4));
    else
      out.txt.push_back(words[i]);
  return out;
}

}  // namespace

SimBed::SimBed(std::uint64_t seed) : world_(seed) {
  sim::Link& lan = world_.link("lan");
  world_.host("device").attach(kTesterInterface, lan, {kDevicePrefix});
  world_.host("tester").attach(kTesterInterface, lan,
                               {std::begin(kTesterAddresses), std::end(kTesterAddresses)});
  world_.host("tester").add_address(kTesterInterface, "fe80::9/64");
  agent("").host = &world_.host("device");
}

SimBed::Agent& SimBed::agent(const std::string& name) {
  Agent& one = agents_[name];
  one.options.host = one.options.cookie = name.empty() ? "box" : name;
  return one;
}

Peer& SimBed::started(Agent& agent) {
  if (!agent.peer) agent.peer = std::make_unique<Peer>(*agent.host, agent.options);
  return *agent.peer;
}

std::string SimBed::device(const std::vector<std::string>& all) {
  Words words(all.begin() + 1, all.end());
  std::string name;
  if (!words.empty() && words[0].starts_with('@')) {
    name = words[0].substr(1);
    words.erase(words.begin());
  }
  if (all[0] == "AGENT") {  // @NAME here, or @NAME PREFIX: another one of this host, or of its own
    if (words.size() != 1 || name.empty()) return "AGENT @NAME here|PREFIX";
    Agent& one = agent(name);
    one.host = &world_.host(words[0] == "here" ? "device" : name);
    if (words[0] != "here") one.host->attach(kTesterInterface, world_.link("lan"), words);
    (void)started(one);
    return {};
  }
  const auto found = agents_.find(name);
  if (found == agents_.end()) return "no agent @" + name;
  return on(found->second, all[0], words);
}

std::string SimBed::on(Agent& agent, const std::string& verb, const Words& words) {
  if (verb == "REGISTER") return publish(agent, words);
  if (verb == "RENAME") return rename(agent, words);
  if (verb == "SEES") return sees(agent, words);
  if (verb == "OPTIONS") return options(agent, words);
  if (verb == "START") {
    (void)started(agent);
  } else if (verb == "KILL") {
    agent.peer.reset();
    agent.ids.clear();
  } else if (verb == "STOP") {
    started(agent).stop();
    const bool stopped = world_.run_until([&] { return agent.peer->stopped; }, kStopWithin);
    return stopped ? "" : "it does not stop";
  } else if (verb == "WITHDRAW" && words.size() == 1) {
    started(agent)->withdraw(agent.ids[words[0]]);
  } else if (verb == "BROWSE") {
    started(agent)->browse(words);
  } else {
    return on_host(*agent.host, verb, words);
  }
  return {};
}

std::string SimBed::on_host(sim::Host& host, const std::string& verb, const Words& words) {
  const std::string first = words.empty() ? "" : words[0];
  if (verb == "SLEEP")
    host.sleep();
  else if (verb == "WAKE")
    host.wake();
  else if (verb == "CABLE" && (first == "out" || first == "in"))
    host.set_up(kTesterInterface, first == "in");
  else if (verb == "ADDRESS" && words.size() == 2 && first == "add")
    host.add_address(kTesterInterface, words[1]);
  else if (verb == "ADDRESS" && words.size() == 2 && first == "remove")
    host.remove_address(kTesterInterface, Prefix::parse(words[1])->address.to_string());
  else
    return "no such step";
  return {};
}

std::string SimBed::publish(Agent& agent, const Words& words) {
  if (words.size() < 3) return "REGISTER LABEL TYPE PORT [KEY=VALUE]…";
  AnnouncementId& id = agent.ids[words[0]];
  if (id == 0) id = next_id_++;
  const auto published = started(agent)->publish(id, announcement(words));
  return published ? "" : to_string(published.error());
}

/// OLD NEW TYPE PORT …
std::string SimBed::rename(Agent& agent, const Words& words) {
  const auto old = agent.ids.find(words.empty() ? "" : words[0]);
  if (words.size() < 4 || old == agent.ids.end()) return "RENAME OLD NEW TYPE PORT [KEY=VALUE]…";
  agent.ids[words[1]] = old->second;
  agent.ids.erase(words[0]);
  return publish(agent, {words.begin() + 1, words.end()});
}

/// [no] LABEL TYPE [ADDRESS]…
std::string SimBed::sees(Agent& agent, const Words& words) {
  const bool no = !words.empty() && words[0] == "no";
  if (words.size() < (no ? 3U : 2U)) return "SEES [no] LABEL TYPE [ADDRESS]…";
  const Sighting* seen = started(agent).sees(words[no ? 1 : 0], words[no ? 2 : 1]);
  if (no || seen == nullptr)
    return no == (seen == nullptr) ? "" : no ? "it sees it" : "it does not";
  Words addresses;
  for (const SightedAddress& address : seen->addresses)
    addresses.push_back(address.address.to_string());
  if (words.size() == 2 || addresses == Words(words.begin() + 2, words.end())) return {};
  std::string text;
  for (const std::string& address : addresses)
    text += ' ' + address;
  return "at" + text;
}

std::string SimBed::options(Agent& agent, const Words& words) {
  for (const std::string& word : words)
    if (word == "ttl=rfc")
      agent.options.ttl = TtlProfile::rfc;
    else if (word == "conflict=fail")
      agent.options.conflict = ConflictPolicy::fail;
    else
      return "no such option: " + word;
  return {};
}

}  // namespace outrider::mdns
