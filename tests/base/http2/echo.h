// SPDX-License-Identifier: Apache-2.0
// A server of both versions of HTTP in the simulator.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/http2/server.h"
#include "tests/base/http2/listener.h"

namespace outrider::test {

using http2::Library;
using http2::Receiver;
using http2::RequestHead;
using http2::Responder;

/// Answers "METHOD path body" with a trailer; /hold is not answered, /big with `big` octets, /wait
/// does not give the body back to the flow control, /early before the request is complete.
struct Echo final : http2::Handler, http::Handler {
  struct Request final : Receiver {
    Request(Echo& to, const RequestHead& head, Responder& out) : echo(to), responder(out) {
      text = head.method + " " + head.path + " ";
      path = head.path;
      ++echo.open;
      at = echo.requests.insert(echo.requests.end(), this);
    }
    ~Request() override {
      --echo.open;
      echo.requests.erase(at);
    }
    void on_data(Bytes data) override {
      text += as_text(data);
      if (path != "/wait") responder.consume(data.size());
    }
    void on_end() override { responder.want_turn(http::Work::reads); }
    void on_turn() override {
      ++echo.turns;
      if (path == "/hold" || path == "/wait") return;
      responder.begin(200, {{"content-type", "text/plain"}});
      responder.send(path == "/big" ? std::string(echo.big, 'x') : text);
      responder.finish({{"end", "yes"}});
    }
    void on_drained() override { ++echo.drained; }

    Echo& echo;
    Responder& responder;
    std::string text, path;
    std::list<Request*>::iterator at;
  };

  int open = 0, turns = 0, drained = 0;
  std::size_t big = 0;
  std::vector<RequestHead> heads;
  std::list<Request*> requests;  // that are open

  std::unique_ptr<Receiver> on_request(const RequestHead& head, Responder& responder) override {
    heads.push_back(head);
    auto request = std::make_unique<Request>(*this, head, responder);
    if (head.path == "/early") request->on_turn();
    return request;
  }
  void on_request(const http::ServerRequest& request, http::Exchange exchange) override {
    exchange.answer(http::text_answer(200, "HTTP/1.1 " + request.path));
  }
};

struct EchoFixture {
  sim::World world{7};
  Echo echo;
  http::Clients clients{world.env()};
  http2::Server server{world.env(), clients, kLibrary, echo};
  std::unique_ptr<http::Server> listener;

  EchoFixture() { listener = listen(world.env(), kSocket, clients, server, echo); }
  /// Sends frames that a client does not send, and what the server says to the connection.
  std::uint32_t told(const std::string& frames) {
    H2Client client(world, kSocket);
    CHECK(client.wait(client.get("/first")).status == "200");
    client.raw(frames);
    world.advance(100ms);
    CHECK(echo.open == 0);
    if (!client.goaway()) return kNotTold;
    CHECK(client.ended());
    return client.goaway_code();
  }
  static constexpr std::uint32_t kNotTold = 1'000;
};

}  // namespace outrider::test
