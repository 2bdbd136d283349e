// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/grpc_face.h"

#include <doctest/doctest.h>

#include "agent/doors/etcd/proto.h"
#include "base/protobuf.h"
#include "tests/base/http2/listener.h"

namespace outrider::doors::etcd {

Error refuse_method(std::string_view path) {
  return {Code::unimplemented, "not served: " + std::string(path)};
}

}  // namespace outrider::doors::etcd

using namespace outrider;
using namespace outrider::doors::etcd;
using namespace outrider::test;

namespace {

const Endpoint kPort{IpAddress::parse("127.0.0.1").value(), 2379};

/// Answers each call with what it was asked; a key "bad" is refused.
struct FakeDoor final : Door {
  struct Watch final : WatchStream {
    Watch(FakeDoor& of, WatchSink& to) : door(of), sink(to) { door.watch = this; }
    ~Watch() override { door.watch = nullptr; }
    void create(WatchCreateRequest request) override {
      door.seen = "create " + request.key;
      takes = sink.on_watch_response({.watch_id = request.watch_id, .created = true});
    }
    void cancel(WatchCancelRequest request) override {
      door.seen = "cancel " + std::to_string(request.watch_id);
    }
    void progress() override { door.seen = "progress"; }
    void resume() override { ++resumed; }
    FakeDoor& door;
    WatchSink& sink;
    bool takes = true;
    int resumed = 0;
  };

  void range(RangeRequest request, Reply<RangeResponse> reply) override {
    if (request.key == "bad") return reply(failure(Error{Code::out_of_range, "mvcc: no"}));
    RangeResponse response;
    for (std::size_t i = 1; i < many; ++i)
      response.kvs.push_back(std::make_shared<KeyValue>(KeyValue{std::to_string(i), 1, 2, 3}));
    response.kvs.push_back(std::make_shared<KeyValue>(KeyValue{request.key, 1, 2, 3, "v", 0}));
    reply(std::move(response));
  }
  void put(PutRequest request, Reply<PutResponse> reply) override {
    seen = "put " + request.key;
    held = std::move(reply);
  }
  void delete_range(DeleteRangeRequest, Reply<DeleteRangeResponse> reply) override {
    reply(DeleteRangeResponse{.deleted = 3});
  }
  void txn(TxnRequest, Reply<TxnResponse> reply) override { reply(TxnResponse{.succeeded = true}); }
  std::unique_ptr<WatchStream> open_watch(WatchSink& sink) override {
    return std::make_unique<Watch>(*this, sink);
  }
  void lease_grant(LeaseGrantRequest request, Reply<LeaseGrantResponse> reply) override {
    reply(LeaseGrantResponse{.id = 7, .ttl = request.ttl});
  }
  void lease_revoke(LeaseRevokeRequest, Reply<LeaseRevokeResponse> reply) override {
    reply(LeaseRevokeResponse{});
  }
  void lease_keep_alive(LeaseKeepAliveRequest request,
                        Reply<LeaseKeepAliveResponse> reply) override {
    if (request.id == 99) return reply(failure(Error{Code::unavailable, "gone"}));
    if (request.id == 50) {
      held_keep_alive = std::move(reply);
      return;
    }
    reply(LeaseKeepAliveResponse{.id = request.id, .ttl = 15});
  }
  void lease_time_to_live(LeaseTimeToLiveRequest, Reply<LeaseTimeToLiveResponse> reply) override {
    reply(LeaseTimeToLiveResponse{.ttl = 5});
  }
  void lease_leases(LeaseLeasesRequest, Reply<LeaseLeasesResponse> reply) override {
    reply(LeaseLeasesResponse{.leases = {7}});
  }
  void member_list(MemberListRequest, const doors::etcd::Client& client,
                   Reply<MemberListResponse> reply) override {
    reply(MemberListResponse{.members = {{1, "a", {}, {client.url}}}});
  }
  void status(StatusRequest, Reply<StatusResponse> reply) override {
    reply(StatusResponse{.version = "3.5.9"});
  }
  void authenticate(AuthenticateRequest, Reply<AuthenticateResponse> reply) override {
    reply(failure(Error{Code::failed_precondition, "etcdserver: authentication is not enabled"}));
  }

