// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/doors/etcd/bed.h"

namespace outrider::doors::etcd::test {
namespace {

TEST_CASE("requests that etcd refuses are refused in its words") {
  Bed bed;
  CHECK(bed.put("", "x") == "3 etcdserver: key is not provided");
  CHECK(bed.remove("") == "3 etcdserver: key is not provided");
  CHECK(bed.put("ping", "x", 77) == "5 etcdserver: requested lease not found");
  CHECK(bed.put("ping", std::string((64U << 10) + 1, 'x')) == "3 etcdserver: request is too large");
  const auto put = [&](PutRequest request) { return Bed::wrong(bed.call(&Door::put, request)); };
  CHECK(put({.key = "a", .value = "x", .ignore_value = true}) == "3 etcdserver: value is provided");
  CHECK(put({.key = "a", .value = {}, .lease = 1, .ignore_lease = true}) ==
        "3 etcdserver: lease is provided");
  CHECK(put({.key = "a", .value = {}, .ignore_value = true}) == "3 etcdserver: key not found");
  const auto range = [&](std::int64_t revision) {
    return Bed::wrong(
        bed.call(&Door::range, RangeRequest{.key = "a", .range_end = {}, .revision = revision}));
  };
  CHECK(range(bed.door->store().revision() + 1) ==
        "11 etcdserver: mvcc: required revision is a future revision");
  CHECK(range(1) == "11 etcdserver: mvcc: required revision has been compacted");
  CHECK(Bed::wrong(bed.call(&Door::lease_revoke, LeaseRevokeRequest{5})) ==
        "5 etcdserver: requested lease not found");
  bed.grant(10, 5);
  CHECK(Bed::wrong(bed.call(&Door::lease_grant, LeaseGrantRequest{10, 5})) ==
        "9 etcdserver: lease already exists");
  CHECK(Bed::wrong(bed.call(&Door::authenticate, AuthenticateRequest{"a", "b"})) ==
        "9 etcdserver: authentication is not enabled");
  CHECK(refuse_method("/etcdserverpb.KV/Compact").code == Code::unimplemented);
}

TEST_CASE("a value that is no instance is refused below the prefix of a framework") {
  Bed bed;
  CHECK(bed.put("/microservices/web/1", "hello").starts_with("3 etcdserver: the value of"));
  CHECK(bed.put("/service/web", "").starts_with("3 "));
  CHECK(bed.put("order.rpc/1", "no endpoint").starts_with("3 "));
  CHECK(bed.put("/services/web/1", "{}").starts_with("3 "));
  CHECK(bed.own().empty());
}

TEST_CASE("each framework's registration becomes an instance") {
  Bed bed;
  REQUIRE(bed.put("order.rpc/7587", "10.0.0.1:8080").empty());
  REQUIRE(bed.put("prod/pay.rpc/7588", "10.0.0.1:8081").empty());
  REQUIRE(bed.put("/service/default/default/user/latest/10.0.0.1:80,10.0.0.1:81",
                  R"({"insecure":true,"protocol":"http","weight":100})")
              .empty());
  REQUIRE(bed.put("/services/mail/m1",
                  R"({"id":"m1","name":"mail","address":"10.0.0.2","port":25,"status":"passing"})")
              .empty());
  CHECK(bed.own() ==
        "mail/m1 passing | order/order-10.0.0.1-8080 passing | "
        "prod/pay/prod-pay-10.0.0.1-8081 passing | user/user-10.0.0.1-80 passing | "
        "user/user-10.0.0.1-81 passing");
  CHECK(bed.get("order.rpc/7587")->value == "10.0.0.1:8080");
  // In its own framework once, in the others as they write it.
  CHECK(bed.range("order.rpc/").kvs.size() == 1);
  CHECK(bed.keys("/microservices/order") == "/microservices/order/order-10.0.0.1-8080");
  REQUIRE(bed.remove("order.rpc/7587").empty());
  CHECK(bed.keys("/microservices/order").empty());
}

TEST_CASE("an instance that says that it is critical is not shown until it says otherwise") {
  Bed bed;
  const auto value = [](const char* status) {
    return R"({"id":"m1","name":"mail","address":"10.0.0.2","port":25,"status":")" +
           std::string(status) + "\"}";
  };
  const std::int64_t lease = bed.grant(10);
  REQUIRE(bed.put("/services/mail/m1", value("critical"), lease).empty());
  CHECK(bed.own() == "mail/m1 critical");
  CHECK(bed.keys("/services/").empty());
  CHECK(bed.keep_alive(lease) == 10);
  CHECK(bed.own() == "mail/m1 critical");
  REQUIRE(bed.put("/services/mail/m1", value("passing"), lease).empty());
  CHECK(bed.own() == "mail/m1 passing");
  CHECK(bed.keys("/services/") == "/services/mail/m1");
}

TEST_CASE("a lease that ends takes all its keys in one revision, and their registrations") {
  Bed bed;
  WatchClient client(*bed.door);
  client.watch("/microservices/");
  const std::int64_t lease = bed.grant(5);
  for (const char* id : {"1", "2"})
    REQUIRE(bed.put(kratos_key(id), kratos_value(id), lease).empty());
  bed.world.advance(10ms);
  client.take();
  bed.world.advance(5s + 10ms);
  CHECK(client.take() == "0 DEL /microservices/web/1 | 0 DEL /microservices/web/2");
  CHECK(client.responses.back().events.size() == 2);
  CHECK(bed.own().empty());
  CHECK(bed.keep_alive(lease) == 0);
}

TEST_CASE("a lease tells what is left of it and which keys it has") {
  Bed bed;
  const std::int64_t lease = bed.grant(10);
  REQUIRE(bed.put("a", "x", lease).empty());
  bed.world.advance(3s);
  auto left = bed.call(&Door::lease_time_to_live, LeaseTimeToLiveRequest{lease, true});
  CHECK(left->ttl <= 7);
  CHECK(left->ttl >= 6);
  CHECK(left->granted_ttl == 10);
  CHECK(left->keys == std::vector<std::string>{"a"});
  left = bed.call(&Door::lease_time_to_live, LeaseTimeToLiveRequest{lease + 1, true});
  CHECK(left->ttl == -1);
  CHECK(bed.call(&Door::lease_leases, LeaseLeasesRequest{})->leases ==
        std::vector<std::int64_t>{lease});
  REQUIRE(bed.call(&Door::lease_revoke, LeaseRevokeRequest{lease}).has_value());
  CHECK(bed.get("a") == nullptr);
}

TEST_CASE("a registration that drains or is in maintenance is gone for clients, and comes back") {
  Bed bed;
  WatchClient client(*bed.door);
  client.watch("/microservices/");
  const std::int64_t lease = bed.grant(10);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  bed.world.advance(10ms);
  client.take();
  REQUIRE(bed.agent.set_draining("1", true).has_value());
  bed.world.advance(10ms);
  CHECK(client.take() == "0 DEL /microservices/web/1");
  CHECK(bed.keys("/microservices/").empty());
  // Its program puts it again: it is kept, and stays hidden.
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  CHECK(bed.keep_alive(lease) == 10);
  CHECK(client.take().empty());
  REQUIRE(bed.agent.set_draining("1", false).has_value());
  bed.world.advance(10ms);
  CHECK(client.take() == "0 PUT /microservices/web/1");
  CHECK(bed.get(kratos_key("1"))->lease == lease);
  REQUIRE(bed.agent.set_draining("1", true).has_value());
  REQUIRE(bed.remove(kratos_key("1")).empty());
  CHECK(bed.own().empty());
}

TEST_CASE("a registration that is removed otherwise takes its key with it") {
  Bed bed;
  const std::int64_t lease = bed.grant(10);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  REQUIRE(bed.agent.remove("1").has_value());
  CHECK(bed.keys("/microservices/").empty());
  CHECK(bed.door->leases().find(lease)->keys.empty());
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  CHECK(bed.own() == "web/1 passing");
}

TEST_CASE("a key that shows another's instance cannot be deleted, and nothing else with it") {
  Bed bed;
  bed.agent.see("web", "2", "10.0.0.7", 80);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1")).empty());
  REQUIRE(bed.keys("/microservices/") == "/microservices/web/1 /microservices/web/2");
  CHECK(bed.remove("/microservices/", "/microservices0").starts_with("7 etcdserver: permission"));
  CHECK(bed.keys("/microservices/") == "/microservices/web/1 /microservices/web/2");
  REQUIRE(bed.remove("/microservices/web/1").empty());
  CHECK(bed.keys("/microservices/") == "/microservices/web/2");
}

TEST_CASE("a key that shows another's instance cannot be put") {
  Bed bed;
  const std::string kratos = kratos_key("1", "pay");
  const std::int64_t lease = bed.grant(30);
  REQUIRE(bed.put(kratos, kratos_value("1", "pay", "http://10.9.9.1:8080"), lease).empty());
  bed.agent.see("web", "2", "10.0.0.7", 80);
  const std::string both = bed.keys("/service/");
  REQUIRE(both.find(' ') != both.npos);
  const std::string learned = both.substr(both.find(' ') + 1);
  for (const std::string& key : {both.substr(0, both.find(' ')), learned}) {
    CAPTURE(key);
    const std::string before = bed.get(key)->value;
    const std::string own = bed.own();
    const auto refused = [&](const std::string& wrong) {
      CHECK(wrong.starts_with("7 etcdserver: permission denied: \"" + key));
      CHECK(wrong.find("cannot be changed") != wrong.npos);
    };
    refused(bed.put(key, before));
    refused(bed.put(key, before, lease));
    refused(bed.put(key, "{}"));
    refused(Bed::wrong(
        bed.call(&Door::put, PutRequest{.key = key, .lease = lease, .ignore_value = true})));
    TxnRequest txn;
    txn.success.push_back(PutRequest{.key = key, .value = before, .lease = lease});
    refused(Bed::wrong(bed.call(&Door::txn, std::move(txn))));
    refused(bed.remove(key));
    CHECK(bed.get(key)->value == before);
    CHECK(bed.get(key)->version == 1);
    CHECK(bed.own() == own);
  }
}

TEST_CASE("a client puts its own key again, also one that shows the same instance, and later") {
  Bed bed;
  const std::string kratos = kratos_key("1", "pay");
  const std::string value = kratos_value("1", "pay", "http://10.9.9.1:8080");
  REQUIRE(bed.put(kratos, value).empty());
  const std::string goframe = bed.keys("/service/");
  const std::string shown = bed.get(goframe)->value;
  REQUIRE(bed.remove(kratos).empty());
  REQUIRE(bed.keys("/service/").empty());
  // Now with both keys.
  const std::int64_t lease = bed.grant(30);
  REQUIRE(bed.put(goframe, shown, lease).empty());
  REQUIRE(bed.put(kratos, value, lease).empty());
  for (int life = 0; life < 2; ++life) {
    CHECK(bed.put(goframe, shown, lease).empty());
    CHECK(bed.put(kratos, value, lease).empty());
    CHECK(bed.keys("/service/") == goframe);
    CHECK(bed.agent.registry().own_count() == 2);
    bed.restart();
  }
  // One of them leaves alone.
  REQUIRE(bed.remove(goframe).empty());
  CHECK(bed.put(kratos, value, lease).empty());
}

TEST_CASE("a client may put again what a configuration or a damaged file left without an owner") {
  Bed bed;
  const std::int64_t lease = bed.grant(30);
  bed.options.layouts.kratos.reset();
  bed.restart();
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  REQUIRE(bed.own().empty());
  bed.options.layouts.kratos.emplace();
  bed.restart();
  REQUIRE(bed.own().empty());
  CHECK(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  CHECK(bed.own() == "web/1 passing");
}

TEST_CASE("a registration whose id another one has gets one of its own") {
  Bed bed;
  const auto spec =
      registry::ServiceSpec::parse(*json::parse(R"({"name":"web","id":"1","port":1})", 1'000));
  REQUIRE(bed.agent.put(*spec).has_value());
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1")).empty());
  CHECK(bed.agent.registry().own_count() == 2);
  CHECK(bed.agent.registry().find_exact("1")->port == 1);
  CHECK(bed.get(kratos_key("1"))->value == kratos_value("1"));
  REQUIRE(bed.remove(kratos_key("1")).empty());
  CHECK(bed.agent.registry().own_count() == 1);
}

TEST_CASE("what another agent of this host writes is not announced a second time") {
  Bed bed;
  REQUIRE(bed.put(kratos_key("1"), R"({"id":"1","name":"web","metadata":{"outrider.node":"other"},)"
                                   R"("endpoints":["http://10.0.0.9:80"]})")
              .empty());
  CHECK(bed.agent.registry().find_exact("1")->scope == registry::Scope::host);
}

TEST_CASE("a TCP check is added below configured prefixes, and decides beside the lease") {
  Bed bed;
  bed.options.tcp_checked = {"/microservices/"};
  bed.restart();
  const std::string here = "http://192.168.1.10:80";
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1", "web", here)).empty());
  CHECK(bed.own() == "web/1 starting");
  CHECK(bed.keys("/microservices/").empty());
  bed.agent.set_check("1", "tcp", CheckHealth::passing, "connected");
  CHECK(bed.keys("/microservices/") == "/microservices/web/1");
  CHECK(bed.put(kratos_key("2"), kratos_value("2")).starts_with("3 "));  // another host's
}

// --- ranges and transactions -------------------------------------------------------------------

TEST_CASE("a range is sorted, limited, counted and without values as asked") {
  Bed bed;
  for (const char* key : {"b", "a", "c"})
    REQUIRE(bed.put(key, std::string(3, *key)).empty());
  REQUIRE(bed.put("a", "zzz").empty());
  const auto range = [&](RangeRequest request) {
    request.key = "a";
    request.range_end = "d";
    const auto response = bed.call(&Door::range, request);
    REQUIRE(response.has_value());
    std::string text;
    for (const KeyValuePtr& kv : response->kvs)
      text += kv->key + kv->value + ' ';
    return text + std::to_string(response->count) + (response->more ? " more" : "");
  };
  using Order = RangeRequest::Order;
  using Target = RangeRequest::Target;
  CHECK(range({.key = {}, .range_end = {}}) == "azzz bbbb cccc 3");
  CHECK(range({.key = {}, .range_end = {}, .limit = 2}) == "azzz bbbb 3 more");
  CHECK(range({.key = {}, .range_end = {}, .limit = 1, .sort_order = Order::descend}) ==
        "cccc 3 more");
  CHECK(range({.key = {}, .range_end = {}, .sort_target = Target::create}) == "bbbb azzz cccc 3");
  CHECK(
      range(
          {.key = {}, .range_end = {}, .sort_order = Order::descend, .sort_target = Target::mod}) ==
      "azzz cccc bbbb 3");
  CHECK(range({.key = {}, .range_end = {}, .sort_target = Target::version}) == "bbbb cccc azzz 3");
  CHECK(range({.key = {}, .range_end = {}, .sort_target = Target::value}) == "bbbb cccc azzz 3");
  CHECK(range({.key = {}, .range_end = {}, .keys_only = true}) == "a b c 3");
  CHECK(range({.key = {}, .range_end = {}, .count_only = true}) == "3");
  const std::int64_t last = bed.get("c")->mod_revision;
  CHECK(range({.key = {}, .range_end = {}, .revision = last}) == "aaaa bbbb cccc 3");
  CHECK(range({.key = {}, .range_end = {}, .max_mod_revision = last}) == "bbbb cccc 3");
  CHECK(range({.key = {}, .range_end = {}, .min_create_revision = last}) == "cccc 3");
}

TEST_CASE("create if absent, delete if mine") {
  Bed bed;
  const std::int64_t lease = bed.grant(10);
  const auto create = [&] {
    TxnRequest request;
    request.compare.push_back(
        {.target = Compare::Target::create, .key = "lock", .range_end = {}, .value = {}});
    request.success.emplace_back(PutRequest{.key = "lock", .value = "me", .lease = lease});
    request.failure.emplace_back(RangeRequest{.key = "lock", .range_end = {}});
    return bed.call(&Door::txn, request);
  };
  const auto first = create();
  REQUIRE(first.has_value());
  CHECK(first->succeeded);
  CHECK(std::get<PutResponse>(first->responses.at(0)).header.revision == first->header.revision);
  const auto second = create();
  CHECK_FALSE(second->succeeded);
  CHECK(second->header.revision == first->header.revision);
  CHECK(std::get<RangeResponse>(second->responses.at(0)).kvs.at(0)->value == "me");

  const auto remove = [&](std::int64_t mine) {
    TxnRequest request;
    request.compare.push_back({.target = Compare::Target::lease,
                               .key = "lock",
                               .range_end = {},
                               .number = mine,
                               .value = {}});
    request.success.emplace_back(DeleteRangeRequest{.key = "lock", .range_end = {}});
    return bed.call(&Door::txn, request)->succeeded;
  };
  CHECK_FALSE(remove(lease + 1));
  CHECK(bed.get("lock") != nullptr);
  CHECK(remove(lease));
  CHECK(bed.get("lock") == nullptr);
}

TEST_CASE("a transaction that is malformed changes nothing") {
  Bed bed;
  const auto txn = [&](TxnRequest request) { return Bed::wrong(bed.call(&Door::txn, request)); };
  const PutRequest a{.key = "a", .value = "1"};
  CHECK(txn({.compare = {}, .success = {a, a}, .failure = {}}) ==
        "3 etcdserver: duplicate key given in txn request");
  CHECK(txn({.compare = {},
             .success = {a, DeleteRangeRequest{.key = "a", .range_end = "b"}},
             .failure = {}}) == "3 etcdserver: duplicate key given in txn request");
  CHECK(txn({.compare = {}, .success = {NestedTxn{}}, .failure = {}}).starts_with("12 "));
  CHECK(txn({.compare = {Compare{}}, .success = {a}, .failure = {}}) ==
        "3 etcdserver: key is not provided");
  CHECK(txn({.compare = {},
             .success =
                 std::vector<RequestOp>(kTxnOpsMax + 1, RangeRequest{.key = "a", .range_end = {}}),
             .failure = {}}) == "3 etcdserver: too many operations in txn request");
  // The second of two puts is refused: the first one has not happened either.
  CHECK(txn({.compare = {},
             .success = {a, PutRequest{.key = "/microservices/x", .value = "bad"}},
             .failure = {}})
            .starts_with("3 "));
  CHECK(bed.get("a") == nullptr);
  // Room for one more key is no room for two.
  for (std::size_t i = 1; i < kScratchKeysMax; ++i)
    REQUIRE(bed.put("ping" + std::to_string(i), "x").empty());
  CHECK(txn({.compare = {}, .success = {a, PutRequest{.key = "b", .value = {}}}, .failure = {}})
            .starts_with("7 "));
  CHECK(txn({.compare = {}, .success = {a}, .failure = {}}).empty());
}

TEST_CASE("sessions and mutexes of etcd's client work in the scratch space") {
  Bed bed;
  // As clientv3's concurrency package does it.
  const auto lock = [&](std::int64_t session) {
    const std::string key = "/lock/" + std::to_string(session);
    TxnRequest request;
    request.compare.push_back(
        {.target = Compare::Target::create, .key = key, .range_end = {}, .value = {}});
    const RangeRequest owner{.key = "/lock/",
                             .range_end = "/lock0",
                             .limit = 1,
                             .sort_order = RangeRequest::Order::ascend,
                             .sort_target = RangeRequest::Target::create};
    request.success = {PutRequest{.key = key, .value = {}, .lease = session}, owner};
    request.failure = {RangeRequest{.key = key, .range_end = {}}, owner};
    const auto response = bed.call(&Door::txn, request);
    REQUIRE(response.has_value());
    return std::get<RangeResponse>(response->responses.at(1)).kvs.at(0)->key;
  };
  const std::int64_t first = bed.grant(60), second = bed.grant(60);
  CHECK(lock(first) == "/lock/" + std::to_string(first));
  CHECK(lock(second) == "/lock/" + std::to_string(first));
  WatchClient client(*bed.door);
  WatchCreateRequest watch{.key = "/lock/" + std::to_string(first),
                           .range_end = {},
                           .start_revision = bed.door->store().revision(),
                           .filters = {WatchCreateRequest::Filter::no_put}};
  client.stream->create(watch);
  bed.world.advance(10ms);
  CHECK(client.take() == "created 0");
  REQUIRE(bed.call(&Door::lease_revoke, LeaseRevokeRequest{first}).has_value());
  bed.world.advance(10ms);
  CHECK(client.take() == "0 DEL /lock/" + std::to_string(first));
  CHECK(lock(second) == "/lock/" + std::to_string(second));
}

// --- watches -----------------------------------------------------------------------------------

TEST_CASE("watches filter, have values before, share a stream, and are canceled one by one") {
  Bed bed;
  WatchClient client(*bed.door);
  const auto create = [&](WatchCreateRequest request) {
    request.key = "a";
    client.stream->create(std::move(request));
  };
  create({.key = {}, .range_end = {}, .filters = {}, .prev_kv = true, .watch_id = 5});
  create({.key = {},
          .range_end = {},
          .filters = {WatchCreateRequest::Filter::no_delete},
          .watch_id = 6});
  create(
      {.key = {}, .range_end = {}, .filters = {WatchCreateRequest::Filter::no_put}, .watch_id = 7});
  create({.key = {}, .range_end = {}, .filters = {}, .watch_id = 7});
  CHECK(client.take() == "created 5 | created 6 | created 7 | created -1 | canceled -1");
  CHECK(client.responses.back().cancel_reason ==
        "mvcc: duplicate watch ID provided on the WatchStream");
  REQUIRE(bed.put("a", "1").empty());
  REQUIRE(bed.remove("a").empty());
  bed.world.advance(10ms);
  CHECK(client.take() == "5 PUT a | 6 PUT a | 5 DEL a | 7 DEL a");
  CHECK(client.responses.at(client.responses.size() - 2).events.at(0).prev_kv->value == "1");
  CHECK(client.responses.back().events.at(0).prev_kv == nullptr);
  client.stream->cancel({6});
  client.stream->cancel({99});  // is not answered, as in etcd
  client.stream->progress();
  bed.world.advance(10ms);
  CHECK(client.take() == "canceled 6 | progress -1");
  CHECK(client.responses.back().header.revision == bed.door->store().revision());
}

TEST_CASE("a watch from the future is silent until then") {
  Bed bed;
  WatchClient client(*bed.door);
  client.watch("a", bed.door->store().revision() + 2);
  REQUIRE(bed.put("a", "1").empty());
  bed.world.advance(10ms);
  CHECK(client.take() == "created 0");
  REQUIRE(bed.put("a", "2").empty());
  bed.world.advance(10ms);
  CHECK(client.take() == "0 PUT a");
}

TEST_CASE("a client that has no room is served later, from where it was") {
  Bed bed;
  WatchClient client(*bed.door);
  client.watch("a");
  client.full = true;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(bed.put("a", std::to_string(i)).empty());
    bed.world.advance(10ms);
  }
  CHECK(client.take() == "created 0 | 0 PUT a");
  client.full = false;
  client.stream->resume();
  bed.world.advance(10ms);
  CHECK(client.take() == "0 PUT a | 0 PUT a");
}

TEST_CASE("who asked for it hears of the revision while nothing happens") {
  Bed bed;
  WatchClient client(*bed.door);
  client.stream->create(
      {.key = "a", .range_end = {}, .progress_notify = true, .filters = {}, .watch_id = 3});
  client.watch("b");
  client.take();
  bed.world.advance(kProgressInterval + 1s);
  CHECK(client.take() == "progress 3");
}

TEST_CASE("streams and watches have limits, and a stream may outlive the door") {
  Bed bed;
  auto client = std::make_unique<WatchClient>(*bed.door);
  for (std::size_t i = 0; i <= kWatchesPerStreamMax; ++i)
    client->watch("a");
  CHECK(client->responses.back().canceled);
  CHECK(client->responses.back().cancel_reason == "etcdserver: too many watches");
  std::vector<std::unique_ptr<WatchClient>> others;
  while (bed.door->watches().watches() < kWatchesMax) {
    others.push_back(std::make_unique<WatchClient>(*bed.door));
    for (std::size_t i = 0; i < kWatchesPerStreamMax; ++i)
      others.back()->watch("a");
  }
  others.push_back(std::make_unique<WatchClient>(*bed.door));
  others.back()->watch("a");
  CHECK(others.back()->responses.back().canceled);
  REQUIRE(bed.put("a", "1").empty());
  bed.world.advance(10ms);
  CHECK(others.front()->take().ends_with("255 PUT a"));
  others.clear();
  bed.kill();
  REQUIRE(client->ended.has_value());
  CHECK(client->ended->code == Code::unavailable);
  client->watch("b");
  client->stream->progress();
  client->stream->cancel({0});
}

TEST_CASE("a watch in fragments is refused, and the stream stays") {
  Bed bed;
  WatchClient client(*bed.door);
  client.stream->create({.key = "a", .range_end = {}, .filters = {}, .fragment = true});
  CHECK(client.take() == "created -1 | canceled -1");
  CHECK(client.responses[0].cancel_reason.find("without the fragment option") != std::string::npos);
  client.watch("a");
  CHECK(client.take() == "created 0");
}

/// One instance of each of many services on the network.
void see_many(Bed& bed, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    bed.agent.see("s" + number, "i" + number, "10.0.0.7", 80);
  }
}

TEST_CASE("what is asked for first is shown over several turns, and read when it is complete") {
  Bed bed;
  const std::size_t many = 4 * kShownPerTurn;
  see_many(bed, many);
  std::optional<RangeResponse> response;
  bed.door->range({.key = "/microservices/", .range_end = "/microservices0"},
                  [&](auto result) { response = std::move(*result); });
  std::optional<TxnResponse> done;
  TxnRequest txn;
  txn.success.emplace_back(RangeRequest{.key = "/microservices/s7/i7", .range_end = {}});
  bed.door->txn(txn, [&](auto result) { done = std::move(*result); });
  WatchClient watcher(*bed.door);
  watcher.watch("/microservices/");
  watcher.stream->create({.key = "b", .range_end = {}, .filters = {}, .watch_id = 7});
  watcher.stream->cancel({7});
  CHECK(watcher.take() == "canceled 7");
  watcher.watch("a");  // after the first one
  auto gone = std::make_unique<WatchClient>(*bed.door);
  gone->watch("/microservices/");
  gone.reset();
  CHECK_FALSE(response.has_value());
  CHECK_FALSE(done.has_value());
  CHECK(watcher.take().empty());
  CHECK(bed.door->counts().shown_keys <= kShownPerTurn);
  // Others do not wait.
  CHECK(bed.keys("a").empty());

  bed.world.run_until([&] { return response && done && !watcher.lines.empty(); }, 1s);
  REQUIRE(response.has_value());
  CHECK(response->kvs.size() == many);
  REQUIRE(done.has_value());
  CHECK(std::get<RangeResponse>(done->responses[0]).kvs.size() == 1);
  bed.world.advance(10ms);
  CHECK(watcher.take() == "created 0 | created 1");
  for (const Store::Revision& revision : bed.door->store().history())
    CHECK(revision.events.size() <= kShownPerTurn);
  bed.agent.lose("s7", "i7");
  bed.world.advance(10ms);
  CHECK(watcher.take() == "0 DEL /microservices/s7/i7");
  CHECK(bed.door->counts().shown_keys == many - 1);
}

TEST_CASE("what a transaction has put, its later operations read, and watches hear at once") {
  Bed bed;
  WatchClient watcher(*bed.door);
  watcher.watch("/microservices/web/");
  CHECK(watcher.take() == "created 0");
  const auto value = [](const std::string& id) {
    return R"({"id":")" + id + R"(","name":"web","endpoints":["http://10.0.0.1:80)" + id.substr(1) +
           "\"]}";
  };
  const RangeRequest all{.key = "/microservices/web/", .range_end = "/microservices/web0"};
  TxnRequest txn;
  for (const std::string id : {"w1", "w2", "w3"})
    txn.success.emplace_back(PutRequest{.key = "/microservices/web/" + id, .value = value(id)});
  txn.success.emplace_back(all);
  const auto done = bed.call(&Door::txn, txn);
  REQUIRE(done.has_value());
  CHECK(std::get<RangeResponse>(done->responses[3]).kvs.size() == 3);
  bed.world.advance(10ms);
  CHECK(watcher.take() ==
        "0 PUT /microservices/web/w1 | 0 PUT /microservices/web/w2 | 0 PUT /microservices/web/w3");
  // The same again: each is a new version, although its value is not.
  REQUIRE(bed.call(&Door::txn, txn).has_value());
  const auto again = bed.call(&Door::range, all);
  REQUIRE(again.has_value());
  for (const KeyValuePtr& kv : again->kvs)
    CHECK(kv->version == 2);
}

TEST_CASE("a transaction reads no more than one turn has time for") {
  Bed bed;
  see_many(bed, kTxnKeysMax);
  TxnRequest txn;
  txn.success.emplace_back(RangeRequest{.key = "/microservices/", .range_end = "/microservices0"});
  const auto all = bed.call(&Door::txn, txn);
  REQUIRE(all.has_value());
  CHECK(std::get<RangeResponse>(all->responses[0]).kvs.size() == kTxnKeysMax);
  REQUIRE(bed.put("a", "1").empty());
  txn.compare.push_back({.key = "a", .range_end = "b", .number = 1, .value = {}});
  CHECK(Bed::wrong(bed.call(&Door::txn, txn)).starts_with("3 etcdserver: request is too large"));
  CHECK(bed.range("/microservices/").kvs.size() == kTxnKeysMax);
}

TEST_CASE("what clients put as instances has a limit in octets") {
  Bed bed;
  bed.keeps = false;
  bed.restart();
  const auto key = [](std::size_t i) {
    return "/service/default/default/user/latest/10.0.0.1:" + std::to_string(1'000 + i);
  };
  const std::string value = R"({"protocol":"http","x":[")" + std::string(65'000, 'x') + "\"]}";
  std::size_t count = 0;
  std::string refusal;
  while (refusal.empty())
    refusal = bed.put(key(count++), value);
  CHECK(refusal == "8 etcdserver: mvcc: database space exceeded");
  CHECK(count * value.size() > kOwnBytesMax - 65'000);
  REQUIRE(bed.put(key(0), value).empty());  // in its own place
  REQUIRE(bed.remove(key(0)).empty());
  CHECK(bed.put(key(count), value).empty());
}

TEST_CASE("leases have a limit") {
  Bed bed;
  bed.keeps = false;
  bed.restart();
  while (bed.door->leases().all().size() < kLeasesMax)
    bed.grant(60);
  CHECK(Bed::wrong(bed.call(&Door::lease_grant, LeaseGrantRequest{.ttl = 60})) ==
        "8 etcdserver: too many requests");
}

TEST_CASE("right after the start a list waits until the network is known") {
  Bed bed;
  bed.agent.settled = false;
  bed.disk = {};
  bed.restart();
  std::optional<RangeResponse> response;
  bed.door->range({.key = "/services/", .range_end = "/services0"},
                  [&](auto result) { response = std::move(*result); });
  CHECK_FALSE(response.has_value());
  bed.agent.see("hello", "h1", "10.0.0.7", 80);
  bed.agent.settled = true;
  bed.world.advance(kSettleInterval);
  REQUIRE(response.has_value());
  CHECK(response->kvs.size() == 1);
  bed.agent.settled = false;
  bed.world.advance(kSettleMax);
  CHECK(bed.range("/services/").kvs.size() == 1);

  bed.disk = {};
  bed.restart();
  std::size_t answered = 0;
  for (std::size_t i = 0; i <= kHeldMax; ++i)
    bed.door->range({.key = "a", .range_end = {}}, [&](const auto&) { ++answered; });
  CHECK(answered == 1);  // the one beyond the limit does not wait
  bed.world.advance(kSettleMax);
  CHECK(answered == kHeldMax + 1);
}

}  // namespace
}  // namespace outrider::doors::etcd::test
