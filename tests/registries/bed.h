// SPDX-License-Identifier: Apache-2.0
// What an engine reports, as lines of text: the part that the beds of all engines share.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "registries/engine.h"
#include "tests/sim/world.h"

namespace outrider::registries::test {

struct EventBed : Engine::Sink {
  sim::World world{5};
  sim::Host& us = world.host("us");
  std::vector<std::string> events;
  std::vector<Entry> seen;

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
  /// The place that the engine has to name.
  virtual std::string place() const = 0;

  void on_listed(const std::string& where, std::vector<Entry> entries) override {
    CHECK(where == place());
    std::string line = "list";
    for (const Entry& entry : entries) {
      CHECK(entry.place == where);
      line += ' ' + entry.id;
    }
    seen = std::move(entries);
    events.push_back(line);
  }
  void on_listed_in_part(const std::string& where, std::vector<Entry> entries,
                         std::set<std::string> kept) override {
    on_listed(where, std::move(entries));
    events.back() = "part " + events.back() + " and " + std::to_string(kept.size());
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

 protected:
  ~EventBed() = default;
};

}  // namespace outrider::registries::test
