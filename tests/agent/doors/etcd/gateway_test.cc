// SPDX-License-Identifier: Apache-2.0
// The etcd door over HTTP, with the bodies that clients of etcd's JSON gateway send.
#include "agent/doors/etcd/gateway.h"

#include <algorithm>

#include "agent/doors/etcd/json.h"
#include "base/base64.h"
#include "registries/etcd/messages.h"
#include "tests/agent/doors/etcd/bed.h"

namespace outrider::doors::etcd::test {
namespace {

using outrider::test::at;
using outrider::test::body_of;
using outrider::test::Client;
using outrider::test::size_of;
using outrider::test::status_of;

struct Web : Bed {
  http::Clients clients{world.env()};
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<http::Server> server;

  Web() { serve(); }
  ~Web() { close(); }
  void serve() {
    gateway = std::make_unique<Gateway>(world.env(), clients, *door);
    http::ServerOptions on;
    on.on = *Endpoint::parse("127.0.0.1:2379");
    on.guard.open_prefixes = {"/"};
    on.clients = &clients;
    Gateway::prepare(on);
    server = std::make_unique<http::Server>(world.env(), on, *gateway);
    REQUIRE(server->start().has_value());
  }
  void close() {
    server.reset();
    gateway.reset();
    kill();
    world.settle();
  }
  static std::string request(std::string_view method, std::string_view path,
                             std::string_view body) {
    return http::write_request(method, path, "localhost:2379", {}, body, true);
  }
  Client client() { return Client(world, *Endpoint::parse("127.0.0.1:2379")); }
  std::string ask(std::string_view path, std::string_view body, std::string_view method = "POST") {
    return client().ask(request(method, path, body));
  }
  json::Value post(std::string_view path, std::string_view body) {
    const std::string answer = ask(path, body);
    CAPTURE(path);
    CAPTURE(answer);
    REQUIRE(status_of(answer) == "200");
    const auto value = json::parse(body_of(answer), 1U << 20);
    REQUIRE(value.has_value());
    return *value;
  }
  /// "400 3 text".
  std::string refused(std::string_view path, std::string_view body) {
    const std::string answer = ask(path, body);
    const auto value = json::parse(body_of(answer), 1U << 20);
    REQUIRE(value.has_value());
    CHECK(at(*value, "error") == at(*value, "message"));
    return status_of(answer) + ' ' + at(*value, "code") + ' ' + at(*value, "error");
  }
};

TEST_CASE("keys are put, ranged, compared and deleted over the gateway") {
  Web web;
  const json::Value put = web.post("/v3/kv/put", R"({"key":"YQ==","value":"djE="})");
  CHECK(at(put, "header/revision") == std::to_string(web.door->store().revision()));
  const json::Value range = web.post("/v3/kv/range", R"({"key":"YQ==","rangeEnd":"Yg=="})");
  CHECK(at(range, "count") == "1");
  CHECK(at(range, "kvs/0/key") == "YQ==");
  CHECK(at(range, "kvs/0/value") == "djE=");
  CHECK(at(range, "kvs/0/version") == "1");
  CHECK(at(range, "kvs/0/lease") == "<none>");
  CHECK(at(range, "more") == "<none>");
  const json::Value txn = web.post(
      "/v3/kv/txn",
      R"({"compare":[{"key":"YQ==","target":"CREATE","result":"EQUAL","create_revision":"0"}],)"
      R"("success":[{"request_put":{"key":"YQ==","value":"djI="}}],)"
      R"("failure":[{"request_range":{"key":"YQ=="}}]})");
  CHECK(at(txn, "succeeded") == "<none>");
  CHECK(at(txn, "responses/0/response_range/kvs/0/value") == "djE=");
  const json::Value deleted = web.post("/v3/kv/deleterange", R"({"key":"YQ==","prev_kv":true})");
  CHECK(at(deleted, "deleted") == "1");
  CHECK(at(deleted, "prev_kvs/0/value") == "djE=");
}

TEST_CASE("a long range is answered whole, and counted") {
  Web web;
  const std::size_t many = 3 * kKeysPerTurn;
  for (std::size_t i = 0; i < many; ++i) {
    const std::string number = std::to_string(i);
    web.agent.see("s" + number, "i" + number, "10.0.0.7", 80);
  }
  const std::string range = R"({"key":")" + base64_encode("/microservices/") +
                            R"(","range_end":")" + base64_encode("/microservices0") + "\"}";
  const json::Value answer = web.post("/v3/kv/range", range);
  CHECK(size_of(answer, "kvs") == many);
  CHECK(at(answer, "count") == std::to_string(many));
  std::string whole;
  json::Writer out(whole);
  encode(out, *web.call(&Door::range,
                        RangeRequest{.key = "/microservices/", .range_end = "/microservices0"}));
  CHECK(body_of(web.ask("/v3/kv/range", range)) == whole);
  Client gone = web.client();
  gone.send(Web::request("POST", "/v3/kv/range", range));
  gone.close();
  web.world.advance(50ms);
  CHECK(web.gateway->counters().refused == 0);
  CHECK(web.refused("/v3/kv/range", "{}").starts_with("400"));
  CHECK(web.gateway->counters().refused == 1);
  CHECK(web.gateway->counters().requests >= 3);
}

TEST_CASE("leases are granted, kept alive, shown and revoked over the gateway") {
  Web web;
  CHECK(at(web.post("/v3/lease/grant", R"({"TTL":10,"ID":77})"), "ID") == "77");
  CHECK(at(web.post("/v3/lease/keepalive", R"({"ID":"77"})"), "result/TTL") == "10");
  const json::Value lost = web.post("/v3/lease/keepalive", R"({"ID":78})");
  CHECK(at(lost, "result/ID") == "78");
  CHECK(at(lost, "result/TTL") == "<none>");
  web.post("/v3/kv/put", R"({"key":"YQ==","value":"djE=","lease":77})");
  const json::Value left = web.post("/v3/kv/lease/timetolive", R"({"ID":"77","keys":true})");
  CHECK(at(left, "grantedTTL") == "10");
  CHECK(at(left, "keys/0") == "YQ==");
  CHECK(at(web.post("/v3/lease/leases", "{}"), "leases/0/ID") == "77");
  web.post("/v3/lease/revoke", R"({"ID":77})");
  CHECK(at(web.post("/v3/kv/range", R"({"key":"YQ=="})"), "count") == "<none>");
  CHECK(web.refused("/v3/lease/revoke", R"({"ID":77})") ==
        "404 5 etcdserver: requested lease not found");
}

TEST_CASE("ids of 63 bits are exact as numbers, too, and octets that look like numbers stay") {
  const auto put = decode<PutRequest>(
      R"({"key":"MTIz","lease":9223372036854775807,"value":"1234567890123456"})");
  REQUIRE(put.has_value());
  CHECK(put->lease == 9'223'372'036'854'775'807);
  CHECK(base64_encode(put->value) == "1234567890123456");
  CHECK(decode<LeaseKeepAliveRequest>(R"({"ID":-9223372036854775808})")->id < 0);
  CHECK_FALSE(decode<LeaseKeepAliveRequest>(R"({"ID":9223372036854775808})").has_value());
  CHECK_FALSE(decode<LeaseKeepAliveRequest>(R"({"ID":1.1234567890123456789})").has_value());
  CHECK(decode<AuthenticateRequest>(R"({"name":"a\"1234567890123456789"})")->name ==
        "a\"1234567890123456789");
}

