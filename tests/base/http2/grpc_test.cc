// SPDX-License-Identifier: Apache-2.0
#include "base/http2/grpc.h"

#include <doctest/doctest.h>

#include "tests/base/http2/listener.h"

using namespace outrider;
using namespace outrider::grpc;
using namespace outrider::test;

namespace {

/// Unary: /t.T/Echo, /t.T/Hold, /t.T/Drop, /t.T/Fail. Streaming: /t.T/Chat echoes each message, and
/// ends when the client does, with the number of messages as its text.
struct TestService final : Service {
  struct Chat final : StreamReader {
    Chat(TestService& to, StreamWriter out) : service(to), writer(std::move(out)) {
      ++service.chats;
      service.last = this;
    }
    ~Chat() override { --service.chats; }
    void on_message(Bytes message) override {
      ++messages;
      service.writable = writer.send(as_text(message));
    }
    void on_half_close() override {
      writer.finish({messages > 0 ? Code::ok : Code::not_found, std::to_string(messages)});
    }
    void on_writable() override { ++service.resumed; }
    TestService& service;
    StreamWriter writer;
    int messages = 0;
  };

  const Method* find(std::string_view path) const override {
    static const Method kMethods[] = {{"/t.T/Echo"},
                                      {"/t.T/Hold"},
                                      {"/t.T/Drop"},
                                      {"/t.T/Fail", Method::Kind::unary, http::Work::changes},
                                      {"/t.T/Chat", Method::Kind::streaming}};
    for (const Method& method : kMethods)
      if (method.path == path) return &method;
    return nullptr;
  }
  std::string refuse(std::string_view path) const override {
    return "no method " + std::string(path);
  }
  void on_call(const Method& method, const CallHead& head, Bytes message, Reply reply) override {
    ++calls;
    token = head.metadata.get("token");
    if (method.path == "/t.T/Echo") return reply.answer(as_text(message));
    if (method.path == "/t.T/Hold") return held.push_back(std::move(reply));
    if (method.path == "/t.T/Fail") reply.fail({Code::permission_denied, "50 % of \xc3\xa4\n"});
  }
  std::unique_ptr<StreamReader> on_stream(const Method&, const CallHead&,
                                          StreamWriter writer) override {
    return std::make_unique<Chat>(*this, std::move(writer));
  }

