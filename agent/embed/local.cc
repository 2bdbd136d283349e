// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/local.h"

#include <optional>

#include "agent/embed/events.h"

namespace outrider::embed {
namespace {

/// Who has asked, as the API sees it. Destroying it is what a client does that disconnects.
class Caller : public http::Asker, public Pending {
 public:
  ~Caller() override {
    if (link_ == nullptr) return;
    link_->asker = nullptr;
    const auto link = std::move(link_);
    if (auto on_gone = std::move(link->on_gone)) on_gone();
  }

  void send(doors::Api& api, const Request& request) {
    auto target = http::parse_target(request.target);
    if (!target) return answer(http::error_answer(400, http::to_string(target.error())));
    http::ServerRequest parsed;
    parsed.method = request.method;
    parsed.path = target->path;
    parsed.target = std::move(*target);
    parsed.body = request.body;
    link_ = std::make_shared<http::ExchangeLink>();
    link_->asker = this;
    api.on_request(parsed, http::Exchange(link_));
  }

  void answer(http::Answer&& answer) final {
    drop_link();
    on_answer(std::move(answer));
  }
  bool can_wait() const override { return !is_hurried(); }
  void begin_wait() final {}
  void refuse_wait() final { answer(http::error_answer(503, "the answer would have to wait")); }
  void begin_stream(http::StreamForm) override {}
  bool send_events(std::string_view) override { return false; }
  void end_stream() override {}
  std::size_t unread_bytes() const final { return 0; }

 protected:
  void drop_link() {
    if (link_ != nullptr) link_->asker = nullptr;
    link_.reset();
  }

 private:
  virtual void on_answer(http::Answer&& answer) = 0;
  std::shared_ptr<http::ExchangeLink> link_;
};

class HurriedCaller final : public Caller {
 public:
  bool is_hurried() const override { return true; }
  std::optional<http::Answer> result;

 private:
  void on_answer(http::Answer&& answer) override { result = std::move(answer); }
};

class PatientCaller final : public Caller {
 public:
  explicit PatientCaller(LocalTransport::OnOutcome callback) : callback_(std::move(callback)) {}

 private:
  void on_answer(http::Answer&& answer) override {
    auto callback = std::move(callback_);
    callback(outcome_of(answer.status, std::move(answer.body)));
  }
  LocalTransport::OnOutcome callback_;
};

/// Events are passed on in a later turn: the API sends them in the middle of its work, and the
/// program may do anything when it gets one.
class StreamCaller final : public Caller {
 public:
  StreamCaller(Env& env, OnEvent on_event) : env_(env), on_event_(std::move(on_event)) {}
  ~StreamCaller() override {
    if (gone_ != nullptr) *gone_ = true;
  }
  std::optional<http::Answer> refusal;
  bool can_wait() const override { return true; }
  /// It gets what is known now, and what follows later.
  bool is_hurried() const override { return true; }

 private:
  void on_answer(http::Answer&& answer) override { refusal = std::move(answer); }
  bool send_events(std::string_view text) override {
    if (!events_.add(text)) return false;
    if (!timer_.pending()) timer_ = env_.after(Duration::zero(), [this] { pass_on(); });
    return true;
  }
  void end_stream() override { drop_link(); }
  void pass_on() {
    bool gone = false;
    gone_ = &gone;
    ServerEvent event;
    while (events_.next(event)) {
      on_event_(event.name, event.data);
      if (gone) return;
    }
    gone_ = nullptr;
  }

  Env& env_;
  OnEvent on_event_;
  EventReader events_;
  Timer timer_;
  bool* gone_ = nullptr;  // set by the destructor
};

}  // namespace

Outcome LocalTransport::ask_now(const Request& request) {
  HurriedCaller caller;
  caller.send(api_, request);
  if (!caller.result) return failure(Failure{OUTRIDER_EWOULDBLOCK});
  return outcome_of(caller.result->status, std::move(caller.result->body));
}

std::unique_ptr<Pending> LocalTransport::ask(const Request& request, OnOutcome callback) {
  auto caller = std::make_unique<PatientCaller>(std::move(callback));
  caller->send(api_, request);
  return caller;
}

Result<std::unique_ptr<Pending>, Failure> LocalTransport::watch(const std::string& target,
                                                                OnEvent on_event,
                                                                Duration /*most*/) {
  auto caller = std::make_unique<StreamCaller>(env_, std::move(on_event));
  caller->send(api_, {"GET", target});
  if (caller->refusal)
    return failure(outcome_of(caller->refusal->status, caller->refusal->body).error());
  return caller;
}

}  // namespace outrider::embed