TEST_CASE("several keepalives in one body are answered in order") {
  Web web;
  web.grant(10, 5);
  web.grant(10, 6);
  const std::string answer = web.ask("/v3/lease/keepalive", R"({"ID":"5"}{"ID":"6"} {"ID":"7"})");
  const std::string body = body_of(answer);
  CHECK(std::ranges::count(body, '\n') == 3);
  CHECK(body.find(R"("ID":"5","TTL":"10")") < body.find(R"("ID":"6","TTL":"10")"));
}

TEST_CASE("an answer says what is wrong, with etcd's numbers") {
  Web web;
  CHECK(web.refused("/v3/kv/put", R"({"value":"djE="})") ==
        "400 3 etcdserver: key is not provided");
  CHECK(web.refused("/v3/kv/put", R"({"key":"a b"})") == "400 3 key: expected octets in base64");
  CHECK(web.refused("/v3/kv/put", R"({"key":"YQ==","valu":""})") == "400 3 unknown field \"valu\"");
  CHECK(web.refused("/v3/kv/put", R"({"key":"YQ==","lease":1e300})").starts_with("400 3 lease:"));
  CHECK(web.refused("/v3/kv/put", R"([])").starts_with("400 3 expected an object"));
  CHECK(web.refused("/v3/kv/put", R"({"key")").starts_with("400 3 "));
  CHECK(web.refused("/v3/kv/range", R"({"key":"YQ==","sort_order":"UP"})") ==
        "400 3 sort_order: expected one of NONE, ASCEND, DESCEND");
  CHECK(web.refused("/v3/kv/txn", R"({"success":[{}]})").starts_with("400 3 an operation"));
  CHECK(web.refused("/v3/auth/authenticate", R"({"name":"a","password":"b"})") ==
        "412 9 etcdserver: authentication is not enabled");
  CHECK(web.refused("/v3/kv/compaction", R"({"revision":"5"})").starts_with("501 12 "));
  CHECK(web.refused("/v3/auth/enable", "{}").starts_with("501 12 enable: there are no users"));
  CHECK(web.refused("/v3/lock/lock", "{}").starts_with("501 12 lock: locks and elections"));
  CHECK(web.refused("/v3/watch", "").starts_with("400 3 the body has no JSON object"));
  CHECK(web.refused("/v3/watch", R"({"create":{}})").starts_with("400 3 expected one of create"));
  std::string many;
  for (std::size_t i = 0; i <= kMessagesMax; ++i)
    many += R"({"progress_request":{}})";
  CHECK(web.refused("/v3/watch", many).starts_with("400 3 too many messages"));
  CHECK(status_of(web.ask("/v3/kv/range", {}, "GET")) == "405");
  CHECK(status_of(web.ask("/v2/keys", {}, "GET")) == "404");
}

