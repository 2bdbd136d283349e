// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/remote.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "agent/embed/events.h"
#include "base/http/client.h"
#include "base/http/text.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider::embed {
namespace {

constexpr std::size_t kHeadBytesMax = 16U << 10;

Failure failure_of(const http::ClientError& error) {
  switch (error.kind) {
    case http::ClientError::Kind::timeout:
      return {OUTRIDER_ETIMEDOUT, error.text};
    case http::ClientError::Kind::network:
      return {error.network == NetError::denied ? OUTRIDER_EPERM : OUTRIDER_ENOAGENT, error.text};
    case http::ClientError::Kind::protocol:
    case http::ClientError::Kind::body_too_long:
    case http::ClientError::Kind::forbidden:
      break;
  }
  return {OUTRIDER_EFAILED, error.text};
}

/// One stream, opened again and again.
class SocketStream final : public Pending, Stream::Sink {
 public:
  SocketStream(Env& env, std::string socket, std::string target, OnEvent on_event)
      : env_(env),
        socket_(std::move(socket)),
        target_(std::move(target)),
        on_event_(std::move(on_event)) {
    connect();
  }
  ~SocketStream() override {
    if (gone_ != nullptr) *gone_ = true;
  }

 private:
  void connect() {
    connecting_ = env_.network.connect({.to = UnixPath{socket_}, .from = {}, .opening = {}},
                                       [this](auto stream) { on_connected(std::move(stream)); });
  }
  void on_connected(Result<std::unique_ptr<Stream>, NetError> stream) {
    connecting_.reset();
    if (!stream) return retry();
    stream_ = std::move(*stream);
    stream_->start(*this);
    std::vector<std::pair<std::string, std::string>> headers;
    if (!revision_.empty()) headers.emplace_back("Last-Event-ID", revision_);
    const std::string request = http::write_request("GET", target_, "agent", headers, {}, true);
    if (!stream_->write(as_bytes(request))) retry();
  }
  void retry() {
    stream_.reset();
    head_ = {};
    head_done_ = false;
    events_.clear();
    timer_ = env_.after(kReconnect[tries_], [this] { connect(); });
    tries_ = std::min(tries_ + 1, std::size(kReconnect) - 1);
  }
  void on_data(Bytes data) override {
    if (!take(as_text(data))) return retry();
    bool gone = false, lagged = false;
    gone_ = &gone;
    ServerEvent event;
    while (!lagged && events_.next(event)) {
      tries_ = 0;
      lagged = event.name == "lagged";
      if (event.name == "list") {
        pass_on(std::string(event.data));
      } else if (!lagged) {
        if (http::valid_header("Last-Event-ID", event.id)) revision_ = event.id;
        on_event_(event.name, event.data);
      }
      if (gone) return;
    }
    gone_ = nullptr;
    if (lagged) retry();
  }
  void on_end() override { retry(); }
  void on_broken(NetError) override { retry(); }
  /// What was known before a restart stays in the list until the new agent has had the time to find
  /// it, or something else.
  void pass_on(std::string list) {
    if (settle_.pending() && count_instances(list) < count_instances(latest_)) {
      withheld_ = std::move(list);
      return;
    }
    withheld_.clear();
    latest_ = list;
    on_event_("list", list);  // may destroy this
  }
  void give_up() {
    if (!withheld_.empty()) pass_on(std::exchange(withheld_, {}));
  }
  /// False: it is not the stream that was asked for.
  bool take(std::string_view data) {
    if (head_done_) return events_.add(data);
    head_ += data;
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return head_.size() <= kHeadBytesMax;
    if (!head_.starts_with("HTTP/1.1 200 ")) return false;
    head_done_ = true;
    if (std::exchange(was_open_, true)) settle_ = env_.after(kSettleTime, [this] { give_up(); });
    return events_.add(std::string_view(head_).substr(end + 4));
  }

  Env& env_;
  const std::string socket_, target_;
  OnEvent on_event_;
  std::string revision_;  // of the latest event; a list is whole each time, and has no use for it
  std::string head_;
  bool head_done_ = false;
  EventReader events_;
  std::size_t tries_ = 0;
  bool* gone_ = nullptr;  // set by the destructor
  bool was_open_ = false;
  std::string latest_, withheld_;  // lists
  Timer timer_, settle_;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

Outcome ask_agent(const std::string& socket, const Request& request, Duration timeout) {
  // A filter of the program may hold anything, and must not end the line that it is a part of.
  if (const auto target = http::parse_target(request.target); !target)
    return failure(Failure{OUTRIDER_EINVAL, http::to_string(target.error())});
  const auto loop = uv::Loop::open();
  if (loop == nullptr) return failure(Failure{OUTRIDER_EFAILED, "no descriptors are left"});
  uv::SystemRandom random;
  NullLog log;
  Env env{loop->clock(), loop->timers(), loop->network(), random, log};
  http::ClientRequest wire;
  wire.to = UnixPath{socket};
  wire.host = "agent";
  wire.method = request.method;
  wire.target = request.target;
  wire.body = request.body;
  wire.timeout = timeout;
  wire.body_bytes_max = kAnswerBytesMax;
  std::optional<Result<http::Response, http::ClientError>> result;
  auto pending = http::fetch(env, std::move(wire),
                             [&result](auto response) { result.emplace(std::move(response)); });
  while (!result)
    loop->turn(true);
  pending.reset();
  if (!*result) return failure(failure_of(result->error()));
  return outcome_of((*result)->status, std::move((*result)->body));
}

Result<std::string, Failure> find_agent(const FoundSockets& found, Duration timeout,
                                        Duration last) {
  Failure why{OUTRIDER_ENOAGENT, "no agent is running"};
  if (!found.passed_over.empty()) why.text = "no other agent is running; " + found.passed_over;
  for (const std::string& socket : found.sockets) {
    const Outcome alive =
        ask_agent(socket, {"GET", "/healthz"}, socket == found.sockets.back() ? last : timeout);
    if (alive) return socket;
    why = alive.error();
    // One that does not answer is as good as none.
    if (why.code == OUTRIDER_ETIMEDOUT) why.code = OUTRIDER_ENOAGENT;
  }
  return failure(std::move(why));
}

Result<std::unique_ptr<Pending>, Failure> RemoteTransport::watch(const std::string& target,
                                                                 OnEvent on_event, Duration most) {
  if (Outcome right = ask_agent(socket_, {"HEAD", target}, most); !right) {
    // The answer to HEAD has no body that says why.
    if (right.error().code == OUTRIDER_EINVAL) right = ask_agent(socket_, {"GET", target}, most);
    if (!right) return failure(right.error());
  }
  return std::make_unique<SocketStream>(env_, socket_, target, std::move(on_event));
}

}  // namespace outrider::embed
