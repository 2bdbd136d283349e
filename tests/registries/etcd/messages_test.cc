// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/messages.h"

#include <doctest/doctest.h>

#include "base/base64.h"

namespace outrider::registries::etcd {
namespace {

TEST_CASE("requests are what etcd takes") {
  CHECK(range_request("p/", "p0", 256, 0) == R"({"key":"cC8=","range_end":"cDA=","limit":"256"})");
  CHECK(range_request("p/", "p0", 1, 9) ==
        R"({"key":"cC8=","range_end":"cDA=","limit":"1","revision":"9"})");
  CHECK(count_request("p/") == R"({"key":"cC8=","count_only":true})");
  const KeyValue kv{.key = "p/1", .value = "v1"};
  CHECK(put_request({{&kv, 0}}, 77) ==
        R"({"compare":[{"key":"cC8x","result":"EQUAL","target":"CREATE","create_revision":"0"}],)"
        R"("success":[{"request_put":{"key":"cC8x","value":"djE=","lease":"77"}}],)"
        R"("failure":[{"request_range":{"key":"cC8x"}}]})");
  const KeyValue other{.key = "p/2", .value = "v2"};
  CHECK(put_request({{&kv, 0}, {&other, 5}}, 77) ==
        R"({"compare":[{"key":"cC8x","result":"EQUAL","target":"CREATE","create_revision":"0"},)"
        R"({"key":"cC8y","result":"EQUAL","target":"MOD","mod_revision":"5"}],)"
        R"("success":[{"request_put":{"key":"cC8x","value":"djE=","lease":"77"}},)"
        R"({"request_put":{"key":"cC8y","value":"djI=","lease":"77"}}],)"
        R"("failure":[{"request_range":{"key":"cC8x"}},{"request_range":{"key":"cC8y"}}]})");
  CHECK(remove_request({"p/1"}, 77) ==
        R"({"compare":[{"key":"cC8x","result":"EQUAL","target":"LEASE","lease":"77"}],)"
        R"("success":[{"request_delete_range":{"key":"cC8x"}}],)"
        R"("failure":[{"request_range":{"key":"cC8x"}}]})");
  CHECK(grant_request(15s) == R"({"TTL":"15"})");
  CHECK(grant_request(1'500ms) == R"({"TTL":"2"})");
  CHECK(lease_request(7'668'682'524'328'950'295) == R"({"ID":"7668682524328950295"})");
  CHECK(lease_keys_request(7) == R"({"ID":"7","keys":true})");
  CHECK(authenticate_request("a\"", "b") == R"({"name":"a\"","password":"b"})");
  CHECK(watch_request("p/", 5, 1) ==
        R"({"create_request":{"key":"cC8=","range_end":"cDA=","start_revision":"5",)"
        R"("watch_id":"1"}})");
}

TEST_CASE("answers have what they say, and zero for what they leave out") {
  const auto range = read_answer(
      R"({"header":{"revision":"9"},"kvs":[{"key":"cC8x","create_revision":"7","mod_revision":"8",)"
      R"("version":"1","value":"djE=","lease":"77"},{"key":"cC8y"}],"count":"2"})",
      kAnswerBytesMax);
  REQUIRE(range);
  CHECK(range->revision == 9);
  CHECK(range->count == 2);
  REQUIRE(range->kvs.size() == 2);
  CHECK(range->kvs[0] == KeyValue{"p/1", "v1", 77, 8});
  CHECK(range->kvs[1] == KeyValue{"p/2", "", 0, 0});
  const auto taken = read_answer(
      R"({"header":{},"responses":[{"response_range":{"kvs":[{"key":"cC8x"}],"count":"1"}}]})",
      kAnswerBytesMax);
  CHECK(!taken->succeeded);
  CHECK(taken->kvs.size() == 1);
  CHECK(read_answer(R"({"succeeded":true,"responses":[{"response_put":{}}]})", 999)->succeeded);
  CHECK(read_answer(R"({"result":{"header":{},"ID":"77","TTL":"10"}})", 999)->ttl == 10);
  CHECK(read_answer(R"({"result":{"header":{},"ID":"78"}})", 999)->ttl == 0);
  CHECK(read_answer(R"({"ID":"77","TTL":"-1"})", 999)->ttl == -1);
  CHECK(read_answer(R"({"ID":77,"TTL":"9","keys":["cC8x"]})", 999)->keys.at(0) == "p/1");
  const auto members = read_answer(
      R"({"members":[{"name":"a","clientURLs":["http://a:1"]},{"peerURLs":["http://b:2"]}]})", 999);
  CHECK(members->client_urls == std::vector<std::string>{"http://a:1"});
  for (const char* text : {"", "[]", "{", "7", R"({"error":{"message":"m"}})"})
    CHECK_MESSAGE(!read_answer(text, 999), text);
  CHECK(!read_answer(R"({"count":"1"})", 5));
}

TEST_CASE("a refusal says its code and its words") {
  const Refusal etcd =
      read_refusal(404, R"({"error":"etcdserver: no","message":"etcdserver: no","code":5})");
  CHECK(etcd.code == 5);
  CHECK(etcd.text == "etcdserver: no");
  CHECK(read_refusal(404, "404 page not found\nmore").text == "404 page not found");
  CHECK(read_refusal(502, "").text == "the server refuses with status 502");
}

TEST_CASE("messages of a watch") {
  const auto created =
      read_watch_message(R"({"result":{"header":{"revision":"9"},"watch_id":"5","created":true}})");
  CHECK((created->created && created->number == 5 && created->revision == 9));
  const auto both = read_watch_message(
      R"({"result":{"created":true,"canceled":true,"watch_id":"-1","cancel_reason":"no"}})");
  CHECK((both->created && both->canceled && both->number == -1 && both->reason == "no"));
  const auto gone = read_watch_message(
      R"({"result":{"watch_id":"5","events":[{"type":"DELETE","kv":{"key":"cC8x"}},)"
      R"({"kv":{"key":"cC8y","value":"djE=","mod_revision":"7"}}]}})");
  REQUIRE(gone->events.size() == 2);
  CHECK((gone->events[0].deleted && gone->events[0].kv.key == "p/1"));
  CHECK((!gone->events[1].deleted && gone->events[1].kv.value == "v1"));
  const auto error = read_watch_message(
      R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})");
  CHECK((error->error && error->reason == "etcdserver: no leader"));
  CHECK(!read_watch_message("{}"));
  CHECK(!read_watch_message("{"));
}

std::vector<std::string> split(const std::vector<std::string_view>& pieces) {
  ObjectSplitter splitter;
  std::vector<std::string> objects;
  for (const std::string_view piece : pieces) {
    splitter.feed(piece);
    for (std::string object = splitter.take(); !object.empty(); object = splitter.take())
      objects.push_back(object);
  }
  return objects;
}

TEST_CASE("a stream is cut into objects, wherever its bytes are cut") {
  const std::string_view stream = R"({"a":"}\"{"}
{"b":{"c":[1,{}]}}{"d":"\\"}  , {"e":1})";
  const std::vector<std::string> expected{R"({"a":"}\"{"})", R"({"b":{"c":[1,{}]}})",
                                          R"({"d":"\\"})", R"({"e":1})"};
  CHECK(split({stream}) == expected);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut)
    CHECK(split({stream.substr(0, cut), stream.substr(cut)}) == expected);
  std::vector<std::string_view> octets;
  for (std::size_t i = 0; i < stream.size(); ++i)
    octets.push_back(stream.substr(i, 1));
  CHECK(split(octets) == expected);
}

