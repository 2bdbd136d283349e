// SPDX-License-Identifier: Apache-2.0
// One agent's engine and a cluster of up to three members, each on a host of its own.
#pragma once

#include <algorithm>

#include <doctest/doctest.h>

#include "registries/etcd/etcd_engine.h"
#include "tests/registries/bed.h"
#include "tests/registries/etcd/fake_etcd.h"

namespace outrider::registries::etcd::test {

inline std::string kratos_value(const std::string& id, const std::string& name = "web") {
  return R"({"id":")" + id + R"(","name":")" + name +
         R"(","version":"v1","metadata":{},"endpoints":["http://10.1.0.1:80"]})";
}
inline std::string kratos_key(const std::string& id, const std::string& name = "web") {
  return "/microservices/" + name + '/' + id;
}

struct Bed : registries::test::EventBed {
  sim::Link& lan = world.link("lan");
  Store store{world.env()};
  std::vector<std::unique_ptr<Member>> members;
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
  PlaceStatus status() const { return engine->places().at(0); }
  std::string place() const override { return options.endpoints.front(); }
  /// Requests to all members.
  std::size_t count(std::string_view path) const {
    std::size_t all = 0;
    for (const auto& member : members)
      all += member->count(path);
    return all;
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
};

}  // namespace outrider::registries::etcd::test
