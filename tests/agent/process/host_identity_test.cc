// SPDX-License-Identifier: Apache-2.0
#include "agent/process/host_identity.h"

#include <doctest/doctest.h>

#include "agent/registry/model.h"

using namespace outrider;

TEST_CASE("a clone, a container and another machine have identities of their own") {
  const HostFacts facts{.machine_id = "0123456789abcdef0123456789abcdef",
                        .namespace_id = 4'026'531'840,
                        .link_address = "525400123456"};
  const std::string mine = host_identity(facts);
  CHECK(host_identity(facts) == mine);
  CHECK(mine.size() == 16);
  CHECK(mine.size() <= registry::kIdentityBytesMax);
  CHECK(mine.find(facts.machine_id) == std::string::npos);
  HostFacts clone = facts;
  clone.link_address = "525400123457";
  CHECK(host_identity(clone) != mine);
  HostFacts container = facts;
  container.namespace_id += 1;
  CHECK(host_identity(container) != mine);
  CHECK(namespace_identity(container) != namespace_identity(facts));
  CHECK(namespace_identity(clone) == namespace_identity(facts));  // another card
  HostFacts booted = facts, again = facts;
  booted.is_permanent = again.is_permanent = true;
  again.namespace_id += 1;
  CHECK(host_identity(again) == host_identity(booted));
  // Without a card, clones share everything but their boot.
  again.boot_id = "another";
  CHECK(host_identity(again) == host_identity(booted));
  HostFacts clone_without_card = facts;
  clone_without_card.boot_id = "another";
  CHECK(host_identity(clone_without_card) != mine);
  HostFacts other = facts;
  other.machine_id.back() = '0';
  CHECK(host_identity(other) != mine);
}

TEST_CASE("this host's facts are the same each time that they are read") {
  const HostFacts once = read_host_facts(), again = read_host_facts();
  CHECK(once.namespace_id != 0);
  CHECK(host_identity(once) == host_identity(again));
}