  int calls = 0, chats = 0, resumed = 0;
  bool writable = true;
  std::string token;
  std::vector<Reply> held;
  Chat* last = nullptr;
};

struct Fixture {
  sim::World world{7};
  TestService service;
  http::Clients clients{world.env()};
  grpc::Server calls{world.env(), service, 100'000};
  http2::Server server{world.env(), clients, kLibrary, calls};
  NoHttp1 http1;
  std::unique_ptr<http::Server> listener;
  std::unique_ptr<H2Client> client;

  Fixture() {
    listener = listen(world.env(), kSocket, clients, server, http1);
    client = std::make_unique<H2Client>(world, kSocket);
  }
  static std::string status(const H2Response& response) {
    const auto& from = response.trailers.empty() ? response.headers : response.trailers;
    const auto at = from.find("grpc-status");
    return at == from.end() ? "none" : at->second;
  }
  static std::string text(const H2Response& response) {
    const auto& from = response.trailers.empty() ? response.headers : response.trailers;
    const auto at = from.find("grpc-message");
    return at == from.end() ? "" : at->second;
  }
  /// The status of a call that is refused without a message, and the text of it.
  std::string refused(const std::string& path, const std::string& body,
                      const H2Client::Fields& more = {}) {
    const auto& response = client->wait(client->call(path, body, more));
    CHECK(response.status == "200");
    CHECK(response.closed);
    CHECK(response.body.empty());
    return status(response) + " " + text(response);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a unary call is answered with a message and status 0") {
  const int id = client->call("/t.T/Echo", framed("hello"), {{"token", "secret"}});
  const auto& response = client->wait(id);
  CHECK(response.status == "200");
  CHECK(response.headers.at("content-type") == "application/grpc");
  CHECK(response.body == framed("hello"));
  CHECK(response.trailers.at("grpc-status") == "0");
  CHECK(response.trailers.count("grpc-message") == 0);
  CHECK(service.token == "secret");
  CHECK(calls.call_count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "an empty message is a message") {
  const auto& response = client->wait(client->call("/t.T/Echo", framed("")));
  CHECK(response.body == framed(""));
  CHECK(status(response) == "0");
}

TEST_CASE_FIXTURE(Fixture, "errors are trailers alone, their text percent-encoded") {
  CHECK(refused("/t.T/Fail", framed("x")) == "7 50 %25 of %C3%A4%0A");
  CHECK(refused("/t.T/Nothing", framed("x")) == "12 no method /t.T/Nothing");
  CHECK(refused("/t.T/Drop", framed("x")) == "13 the call was not answered");
  CHECK(encode_status_text(std::string(3'000, 'x')).size() == kStatusTextBytesMax);
}

TEST_CASE_FIXTURE(Fixture, "malformed requests get a status and a sentence") {
  CHECK(refused("/t.T/Echo", "").starts_with("13 the request ends"));
  CHECK(refused("/t.T/Echo", framed("x").substr(0, 3)).starts_with("13 the request ends"));
  CHECK(refused("/t.T/Echo", framed("xyz").substr(0, 7)).starts_with("13 the request ends"));
  CHECK(refused("/t.T/Echo", framed("x") + framed("y")).starts_with("13 a unary call has more"));
  CHECK(refused("/t.T/Echo", "\1" + framed("x").substr(1)).starts_with("12 compressed messages"));
  CHECK(refused("/t.T/Echo", "\2" + framed("x").substr(1)).starts_with("13 a message begins"));
  CHECK(refused("/t.T/Echo", framed("x"), {{"grpc-timeout", "soon"}}).starts_with("13 malformed"));
  CHECK(refused("/t.T/Chat", framed("x").substr(0, 4)).starts_with("13 the request ends"));
  CHECK(service.calls == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "a message may be as long as the limit, and longer than the flow control") {
  const std::string longest(100'000, 'm');
  CHECK(client->wait(client->call("/t.T/Echo", framed(longest))).body == framed(longest));
  CHECK(
      refused("/t.T/Echo", framed(longest + "m")).starts_with("8 a message is longer than 100000"));
  const int id = client->open_call("/t.T/Chat");
  client->send(id, framed(longest) + framed("next"));
  CHECK(client->wait(id).body == framed(longest) + framed("next"));
}

TEST_CASE_FIXTURE(Fixture, "requests that are not complete take bounded memory") {
  std::vector<int> ids;
  for (std::size_t i = 0; i < http2::kKeptBytesMax / 90'000 + 2; ++i) {
    ids.push_back(client->open_call("/t.T/Chat"));
    client->send(ids.back(), framed(std::string(99'000, 'm')).substr(0, 95'000));
    world.advance(10ms);
  }
  CHECK(clients.queued() <= http2::kKeptBytesMax + 100'000);
  int exhausted = 0;
  for (const int id : ids)
    exhausted += status(client->at(id)) == "8" ? 1 : 0;
  CHECK(exhausted > 0);
  CHECK(client->wait(client->call("/t.T/Echo", framed("x"))).body == framed("x"));
}

TEST_CASE_FIXTURE(Fixture, "what is not gRPC gets an HTTP status and a sentence") {
  const std::string none;
  const auto& get = client->wait(client->get("/health"));
  CHECK(get.status == "415");
  CHECK(get.body.find("HTTP/1.1") != std::string::npos);
  CHECK(
      client->wait(client->ask("POST", "/t.T/Echo", {{"content-type", "application/grpcx"}}, &none))
          .status == "415");
  CHECK(client->wait(client->ask("HEAD", "/", {}, &none)).status == "415");
  const H2Client::Fields grpc{{"content-type", "application/grpc"}};
  CHECK(client->wait(client->ask("GET", "/t.T/Echo", grpc, &none)).status == "405");
  const std::string body = framed("x");
  for (const char* type : {"application/grpc+proto", "application/grpc;charset=utf-8"})
    CHECK(client->wait(client->ask("POST", "/t.T/Echo", {{"content-type", type}}, &body)).body ==
          body);
}

TEST_CASE_FIXTURE(Fixture, "what is not gRPC is refused when it has come, unless it is long") {
  const H2Client::Fields not_grpc{{"content-type", "application/json"}};
  const int brief = client->ask("POST", "/v3/kv/range", not_grpc, nullptr);
  client->send(brief, std::string(kRefusedBodyBytesMax / 2, 'x'));
  world.advance(1s);
  CHECK(client->at(brief).status.empty());
  client->finish(brief);
  CHECK(client->wait(brief).status == "415");

  const int without_end = client->ask("POST", "/v3/kv/range", not_grpc, nullptr);
  for (std::size_t sent = 0; sent <= kRefusedBodyBytesMax; sent += 8'192) {
    client->send(without_end, std::string(8'192, 'x'));
    world.advance(10ms);
  }
  CHECK(client->wait(without_end).status == "415");
}

TEST_CASE_FIXTURE(Fixture, "a call ends at the client's deadline") {
  CHECK(parse_timeout("1H") == Duration(1h));
  CHECK(parse_timeout("2M") == Duration(2min));
  CHECK(parse_timeout("99999999S") == Duration(99'999'999s));
  CHECK(parse_timeout("30m") == Duration(30ms));
  CHECK(parse_timeout("30u") == Duration(30us));
  CHECK(parse_timeout("30000n") == Duration(30us));
  for (const char* wrong : {"", "1", "S", "-1S", "+1S", "1.5S", "123456789S", "1X", " 1S"})
    CHECK_FALSE(parse_timeout(wrong));

  const int id = client->call("/t.T/Hold", framed("x"), {{"grpc-timeout", "500m"}});
  const int chat = client->open_call("/t.T/Chat", {{"grpc-timeout", "500m"}});
  world.advance(400ms);
  CHECK_FALSE(client->at(id).closed);
  CHECK(service.chats == 1);
  world.advance(200ms);
  CHECK(status(client->at(id)) == "4");
  CHECK(status(client->at(chat)) == "4");
  CHECK(service.chats == 0);
  REQUIRE(service.held.size() == 1);
  CHECK_FALSE(service.held[0].alive());
  service.held[0].answer("late");  // does nothing
}

TEST_CASE_FIXTURE(Fixture, "a unary request must arrive in time, and may be answered late") {
  const int half = client->open_call("/t.T/Hold");
  client->send(half, framed("x").substr(0, 3));
  const int id = client->call("/t.T/Hold", framed("x"));
  world.advance(kRequestTimeout + 1s);
  CHECK(status(client->at(half)) == "4");
  CHECK_FALSE(client->at(id).closed);
  service.held[0].answer("late");
  CHECK(client->wait(id).body == framed("late"));
}

TEST_CASE_FIXTURE(Fixture, "a streaming call carries messages both ways until one side ends it") {
  const int id = client->open_call("/t.T/Chat");
  world.advance(10ms);
  CHECK(service.chats == 1);
  client->send(id, framed("one"));
  CHECK(client->wait(id).body == framed("one"));
  client->send(id, framed("two") + framed("three") + framed("four").substr(0, 6));
  CHECK(client->wait(id).body == framed("one") + framed("two") + framed("three"));
  client->send(id, framed("four").substr(6));
  client->finish(id);
  const auto& response = client->wait(id);
  CHECK(response.body.ends_with(framed("four")));
  CHECK(status(response) + text(response) == "04");
  CHECK(response.closed);
  CHECK(service.chats == 0);

  const int empty = client->call("/t.T/Chat", "");
  CHECK(status(client->wait(empty)) == "5");

  const int ours = client->open_call("/t.T/Chat");
  world.advance(10ms);
  service.last->writer.send("bye");
  service.last->writer.finish({Code::aborted, "enough"});
  const auto& ended = client->wait(ours);
  CHECK(ended.body == framed("bye"));
  CHECK(status(ended) == "10");
  CHECK(ended.closed);
  CHECK(service.chats == 0);
}

TEST_CASE_FIXTURE(Fixture, "a call is over when the client cancels it") {
  const int chat = client->open_call("/t.T/Chat");
  const int unary = client->call("/t.T/Hold", framed("x"));
  world.advance(10ms);
  CHECK(service.chats == 1);
  CHECK(service.held[0].alive());
  client->reset(chat);
  client->reset(unary);
  world.advance(10ms);
  CHECK(service.chats == 0);
  CHECK_FALSE(service.held[0].alive());
}

TEST_CASE_FIXTURE(Fixture, "a stream whose client does not read is paused, and given up") {
  const int id = client->open_call("/t.T/Chat");
  world.advance(10ms);
  client->set_window_closed(true);
  auto& writer = service.last->writer;
  const std::string message(10'000, 'm');
  std::size_t sent = 0;
  while (writer.send(message)) {
    ++sent;
    world.advance(10ms);
  }
  CHECK(sent * message.size() > kStreamPauseBytes);
  CHECK(sent * message.size() < kStreamPauseBytes + http2::kStreamWindowBytes + 20'000);
  CHECK(service.resumed > 0);
  service.resumed = 0;

  SUBCASE("when it has read, the writer hears of it") {
    client->open_windows();
    world.advance(50ms);
    CHECK(service.resumed == 1);
    CHECK(writer.send("more"));
  }
  SUBCASE("a writer that goes on loses the call") {
    for (std::size_t i = 0; i < kStreamQueueBytesMax / message.size() + 10; ++i)
      writer.send(message);
    CHECK_FALSE(writer.alive());
    CHECK(clients.queued() < 100'000);
    CHECK(client->wait(id).closed);
    CHECK(client->at(id).error == NGHTTP2_ENHANCE_YOUR_CALM);
    client->open_windows();
  }
  CHECK(client->wait(client->call("/t.T/Echo", framed("x"))).body == framed("x"));
}

TEST_CASE_FIXTURE(Fixture, "a thousand streams at once, each with its messages") {
  std::vector<int> ids;
  for (int i = 0; i < 1'000; ++i)
    ids.push_back(client->open_call("/t.T/Chat"));
  world.advance(1s);
  CHECK(service.chats == 1'000);
  for (const int id : ids)
    client->send(id, framed(std::to_string(id)));
  world.advance(1s);
  for (const int id : ids)
    CHECK(client->at(id).body == framed(std::to_string(id)));
}

TEST_CASE_FIXTURE(Fixture, "a server that stops ends streams, and answers what is at hand") {
  const int chat = client->open_call("/t.T/Chat");
  const int held = client->call("/t.T/Hold", framed("x"));
  world.advance(10ms);
  calls.stop("it stops");
  bool stopped = false;
  server.stop([&] { stopped = true; });
  world.advance(10ms);
  CHECK(status(client->at(chat)) + text(client->at(chat)) == "14it stops");
  CHECK_FALSE(stopped);
  service.held[0].answer("done");
  world.advance(10ms);
  CHECK(client->at(held).body == framed("done"));
  CHECK(client->goaway());
  CHECK(stopped);
}
