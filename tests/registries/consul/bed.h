// SPDX-License-Identifier: Apache-2.0
// One agent's engine and the Consul agent of its host.
#pragma once

#include <algorithm>

#include <doctest/doctest.h>

#include "registries/consul/consul_engine.h"
#include "tests/registries/consul/fake_consul.h"
#include "tests/sim/world.h"

namespace outrider::registries::consul::test {

struct Bed : Engine::Sink {
  sim::World world{5};
  sim::Host& us = world.host("us");
  FakeConsul consul{us.env(), 8500};
  std::vector<std::string> events;
  std::vector<Entry> seen;
  std::unique_ptr<ConsulEngine> engine;
  Options options{
      .address = "http://127.0.0.1:8500", .services = {"web"}, .token_file = {}, .writer = "me"};

  void start() {
    engine = std::make_unique<ConsulEngine>(us.env(), options, nullptr);
    engine->start(*this);
  }
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
  std::string status_of(const std::string& id) const {
    const FakeCheck* check = consul.check(id);
    return check != nullptr ? check->status : "none";
  }

  void on_listed(const std::string& place, std::vector<Entry> entries) override {
    CHECK(place == options.address);
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
};

}  // namespace outrider::registries::consul::test
