// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/http_server.h"

#include <utility>

#include "base/assert.h"

namespace outrider::sim {

class HttpServer::Connection final : private Stream::Sink {
 public:
  Connection(HttpServer& server, std::unique_ptr<Stream> stream)
      : server_(server), stream_(std::move(stream)) {
    stream_->start(*this);
  }

 private:
  void on_data(Bytes data) override {
    input_ += as_text(data);
    serve();
  }
  void on_end() override { done(); }
  void on_broken(NetError) override { done(); }

  void serve() {
    const std::size_t end = input_.find("\r\n\r\n");
    if (thinking_.pending() || end == std::string::npos) return;
    const std::string head = input_.substr(0, end + 4);
    input_.erase(0, end + 4);
    server_.requests_.push_back(head);
    const std::size_t from = head.find(' ') + 1;
    const std::string path = head.substr(from, head.find_first_of(" ?", from) - from);
    const auto found = server_.answers_.find(path);
    Answer answer = found != server_.answers_.end() ? found->second
                                                    : Answer{.status = 404, .body = "not found"};
    if (head.find("Connection: close") != std::string::npos) answer.close = true;
    const bool to_head = head.starts_with("HEAD ");
    if (answer.after == Duration{}) {
      send(answer, to_head);
      return;
    }
    const Duration after = answer.after;
    thinking_ = server_.env_.after(
        after, [this, answer = std::move(answer), to_head] { send(answer, to_head); });
  }

  void send(const Answer& answer, bool to_head) {
    std::string text = answer.raw;
    if (text.empty()) {
      text = "HTTP/1.1 " + std::to_string(answer.status) +
             " Scripted\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n";
      for (const std::string& header : answer.headers)
        text += header + "\r\n";
      if (answer.close) text += "Connection: close\r\n";
      text += "\r\n";
      if (!to_head) text += answer.body;
    }
    // A peer that has gone shows up as on_broken.
    static_cast<void>(stream_->write(as_bytes(text)));
    if (answer.close) {
      stream_->finish();
      return;
    }
    serve();
  }

  void done() {
    std::erase_if(server_.connections_, [this](const auto& other) { return other.get() == this; });
  }

  HttpServer& server_;
  std::unique_ptr<Stream> stream_;
  std::string input_;
  Timer thinking_;
};

HttpServer::HttpServer(Env& env, std::uint16_t port) : env_(env), port_(port) {
  addresses_ = {Endpoint{IpAddress::any(IpAddress::Family::v4), port},
                Endpoint{IpAddress::any(IpAddress::Family::v6), port}};
  listen();
}

HttpServer::HttpServer(Env& env, const UnixPath& path) : env_(env), addresses_{path} {
  listen();
}

HttpServer::~HttpServer() = default;

void HttpServer::set_listening(bool listening) {
  if (listening == !listeners_.empty()) return;
  listeners_.clear();
  connections_.clear();
  if (listening) listen();
}

void HttpServer::listen() {
  for (StreamAddress& address : addresses_) {
    auto* endpoint = std::get_if<Endpoint>(&address);
    if (endpoint != nullptr) endpoint->port = port_;
    auto listener = env_.network.listen({.on = address}, *this);
    OUTRIDER_ASSERT(listener.has_value());
    if (endpoint != nullptr) port_ = std::get<Endpoint>((*listener)->local()).port;
    listeners_.push_back(std::move(*listener));
  }
}

void HttpServer::on_accept(std::unique_ptr<Stream> stream) {
  connections_.push_back(std::make_unique<Connection>(*this, std::move(stream)));
}

}  // namespace outrider::sim
