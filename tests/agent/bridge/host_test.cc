// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/host.h"

#include <doctest/doctest.h>

namespace outrider::bridge {
namespace {

const std::vector<std::string> kDomains = {"svc", "corp.example"};

std::string meaning(std::string_view text) {
  const Host host = read_host(text, kDomains);
  switch (host.kind) {
    case Host::Kind::other:
      return "other";
    case Host::Kind::page:
      return "page";
    case Host::Kind::service:
      return host.name;
  }
  return {};
}

TEST_CASE("localhost and loopback addresses are the page, with or without a port") {
  for (const char* text : {"localhost", "localhost:5380", "LocalHost", "localhost.",
                           "localhost.:5380", "127.0.0.1:5380", "127.0.0.2", "[::1]", "[::1]:5380"})
    CHECK_MESSAGE(meaning(text) == "page", text);
}

TEST_CASE("a name below localhost or a domain of the DNS is a service") {
  CHECK(meaning("hello.localhost:5380") == "hello");
  CHECK(meaning("HELLO.LocalHost") == "hello");
  CHECK(meaning("hello.localhost.") == "hello");
  CHECK(meaning("hello.svc") == "hello");
  CHECK(meaning("hello.svc:80") == "hello");
  CHECK(meaning("hello.corp.example") == "hello");
  CHECK(meaning("hello.svc.localhost") == "hello");
  CHECK(meaning("blue._tag.web.localhost") == "blue._tag.web");
  CHECK(meaning("web-1.web.svc") == "web-1.web");
  CHECK(meaning("pay_api.localhost") == "pay_api");
}

TEST_CASE("names of others, addresses and what is no name are not ours") {
  for (const char* text : {"",
                           "hello",
                           "localhost..",
                           "127.0.0.1.",
                           "[::1].",
                           "[::ffff:127.0.0.1]",
                           "2130706433",
                           "127.1",
                           "0.0.0.0",
                           "evil.example",
                           "hello.svc.evil.example",
                           "localhost.evil.example",
                           "svc",
                           ".localhost",
                           "a..b.localhost",
                           "10.0.0.1",
                           "10.0.0.1:80",
                           "10.0.0.1.localhost",
                           "[fe80::1]",
                           "hello.localhost:port",
                           "hello.localhost:99999",
                           "hello.localhost:",
                           "he%6clo.localhost",
                           "hello.localhost:80:80",
                           "xsvc",
                           "corp.example"})
    CHECK_MESSAGE(meaning(text) == "other", text);
  CHECK(meaning(std::string(64, 'x') + ".localhost") == "other");
  CHECK(meaning(std::string(63, 'x') + ".localhost") == std::string(63, 'x'));
}

}  // namespace
}  // namespace outrider::bridge