TEST_CASE("the end of a lease with 1,000 keys is one message") {
  std::string events;
  for (int i = 0; i < 1'000; ++i)
    events += (i > 0 ? "," : "") +
              (R"({"type":"DELETE","kv":{"key":")" +
               base64_encode("/services/a/" + std::to_string(i)) + R"(","mod_revision":"9"}})");
  const std::string message =
      R"({"result":{"header":{"revision":"9"},"watch_id":"1","events":[)" + events + "]}}\n";
  CHECK(message.size() > 64'000);
  for (std::size_t cut = 1; cut < message.size(); cut += 997) {
    const auto objects =
        split({std::string_view(message).substr(0, cut), std::string_view(message).substr(cut)});
    REQUIRE(objects.size() == 1);
    CHECK(read_watch_message(objects[0])->events.size() == 1'000);
    ObjectSplitter splitter;
    splitter.feed(std::string_view(message).substr(0, cut));
    CHECK(splitter.take_message().envelope.empty());
    splitter.feed(std::string_view(message).substr(cut));
    const RawMessage raw = splitter.take_message();
    CHECK(raw.envelope == R"({"result":{"header":{"revision":"9"},"watch_id":"1","events":[]}})");
    REQUIRE(raw.events.size() == (1'000 + kEventsPerPart - 1) / kEventsPerPart);
    std::size_t count = 0;
    for (const std::string& part : raw.events) {
      const auto some = read_watch_events(part);
      REQUIRE(some.has_value());
      for (const WatchEvent& event : *some)
        CHECK((event.deleted && event.kv.key == "/services/a/" + std::to_string(count++)));
    }
    CHECK(count == 1'000);
    CHECK(splitter.take_message().envelope.empty());
  }
}

TEST_CASE("only events of a message are parts of it, and what is no JSON has none") {
  const auto parts_of = [](std::string_view text) {
    ObjectSplitter splitter;
    splitter.feed(text);
    const RawMessage raw = splitter.take_message();
    std::string all = raw.envelope;
    for (const std::string& part : raw.events)
      all += ' ' + part;
    return all;
  };
  const std::string event = R"({"kv":{"key":"YQ==","list":[{}]}})";
  CHECK(parts_of(R"({"result":{"events" : [)" + event + " , " + event + R"(],"watch_id":"1"}})") ==
        R"({"result":{"events" : [],"watch_id":"1"}} {"events":[)" + event + " , " + event + "]}");
  for (const char* text :
       {R"({"result":{"other":[{"a":1}],"x":"events"}})", R"({"events":[{"a":1}]})",
        R"({"result":{"events":[]}})", R"({"result":{"a":{"events":[{"b":1}]}}})",
        R"({"result":{"events":[[{"a":1}]]}})", R"({"result":{"x":"\"events\":[{}]"}})"})
    CHECK(parts_of(text) == text);
  for (const char* text : {R"({"result":{"events":[[{]}}}})", R"({"r":{"events":[{[}]}})",
                           R"({"r":{"events":[}{{]}}}}})", R"({"r":{"events":[{}]]],[{}]}})"}) {
    const std::string all = parts_of(text);
    CHECK_MESSAGE(!all.empty(), text);
  }
}

TEST_CASE("an object without an end fails at the limit") {
  ObjectSplitter splitter;
  splitter.feed("{\"a\":\"");
  const std::string more(1U << 20, 'x');
  for (int i = 0; i < 4; ++i) {
    CHECK(splitter.take().empty());
    CHECK(!splitter.failed());
    splitter.feed(more);
  }
  CHECK(splitter.take().empty());
  CHECK(splitter.failed());
  splitter.feed("\"}{}");
  CHECK(splitter.take().empty());
}

}  // namespace
}  // namespace outrider::registries::etcd
