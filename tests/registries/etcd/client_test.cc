// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/client.h"

#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd {
namespace {

using test::Bed;

TEST_CASE("at most 16 endpoints are used, learned ones last") {
  std::vector<std::string> urls;
  for (int i = 0; i < 20; ++i)
    urls.push_back("http://10.0.0." + std::to_string(i) + ":2379");
  Endpoints many(urls);
  CHECK(many.size() == kEndpointsMax);
  many.learn({"http://new:1"});
  CHECK(many.size() == kEndpointsMax);
  Endpoints one({"http://a:1"});
  one.learn({"http://a:1", "http://b:1", "http://b:1"});
  one.learn(urls);
  CHECK(one.size() == kEndpointsMax);
  CHECK(one.at(0) == "http://a:1");
  CHECK(one.at(1) == "http://b:1");
  CHECK(one.at(kEndpointsMax) == "http://a:1");
  one.forget("http://b:1");
  one.forget("http://a:1");
  CHECK(one.size() == kEndpointsMax - 1);
  CHECK(one.at(0) == "http://a:1");
}

TEST_CASE("servers that the cluster names get no less protection than the configured ones") {
  const auto learned = [](const std::vector<std::string>& configured, const std::string& url) {
    Endpoints endpoints(configured);
    endpoints.learn({url});
    return endpoints.size() > configured.size();
  };
  const std::string plain = "http://10.0.0.5:2379", tls = "https://10.0.0.5:2379";
  CHECK(learned({plain}, "http://10.0.0.6:2379"));
  CHECK(learned({plain}, tls));
  CHECK(learned({tls}, "https://10.0.0.6:2379"));
  CHECK(!learned({tls}, plain));
  CHECK(!learned({tls, plain}, "http://10.0.0.6:2379"));
  CHECK(!learned({plain}, "unix:///run/etcd.sock"));
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "etcd.localhost", "127.0.0.1",
                           "127.9.9.9", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"}) {
    CAPTURE(host);
    const std::string url = std::string("http://") + host + ":2379";
    CHECK(!learned({plain}, url));
    CHECK(learned({"http://127.0.0.1:2400"}, url));
    CHECK(learned({plain, "http://localhost:2400"}, url));
  }
  CHECK(learned({plain}, "http://notlocalhost:2379"));
  CHECK(learned({plain}, "http://localhost.example:2379"));
}

TEST_CASE("only configured servers say which cluster it is") {
  Endpoints endpoints({"http://a:1", "http://b:1"});
  endpoints.learn({"http://c:1"});
  CHECK(endpoints.accepts("http://c:1", "7"));  // nothing to compare with
  CHECK(endpoints.accepts("http://a:1", "8"));
  CHECK(endpoints.accepts("http://c:1", "8"));
  CHECK(endpoints.accepts("http://c:1", ""));
  CHECK(!endpoints.accepts("http://c:1", "7"));
  CHECK(endpoints.accepts("http://b:1", "9"));  // made again
  CHECK(!endpoints.accepts("http://c:1", "8"));
}

TEST_CASE("every endpoint is tried at once, then ever more rarely") {
  SeededRandom random(1);
  BackOff back_off;
  for (int i = 0; i < 3; ++i)
    CHECK(back_off.next(random, 3) == Duration::zero());
  Duration middle = kBackOffMin;
  for (int i = 0; i < 10; ++i) {
    const Duration wait = back_off.next(random, 3);
    CHECK(wait >= middle / 2);
    CHECK(wait <= middle / 2 * 3);
    CHECK(back_off.next(random, 3) == Duration::zero());
    CHECK(back_off.next(random, 3) == Duration::zero());
    middle = std::min(middle * 2, kBackOffMax);
  }
  CHECK(middle == kBackOffMax);
  back_off.reset();
  CHECK(back_off.next(random, 1) == Duration::zero());
  CHECK(back_off.next(random, 1) > Duration::zero());
}

struct Caller : Bed {
  Endpoints endpoints{options.endpoints};
  Client client{us.env(), options, endpoints, nullptr, 0};
  explicit Caller(int count = 1) : Bed(count) {}
  std::string ask(const std::string& path, std::size_t most = kAnswerBytesMax) {
    std::string heard;
    const auto pending = client.call(
        path, "{}",
        [&](auto result) {
          constexpr const char* kKinds[] = {"unreachable", "denied", "rejected", "too_long"};
          heard =
              result ? "ok"
                     : kKinds[static_cast<int>(result.error().kind)] + (": " + result.error().text);
        },
        most);
    CHECK(heard.empty());
    world.advance(9s);
    return heard;
  }
};

TEST_CASE("what kind of failure it is decides about the next try") {
  Caller bed;
  CHECK(bed.ask("/v3/cluster/member/list") == "ok");
  CHECK(bed.ask("/v3/lease/revoke") == "rejected: etcdserver: requested lease not found");
  CHECK(bed.ask("/v4/unknown") == "unreachable: Not Found");
  bed.etcd().member_urls.assign(5'000, std::string(60, 'u'));
  CHECK(bed.ask("/v3/cluster/member/list") == "too_long: an answer of more than 262144 bytes");
  bed.etcd().member_urls.clear();
  CHECK(bed.ask("/v3/cluster/member/list") == "ok");
  bed.etcd().mute = true;
  CHECK(bed.ask("/v3/cluster/member/list") == "unreachable: no answer within 2s");
  bed.etcd().set_running(false);
  CHECK(bed.ask("/v3/cluster/member/list") == "unreachable: connection refused");
}

TEST_CASE("an endpoint that is not http cannot be used, and says so") {
  Bed bed;
  bed.options.endpoints = {"unix:///run/etcd.sock", bed.options.endpoints[0]};
  Endpoints endpoints(bed.options.endpoints);
  Client client(bed.us.env(), bed.options, endpoints, nullptr, 0);
  std::string heard;
  const auto call = [&] {
    return client.call("/v3/cluster/member/list", "{}",
                       [&](auto result) { heard = result ? "ok" : result.error().text; });
  };
  auto pending = call();
  bed.world.advance(50ms);
  CHECK(heard == "only http:// and https:// URLs can be used");
  client.rotate();
  pending = call();
  bed.world.advance(50ms);
  CHECK(heard == "ok");
}

TEST_CASE("calls that their owners gave up take no room") {
  Caller bed;
  bed.etcd().mute = true;
  std::unique_ptr<Pending> last;
  int replies = 0;
  for (std::size_t i = 0; i < 10 * kCallsMax; ++i)
    last = bed.client.call("/v3/cluster/member/list", "{}", [&](auto) { ++replies; });
  bed.world.advance(10s);
  CHECK(replies == 1);
}

TEST_CASE("calls wait for each other, and go to the next server together") {
  Caller bed(2);
  bed.etcd(0).mute = true;
  std::vector<std::string> heard;
  const auto call = [&](const std::string& name) {
    return bed.client.call("/v3/cluster/member/list", "{}", [&heard, &bed, name](auto result) {
      heard.push_back(name + (result ? " ok" : " failed"));
      if (!result) bed.client.rotate();
    });
  };
  const auto first = call("first");
  const auto second = call("second");
  bed.world.advance(10s);
  CHECK(heard == std::vector<std::string>{"first failed", "second ok"});
}

}  // namespace
}  // namespace outrider::registries::etcd
