// SPDX-License-Identifier: Apache-2.0
// One agent's engine and a cluster of up to three members, each on a host of its own.
#pragma once

#include <algorithm>

#include <doctest/doctest.h>

#include "registries/etcd/etcd_engine.h"
#include "tests/registries/etcd/fake_etcd.h"
#include "tests/sim/world.h"

namespace outrider::registries::etcd::test {

inline std::string kratos_value(const std::string& id, const std::string& name = "web") {
  return R"({"id":")" + id + R"(","name":")" + name +
         R"(","version":"v1","metadata":{},"endpoints":["http://10.1.0.1:80"]})";
}
inline std::string kratos_key(const std::string& id, const std::string& name = "web") {
  return "/microservices/" + name + '/' + id;
}

struct Bed : Engine::Sink {
  sim::World world{5};
  sim::Link& lan = world.link("lan");
  sim::Host& us = world.host("us");
  Store store{world.env()};
  std::vector<std::unique_ptr<Member>> members;
  std::vector<std::string> events;
  std::vector<Entry> seen;
  std::unique_ptr<EtcdEngine> engine;
  Options options{.endpoints = {}, .layouts = {}, .user = {}, .password_file = {}, .writer = "me"};

  explicit Bed(int count = 1) {
    us.attach("eth0", lan, {"10.0.0.1/24"});
    options.layouts.kratos = KratosLayout{};
    for (int i = 0; i < count; ++i) {
      sim::Host& host = world.host("s" + std::to_string(i));
      const std::string address = "10.0.0.1" + std::to_string(i);
      host.attach("eth0", lan, {address + "/24"});
      members.push_back(std::make_unique<Member>(host.env(), 2379, store));
      options.endpoints.push_back("http://" + address + ":2379");
    }
  }
  void start(NameLookup* names = nullptr) {
    engine = std::make_unique<EtcdEngine>(us.env(), options, names);
    engine->start(*this);
  }
  Member& etcd(std::size_t i = 0) { return *members[i]; }
  std::string after(Duration time) {
    world.advance(time);
    return take();
  }
  std::string take() {
    std::string text;
    for (const std::string& event : std::exchange(events, {}))
      text += (text.empty() ? "" : " | ") + event;
    return text;
  }
  PlaceStatus status() const { return engine->places().at(0); }
  static Entry registration(const std::string& id, const std::string& service = "own") {
    Entry entry{.key = id};
    entry.service = service;
    entry.id = id;
    entry.version = "v1";
    entry.protocol = "http";
    entry.port = 8080;
    entry.addresses = {*IpAddress::parse("10.0.0.1")};
    return entry;
  }
  std::string keys() const {
    std::string text;
    for (const auto& [key, kept] : store.keys)
      text += (text.empty() ? "" : " ") + key;
    return text;
  }
  bool holds(const std::string& key) const {
    const auto found = store.keys.find(key);
    return found != store.keys.end() && found->second.lease == status().lease &&
           status().lease != 0;
  }

  void on_listed(const std::string& place, std::vector<Entry> entries) override {
    CHECK(place == options.endpoints.front());
    std::string line = "list";
    for (const Entry& entry : entries) {
      CHECK(entry.place == place);
      line += ' ' + entry.id;
    }
    seen = std::move(entries);
    events.push_back(line);
  }
  void on_sighting(Entry entry) override {
    events.push_back("has " + entry.id);
    seen.push_back(std::move(entry));
  }
  void on_lost(const std::string&, const std::string& key) override {
    events.push_back("lost " + key.substr(key.rfind('/') + 1));
  }
  void on_state(const std::string&, PlaceState state, const std::string& reason) override {
    events.push_back(to_string(state) + (reason.empty() ? "" : ": " + reason));
  }
  void on_restarted(const std::string&, const std::string& reason) override {
    events.push_back("restarted: " + reason);
  }
  void on_conflict(const std::string& id, const std::string& key,
                   const std::string& holder) override {
    events.push_back("conflict " + id + ' ' + key + " <" + holder + '>');
  }
  void on_claim(const std::string& name, bool held, const std::string& reason) override {
    events.push_back("claim " + name + (held ? " held" : " not held: " + reason));
  }
};

}  // namespace outrider::registries::etcd::test