TEST_CASE("a value of any size that the door takes fits into a body") {
  Web web;
  const std::string value(registries::etcd::kValueBytesMax - 10, '\xff');
  const std::string put = R"({"key":"YQ==","value":")" + base64_encode(value) + "\"}";
  REQUIRE(put.size() > http::kRequestBodyBytesMax);
  web.post("/v3/kv/put", put);
  CHECK(web.get("a")->value == value);
  CHECK(web.refused("/v3/kv/put", R"({"key":"YQ==","value":")" +
                                      base64_encode(std::string(70'000, 'x')) + "\"}") ==
        "400 3 etcdserver: request is too large");
  // As many octets as over gRPC: a transaction of many values.
  std::string txn;
  std::size_t octets = 0;
  while (octets + 64'000 < kRequestBytesMax) {
    txn += std::string(txn.empty() ? "" : ",") + R"({"request_put":{"key":")" +
           base64_encode("k" + std::to_string(octets)) + R"(","value":")" +
           base64_encode(std::string(63'500, 'x')) + "\"}}";
    octets += 64'000;
  }
  CHECK(web.refused("/v3/kv/txn", R"({"success":[)" + txn + "]}").starts_with("403 7 etcdserver:"));
}

TEST_CASE("what does not reach the door is refused in the form of etcd's errors") {
  Web web;
  CHECK(web.refused("/v3/kv/put", std::string(kGatewayBodyBytesMax + 1, ' ')) ==
        "413 8 the body of a request may have 2048 KiB");
  const auto value =
      json::parse(body_of(web.client().ask(http::write_request(
                      "POST", "/v3/kv/range", "evil.example:2379", {}, R"({"key":"YQ=="})", true))),
                  1U << 20);
  REQUIRE(value.has_value());
  CHECK(at(*value, "code") == "7");
  CHECK(at(*value, "error") == at(*value, "message"));
}

TEST_CASE("the statuses of HTTP are those of etcd 3.4's gateway") {
  const std::pair<Code, int> rows[] = {
      {Code::ok, 200},
      {Code::unknown, 500},
      {Code::invalid_argument, 400},
      {Code::not_found, 404},
      {Code::permission_denied, 403},
      {Code::resource_exhausted, 429},
      {Code::failed_precondition, 412},
      {Code::out_of_range, 400},
      {Code::unimplemented, 501},
      {Code::unavailable, 503},
  };
  for (const auto& [code, status] : rows)
    CHECK(outrider::doors::etcd::status_of(code) == status);
}

TEST_CASE("it is healthy, has a version, a status, and one member where it was reached") {
  Web web;
  CHECK(body_of(web.ask("/health", {}, "GET")) == R"({"health":"true","reason":""})");
  CHECK(status_of(web.ask("/health", {})) == "405");
  CHECK(body_of(web.ask("/version", {}, "GET")).starts_with(R"({"etcdserver":"3.5.)"));
  const json::Value status = web.post("/v3/maintenance/status", "");
  CHECK(at(status, "version").starts_with("3.5."));
  CHECK(at(status, "leader") == at(status, "header/member_id"));
  const json::Value members = web.post("/v3/cluster/member/list", R"({"linearizable":true})");
  CHECK(size_of(members, "members") == 1);
  CHECK(at(members, "members/0/clientURLs/0") == "http://localhost:2379");
}

TEST_CASE("pages in browsers and other hosts' names do not get in") {
  Web web;
  const std::string body = R"({"key":"YQ=="})";
  const auto with = [&](std::string_view host,
                        std::vector<std::pair<std::string, std::string>> headers) {
    return status_of(
        web.client().ask(http::write_request("POST", "/v3/kv/range", host, headers, body, true)));
  };
  CHECK(with("127.0.0.1:2379", {{"Content-Type", "application/x-www-form-urlencoded"}}) == "200");
  CHECK(with("evil.example:2379", {}) == "403");
  CHECK(with("127.0.0.1:2379", {{"Origin", "http://evil.example"}}) == "403");
}

TEST_CASE("a watch is a stream of chunks, an object each") {
  Web web;
  Client client = web.client();
  std::string text = client.ask(
      web.request("POST", "/v3/watch",
                  R"({"create_request":{"key":"cC8=","range_end":"cDA=","watch_id":"5"}} )"
                  R"({"create_request":{"key":"cQ==","watch_id":"6"}} {"progress_request":{}} )"
                  R"({"cancel_request":{"watch_id":"6"}})"));
  CHECK(text.find("Transfer-Encoding: chunked") != text.npos);
  CHECK(text.find(R"("watch_id":"5","created":true}})") != text.npos);
  CHECK(text.find(R"("watch_id":"6","canceled":true}})") != text.npos);
  CHECK(text.find(R"("watch_id":"-1"}})") != text.npos);
  web.post("/v3/kv/put", R"({"key":"cC8x","value":"djE="})");
  web.world.advance(10ms);
  text = client.take();
  CHECK(text.find(R"("watch_id":"5","events":[{"kv":{"key":"cC8x")") != text.npos);
  const std::size_t size = std::stoul(text, nullptr, 16);
  CHECK(text.size() == text.find("\r\n") + 2 + size + 2);
  web.post("/v3/kv/deleterange", R"({"key":"cC8x"})");
  web.world.advance(10ms);
  CHECK(client.take().find(R"("events":[{"type":"DELETE","kv":{"key":"cC8x")") != text.npos);
  CHECK(web.gateway->watching() == 1);
  client.close();
  web.world.advance(10ms);
  CHECK(web.gateway->watching() == 0);
  CHECK(web.door->watches().streams() == 0);
}

TEST_CASE("a watcher that does not read costs little, and gets everything when it reads") {
  Web web;
  Client client = web.client();
  client.ask(web.request("POST", "/v3/watch", R"({"create_request":{"key":"YQ=="}})"));
  client.set_paused(true);
  const std::string value(32'000, 'x');
  for (int i = 0; i < 60; ++i) {
    REQUIRE(web.put("a", value).empty());
    web.world.advance(10ms);
  }
  CHECK(web.gateway->watching() == 1);
  CHECK(web.server->clients().queued() < 2 * kWatchUnreadMax);
  client.set_paused(false);
  std::string text;
  for (int i = 0; i < 100; ++i) {
    web.world.advance(10ms);
    text += client.take();
  }
  std::size_t events = 0;
  for (std::size_t at = text.find("\"kv\":"); at != text.npos; at = text.find("\"kv\":", at + 1))
    ++events;
  CHECK(events == 60);
}

TEST_CASE("streams end with etcd's words when the door closes") {
  Web web;
  Client client = web.client();
  client.ask(web.request("POST", "/v3/watch", R"({"create_request":{"key":"YQ=="}})"));
  web.kill();
  web.world.advance(10ms);
  const std::string text = client.take();
  CHECK(text.find(R"({"error":{"grpc_code":14,"http_code":503,)") != text.npos);
  CHECK(text.ends_with("0\r\n\r\n"));
}

TEST_CASE("what our own client of etcd writes is understood") {
  namespace etcd = registries::etcd;
  const etcd::KeyValue kv{.key = "/microservices/web/1", .value = kratos_value("1")};
  CHECK(decode<TxnRequest>(etcd::put_request({{&kv, 0}}, 5)).has_value());
  CHECK(decode<TxnRequest>(etcd::put_request({{&kv, 7}}, 5)).has_value());
  CHECK(decode<TxnRequest>(etcd::remove_request({kv.key}, 5)).has_value());
  CHECK(decode<RangeRequest>(etcd::range_request("a", "b", 10, 7)).has_value());
  CHECK(decode<RangeRequest>(etcd::count_request("a")).has_value());
  CHECK(decode<LeaseGrantRequest>(etcd::grant_request(15s)).has_value());
  CHECK(decode<LeaseTimeToLiveRequest>(etcd::lease_keys_request(5)).has_value());
  CHECK(decode<WatchRequest>(etcd::watch_request("/services/", 7, 1)).has_value());
}

}  // namespace
}  // namespace outrider::doors::etcd::test
