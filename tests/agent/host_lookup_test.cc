// SPDX-License-Identifier: Apache-2.0
#include "agent/host_lookup.h"

#include <optional>

#include <doctest/doctest.h>

#include "dns/wire/message_builder.h"
#include "tests/sim/world.h"

namespace outrider {
namespace {

/// Knows a few addresses; "NAME SERVER" of what it is asked for A.
struct Servers final : dns::Upstream {
  explicit Servers(Env& e) : env(e) {}
  struct Token final : Pending {
    Timer timer;
  };
  std::unique_ptr<Pending> send(const Endpoint& server, Bytes message, Duration timeout,
                                Answer answer) override {
    const auto query = dns::MessageView::parse(message);
    REQUIRE(query);
    const dns::Question question = query->question();
    const std::string name = question.name.to_string();
    if (question.type == dns::RrType::a) asked.push_back(name + ' ' + server.to_string());
    auto token = std::make_unique<Token>();
    const bool silent = server.to_string() == mute;
    token->timer = env.after(silent ? timeout : 1ms, [=, this, answer = std::move(answer),
                                                      id = query->header().id]() mutable {
      if (silent) return answer(failure(dns::UpstreamError::timed_out));
      std::uint8_t buffer[512];
      dns::MessageBuilder out(buffer);
      out.set_id(id);
      const auto found = known.find(name);
      const bool refused = server.to_string() == refusing;
      const std::uint8_t none = found == known.end() ? 3 : 0;
      out.set_flags({.response = true, .rcode = refused ? std::uint8_t{5} : none});
      REQUIRE(out.add_question(question));
      if (found != known.end() && !refused)
        for (const std::string& text : found->second) {
          const IpAddress address = *IpAddress::parse(text);
          if (address.is_v4() != (question.type == dns::RrType::a)) continue;
          dns::Record record;
          record.name = question.name;
          record.type = question.type;
          record.data = dns::AddressData{address};
          REQUIRE(out.add(dns::Section::answer, record));
        }
      answer(out.finish());
    });
    return token;
  }
  Env& env;
  std::map<std::string, std::vector<std::string>> known;
  std::vector<std::string> asked;
  std::string mute, refusing;
};

struct Bed {
  sim::World world{1};
  std::string hosts, resolv_conf = "nameserver 10.0.0.2\nnameserver 10.0.0.3\n", uplink_conf;
  Servers* servers = nullptr;
  std::unique_ptr<HostLookup> lookup;
  std::string heard;
  std::unique_ptr<Pending> token;

  Bed() {
    auto made = std::make_shared<std::unique_ptr<Servers>>(std::make_unique<Servers>(world.env()));
    servers = made->get();
    HostLookupParts parts;
    parts.hosts = [this] { return hosts; };
    parts.resolv_conf = [this] { return dns::parse_resolv_conf(resolv_conf); };
    parts.uplink_conf = [this] { return dns::parse_resolv_conf(uplink_conf); };
    parts.make_upstream = [made](Env&) { return std::move(*made); };
    parts.own = {*Endpoint::parse("127.0.0.55:53")};
    lookup = std::make_unique<HostLookup>(world.env(), std::move(parts));
  }
  std::string ask(const std::string& host) {
    heard = "nothing";
    token = lookup->look_up(host, [this](NameLookup::Found found) {
      CHECK(heard == "nothing");
      heard.clear();
      if (!found) heard = found.error();
      for (const IpAddress& address : found.value_or(std::vector<IpAddress>()))
        heard += (heard.empty() ? "" : " ") + address.to_string();
    });
    CHECK(heard == "nothing");
    world.advance(2s);
    return heard;
  }
};

TEST_CASE("the hosts file comes first") {
  Bed bed;
  bed.hosts = "# 10.9.9.9 etcd\n10.0.0.7\tetcd etcd.example # no other\n\nfd00::7 ETCD\nbad etcd\n";
  CHECK(bed.ask("Etcd") == "10.0.0.7 fd00::7");
  CHECK(bed.servers->asked.empty());
  CHECK(addresses_in_hosts("10.0.0.1 a", "b").empty());
  std::string many;
  for (int i = 0; i < 50; ++i)
    many += "10.0.0." + std::to_string(i) + " a\n";
  CHECK(addresses_in_hosts(many, "a").size() == kHostAddressesMax);
}

TEST_CASE("then the name servers, for both families") {
  Bed bed;
  bed.servers->known["etcd.example."] = {"fd00::1", "10.0.0.9"};
  CHECK(bed.ask("etcd.example") == "10.0.0.9 fd00::1");
  CHECK(bed.servers->asked == std::vector<std::string>{"etcd.example. 10.0.0.2:53"});
  CHECK(bed.ask("none.example") == "the name has no address");
}

TEST_CASE("search domains are used as libc does") {
  Bed bed;
  bed.resolv_conf += "search corp.example\n";
  bed.servers->known["etcd.corp.example."] = {"10.0.0.9"};
  CHECK(bed.ask("etcd") == "10.0.0.9");
  CHECK(bed.servers->asked.size() == 1);
  CHECK(bed.ask("etcd.") == "the name has no address");
  bed.servers->asked.clear();
  CHECK(bed.ask("a.b") == "the name has no address");
  CHECK(bed.servers->asked ==
        std::vector<std::string>{"a.b. 10.0.0.2:53", "a.b.corp.example. 10.0.0.2:53"});
}

TEST_CASE("a server that does not answer or refuses is followed by the next, within a second") {
  for (const bool mute : {false, true}) {
    Bed bed;
    bed.servers->known["etcd.example."] = {"10.0.0.9"};
    (mute ? bed.servers->mute : bed.servers->refusing) = "10.0.0.2:53";
    CHECK(bed.ask("etcd.example") == "10.0.0.9");
    CHECK(bed.servers->asked.size() == 2);
    bed.resolv_conf = "nameserver 10.0.0.2\n";
    CHECK(bed.ask("etcd.example") == "no name server answers");
  }
  CHECK(2 * kHostLookupPatience < 1s);
}

TEST_CASE("the agent never asks itself") {
  Bed bed;
  bed.resolv_conf = "nameserver 127.0.0.55\n";
  CHECK(bed.ask("etcd.example") == "no name server answers");
  CHECK(bed.servers->asked.empty());
  bed.uplink_conf = "nameserver 127.0.0.55\nnameserver 10.0.0.4\n";
  bed.servers->known["etcd.example."] = {"10.0.0.9"};
  CHECK(bed.ask("etcd.example") == "10.0.0.9");
  CHECK(bed.servers->asked == std::vector<std::string>{"etcd.example. 10.0.0.4:53"});
}

TEST_CASE("a lookup that is given up makes no call") {
  Bed bed;
  bed.heard = "nothing";
  bed.token = bed.lookup->look_up("etcd.example", [&](auto) { bed.heard = "called"; });
  bed.token.reset();
  bed.world.advance(2s);
  CHECK(bed.heard == "nothing");
}

}  // namespace
}  // namespace outrider