  std::size_t many = 1;  // keys of a range
  std::string seen;
  Watch* watch = nullptr;
  Reply<PutResponse> held;
  Reply<LeaseKeepAliveResponse> held_keep_alive;
};

std::string text_message(std::uint32_t field, std::string_view value) {
  protobuf::Writer writer;
  writer.text(field, value);
  return writer.take();
}
std::string number_message(std::uint32_t field, std::uint64_t value) {
  protobuf::Writer writer;
  writer.u64(field, value);
  return writer.take();
}
std::string watch_request(std::uint32_t kind, std::string_view message) {
  protobuf::Writer writer;
  writer.each_text(kind, message);
  return framed(writer.take());
}

struct Fixture {
  sim::World world{7};
  FakeDoor door;
  http::Clients clients{world.env()};
  std::unique_ptr<GrpcFace> face = std::make_unique<GrpcFace>(world.env(), clients, kLibrary, door);
  NoHttp1 http1;
  std::unique_ptr<http::Server> listener;
  std::unique_ptr<H2Client> client;

  Fixture() {
    listener = listen(world.env(), kPort, clients, face->acceptor(), http1);
    client = std::make_unique<H2Client>(world, kPort);
  }
  H2Response& ask(std::string_view method, std::string_view message) {
    const int id = client->call("/etcdserverpb." + std::string(method), framed(message));
    return client->wait(id);
  }
  static std::string status(const H2Response& response) {
    const auto& from = response.trailers.empty() ? response.headers : response.trailers;
    const auto text = from.find("grpc-message");
    const auto code = from.find("grpc-status");
    return (code == from.end() ? "none" : code->second) +
           (text == from.end() ? "" : " " + text->second);
  }
  std::string answer(std::string_view method, std::string_view message) {
    const H2Response& response = ask(method, message);
    CHECK(status(response) == "0");
    return response.body;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "every unary method of the door is served") {
  RangeResponse range;
  range.kvs.push_back(std::make_shared<KeyValue>(KeyValue{"key", 1, 2, 3, "v", 0}));
  CHECK(answer("KV/Range", text_message(1, "key")) == framed(encode(range)));
  CHECK(answer("KV/DeleteRange", "") == framed(encode(DeleteRangeResponse{.deleted = 3})));
  CHECK(answer("KV/Txn", "") == framed(encode(TxnResponse{.succeeded = true})));
  CHECK(answer("Lease/LeaseGrant", number_message(1, 15)) ==
        framed(encode(LeaseGrantResponse{.id = 7, .ttl = 15})));
  CHECK(answer("Lease/LeaseRevoke", "") == framed(encode(LeaseRevokeResponse{})));
  CHECK(answer("Lease/LeaseTimeToLive", "") == framed(encode(LeaseTimeToLiveResponse{.ttl = 5})));
  CHECK(answer("Lease/LeaseLeases", "") == framed(encode(LeaseLeasesResponse{.leases = {7}})));
  CHECK(answer("Maintenance/Status", "") == framed(encode(StatusResponse{.version = "3.5.9"})));
  CHECK(answer("Cluster/MemberList", "") ==
        framed(encode(MemberListResponse{.members = {{1, "a", {}, {"http://127.0.0.1:2379"}}}})));
}

TEST_CASE_FIXTURE(Fixture, "a long range is one message, made over several turns") {
  door.many = 5 * kKeysPerTurn;
  RangeResponse whole;
  door.range({.key = "a", .range_end = {}}, [&](auto response) { whole = std::move(*response); });
  const int gone = client->call("/etcdserverpb.KV/Range", framed(text_message(1, "a")));
  client->reset(gone);
  CHECK(answer("KV/Range", text_message(1, "a")) == framed(encode(whole)));
  CHECK(face->counters().messages >= 1);
  CHECK(face->counters().refused == 0);
  CHECK(status(ask("KV/Range", text_message(1, "bad"))).starts_with("11"));
  CHECK(face->counters().refused == 1);
}

TEST_CASE_FIXTURE(Fixture, "the door's errors are statuses, and what cannot be decoded is one") {
  CHECK(status(ask("KV/Range", text_message(1, "bad"))) == "11 mvcc: no");
  CHECK(status(ask("Auth/Authenticate", "")) == "9 etcdserver: authentication is not enabled");
  CHECK(status(ask("KV/Compact", "")) == "12 not served: /etcdserverpb.KV/Compact");
  CHECK(status(ask("KV/Range", "\x0a\x05x")) == "3 the message cannot be decoded");
  CHECK(status(ask("Cluster/MemberList", "\x0b")) == "3 the message cannot be decoded");
}

TEST_CASE_FIXTURE(Fixture, "a request may have as many octets as etcd takes") {
  const std::string most(kRequestBytesMax - 4, 'k');  // and what frames it
  CHECK(status(ask("KV/DeleteRange", text_message(1, most))) == "0");
  CHECK(status(ask("KV/DeleteRange", text_message(1, most + 'k'))).starts_with("8 "));
}

TEST_CASE_FIXTURE(Fixture, "a reply may come later, and the client may be gone by then") {
  const int id = client->call("/etcdserverpb.KV/Put", framed(text_message(1, "k")));
  CHECK_FALSE(client->wait(id).closed);
  CHECK(door.seen == "put k");
  door.held(PutResponse{});
  CHECK(client->wait(id).body == framed(encode(PutResponse{})));

  const int next = client->call("/etcdserverpb.KV/Put", framed(text_message(1, "k")));
  world.advance(10ms);
  client->reset(next);
  world.advance(10ms);
  door.held(PutResponse{});
}

TEST_CASE_FIXTURE(Fixture, "a watch stream passes requests on and responses back") {
  const int id = client->open_call("/etcdserverpb.Watch/Watch");
  world.advance(10ms);
  REQUIRE(door.watch != nullptr);
  client->send(id, watch_request(1, text_message(1, "prefix") + number_message(7, 5)));
  CHECK(client->wait(id).body == framed(encode(WatchResponse{.watch_id = 5, .created = true})));
  CHECK(door.seen == "create prefix");
  client->send(id, watch_request(2, number_message(1, 5)));
  world.advance(10ms);
  CHECK(door.seen == "cancel 5");
  client->send(id, watch_request(3, ""));
  world.advance(10ms);
  CHECK(door.seen == "progress");

  SUBCASE("until the client closes its side") {
    client->finish(id);
    CHECK(status(client->wait(id)) == "0");
  }
  SUBCASE("or resets it") {
    client->reset(id);
  }
  SUBCASE("or leaves") {
    client->close();
  }
  SUBCASE("or the door ends it") {
    door.watch->sink.on_watch_end({Code::unavailable, "etcdserver: server stopped"});
    CHECK(status(client->wait(id)) == "14 etcdserver: server stopped");
  }
  SUBCASE("or sends what is no request") {
    client->send(id, framed("\x0b"));
    CHECK(status(client->wait(id)) == "3 the message cannot be decoded");
  }
  world.advance(10ms);
  CHECK(door.watch == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "a watch whose client does not read is paused, and resumed") {
  const int id = client->open_call("/etcdserverpb.Watch/Watch");
  world.advance(10ms);
  client->set_window_closed(true);
  const WatchResponse response{.cancel_reason = std::string(10'000, 'r')};
  int sent = 1;
  for (; door.watch->sink.on_watch_response(response); ++sent)
    world.advance(10ms);
  CHECK(sent < 20);
  const int resumed = door.watch->resumed;
  client->open_windows();
  CHECK(client->wait(id).body.size() > static_cast<std::size_t>(sent) * 10'000);
  CHECK(door.watch->resumed == resumed + 1);
}

TEST_CASE_FIXTURE(Fixture, "each keep-alive is answered, until an error or the client's end") {
  const int id = client->open_call("/etcdserverpb.Lease/LeaseKeepAlive");
  std::string expected;
  for (std::uint64_t lease = 1; lease < 40; ++lease) {
    client->send(id, framed(number_message(1, lease)));
    expected +=
        framed(encode(LeaseKeepAliveResponse{.id = static_cast<std::int64_t>(lease), .ttl = 15}));
  }
  CHECK(client->wait(id).body == expected);

  SUBCASE("an error ends the stream") {
    client->send(id, framed(number_message(1, 99)));
    CHECK(status(client->wait(id)) == "14 gone");
  }
  SUBCASE("the end waits for what is not answered yet") {
    client->send(id, framed(number_message(1, 50)));
    client->finish(id);
    CHECK_FALSE(client->wait(id).closed);
    door.held_keep_alive(LeaseKeepAliveResponse{.id = 50});
    CHECK(client->wait(id).body == expected + framed(encode(LeaseKeepAliveResponse{.id = 50})));
    CHECK(status(client->at(id)) == "0");
  }
  SUBCASE("an answer may come when the client is gone") {
    client->send(id, framed(number_message(1, 50)));
    world.advance(10ms);
    client->close();
    world.advance(10ms);
    door.held_keep_alive(LeaseKeepAliveResponse{.id = 50});
  }
}

TEST_CASE_FIXTURE(Fixture, "a stop ends the streams as etcd does") {
  const int watch = client->open_call("/etcdserverpb.Watch/Watch");
  const int alive = client->open_call("/etcdserverpb.Lease/LeaseKeepAlive");
  world.advance(10ms);
  bool stopped = false;
  face->stop([&] { stopped = true; });
  world.advance(10ms);
  CHECK(status(client->at(watch)) == "14 etcdserver: server stopped");
  CHECK(status(client->at(alive)) == "14 etcdserver: server stopped");
  CHECK(client->goaway());
  CHECK(stopped);
  CHECK(door.watch == nullptr);
}
