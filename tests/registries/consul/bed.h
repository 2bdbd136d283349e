// SPDX-License-Identifier: Apache-2.0
// One agent's engine and the Consul agent of its host.
#pragma once

#include <algorithm>

#include <doctest/doctest.h>

#include "registries/consul/consul_engine.h"
#include "tests/registries/bed.h"
#include "tests/registries/consul/fake_consul.h"

namespace outrider::registries::consul::test {

struct Bed : registries::test::EventBed {
  FakeConsul consul{us.env(), 8500};
  std::unique_ptr<ConsulEngine> engine;
  Options options{
      .address = "http://127.0.0.1:8500", .services = {"web"}, .token_file = {}, .writer = "me"};

  void start() {
    engine = std::make_unique<ConsulEngine>(us.env(), options, nullptr);
    engine->start(*this);
  }
  PlaceStatus status() const { return engine->places().at(0); }
  std::string place() const override { return options.address; }
  std::string status_of(const std::string& id) const {
    const FakeCheck* check = consul.check(id);
    return check != nullptr ? check->status : "none";
  }
};

}  // namespace outrider::registries::consul::test
