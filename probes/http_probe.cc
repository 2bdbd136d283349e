// SPDX-License-Identifier: Apache-2.0
#include "probes/http_probe.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace outrider::probes {
namespace {

constexpr const char* kUserAgent = "outrider/" OUTRIDER_VERSION;

std::string explain(http::Error error) {
  switch (error) {
    case http::Error::bare_line_feed:
      return "not a clean HTTP/1 answer: a line of its head ends with LF instead of CRLF";
    case http::Error::head_too_long:
      return "the head of the answer is longer than " + std::to_string(http::kHeadBytesMax >> 10) +
             " KiB";
    case http::Error::malformed:
    case http::Error::version:
    case http::Error::method:
    case http::Error::body_too_long:
    case http::Error::host:
    case http::Error::target:
    case http::Error::parameters:
    case http::Error::framing:
    case http::Error::coding:
    case http::Error::cut_short:
      return std::string("not a clean HTTP/1 answer: ") + http::to_string(error);
  }
  OUTRIDER_UNREACHABLE();
}

/// The run that currently reads from a connection.
class Reader {
 public:
  virtual void on_data(Bytes data) = 0;
  virtual void on_end() = 0;
  virtual void on_broken(NetError error) = 0;

 protected:
  ~Reader() = default;
};

/// A stream with its sink, so that it can be passed from one run to the next. Data that arrives
/// between two runs makes it unusable.
class Connection final : public Stream::Sink {
 public:
  Connection(std::unique_ptr<Stream> stream, Reader* reader)
      : stream_(std::move(stream)), reader_(reader) {
    stream_->start(*this);
  }
  /// Of a server that hangs nothing is left behind. After an answer the connection is closed with
  /// FIN, as every client does.
  void give_up() { stream_->reset_on_destroy(); }
  bool usable() const { return usable_; }
  void spoil() { usable_ = false; }
  void read_by(Reader* reader) { reader_ = reader; }
  Result<void, NetError> write(std::string_view text) { return stream_->write(as_bytes(text)); }

 private:
  void on_data(Bytes data) override {
    if (reader_ != nullptr) return reader_->on_data(data);
    usable_ = false;
  }
  void on_end() override {
    usable_ = false;
    if (reader_ != nullptr) reader_->on_end();
  }
  void on_broken(NetError error) override {
    usable_ = false;
    if (reader_ != nullptr) reader_->on_broken(error);
  }

  std::unique_ptr<Stream> stream_;
  Reader* reader_;
  bool usable_ = true;
};

class HttpRun;

class HttpProber final : public Prober {
 public:
  explicit HttpProber(const HttpCheck& check);
  std::unique_ptr<Probe> start(Env& env, Duration timeout, OutcomeCallback callback) override;
  void forget() override { kept_.reset(); }

 private:
  friend class HttpRun;

  StreamAddress target_;
  std::string request_;
  std::unique_ptr<HttpExpectation> expected_;  // null: the defaults
  std::unique_ptr<Connection> kept_;
  bool reuse_;
  bool to_head_;
};

class HttpRun final : public Probe, public Reader {
 public:
  HttpRun(HttpProber& prober, Env& env, Duration timeout, OutcomeCallback callback)
      : prober_(prober),
        env_(env),
        callback_(std::move(callback)),
        started_(env.now()),
        timeout_(env.after(timeout, [this] { on_timeout(); })),
        parser_(kOutputBytesMax, prober.to_head_) {
    if (prober_.kept_ && prober_.kept_->usable()) {
      connection_ = std::move(prober_.kept_);
      connection_->read_by(this);
      on_kept_ = true;
      send();
    } else {
      connect();
    }
  }

 private:
  void connect();
  void send();
  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  void on_timeout();
  bool retry_on_fresh_connection();
  void finish_judged();
  void finish(Outcome outcome);
  void fail(OutcomeKind kind, std::string why) { finish({.kind = kind, .output = std::move(why)}); }

  HttpProber& prober_;
  Env& env_;
  OutcomeCallback callback_;
  TimePoint started_;
  Timer timeout_;
  Timer later_;  // reports a failure known at once after start() has returned
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Connection> connection_;
  http::ResponseParser parser_;
  bool on_kept_ = false;
  bool heard_ = false;
};

HttpProber::HttpProber(const HttpCheck& check)
    : target_(check.target), reuse_(check.options.reuse), to_head_(check.options.method == "HEAD") {
  auto headers = check.options.headers;
  const auto named = [&](const char* name) { return http::Headers{headers}.has(name); };
  if (!named("User-Agent")) headers.emplace_back("User-Agent", kUserAgent);
  if (!named("Accept")) headers.emplace_back("Accept", "*/*");
  std::erase_if(headers, [](const auto& header) {
    const http::Headers one{{header}};
    return one.has("Host") || one.has("Connection") || one.has("Content-Length") ||
           one.has("Transfer-Encoding");
  });
  request_ = http::write_request(check.options.method, check.path, host_of(check), headers,
                                 check.options.body, reuse_);
  if (check.options.expect != HttpExpectation())
    expected_ = std::make_unique<HttpExpectation>(check.options.expect);
}

std::unique_ptr<Probe> HttpProber::start(Env& env, Duration timeout, OutcomeCallback callback) {
  return std::make_unique<HttpRun>(*this, env, timeout, std::move(callback));
}

void HttpRun::connect() {
  on_kept_ = false;
  const ConnectOptions options{
      .to = prober_.target_, .from = {}, .opening = as_bytes(prober_.request_)};
  connecting_ = env_.network.connect(options, [this](auto connected) {
    connecting_.reset();
    if (!connected) return finish(outcome_of(connected.error(), "connect"));
    connection_ = std::make_unique<Connection>(std::move(*connected), this);
  });
}

void HttpRun::send() {
  if (const auto written = connection_->write(prober_.request_); !written)
    later_ = env_.timers.at(env_.now(), [this, error = written.error()] { on_broken(error); });
}

void HttpRun::on_data(Bytes data) {
  heard_ = true;
  const auto taken = parser_.feed(data);
  if (!taken) return fail(OutcomeKind::fail_protocol, explain(taken.error()));
  // RFC 9112 §9.2: data after the answer belongs to no request, so the connection is not reused.
  if (*taken < data.size()) connection_->spoil();
  if (parser_.complete()) finish_judged();
}

void HttpRun::on_end() {
  if (retry_on_fresh_connection()) return;
  if (parser_.finish()) return finish_judged();
  fail(OutcomeKind::fail_protocol, heard_ ? "connection closed in the middle of the answer"
                                          : "connection closed without an answer");
}

void HttpRun::on_broken(NetError error) {
  if (retry_on_fresh_connection()) return;
  finish(outcome_of(error, heard_ ? "read the answer" : "wait for the answer"));
}

/// RFC 9112 §9.3.1: the peer may close a kept connection at any time; that is no failure.
bool HttpRun::retry_on_fresh_connection() {
  if (!on_kept_ || heard_) return false;
  const std::unique_ptr<Connection> stale = std::move(connection_);
  later_.reset();
  connect();
  return true;
}

void HttpRun::on_timeout() {
  if (connection_) connection_->give_up();
  if (connecting_) return fail(OutcomeKind::fail_timeout, "timeout: no connection");
  if (!heard_) return fail(OutcomeKind::fail_timeout, "timeout: connected, no answer");
  if (!parser_.head_complete())
    return fail(OutcomeKind::fail_timeout, "timeout: the head of the answer was not whole");
  Outcome outcome = judge(parser_.response(), {});
  outcome.kind = OutcomeKind::fail_timeout;
  outcome.output.insert(0, "timeout: the body of the answer was not whole: ");
  finish(std::move(outcome));
}

void HttpRun::finish_judged() {
  const http::Response response = parser_.take();
  if (prober_.reuse_ && response.keep_alive && connection_->usable()) {
    connection_->read_by(nullptr);
    prober_.kept_ = std::move(connection_);
  }
  static const HttpExpectation kDefaults;
  finish(judge(response, prober_.expected_ ? *prober_.expected_ : kDefaults));
}

void HttpRun::finish(Outcome outcome) {
  timeout_.reset();
  later_.reset();
  connecting_.reset();
  outcome.at = env_.now();
  outcome.latency = outcome.at - started_;
  cut_text_to(outcome.output, kOutputBytesMax);
  OutcomeCallback callback = std::move(callback_);
  callback(std::move(outcome));  // may destroy this
}

}  // namespace

std::unique_ptr<Prober> make_http_prober(const HttpCheck& check) {
  return std::make_unique<HttpProber>(check);
}

std::string host_of(const HttpCheck& check) {
  if (!check.options.host.empty()) return check.options.host;
  for (const auto& [name, value] : check.options.headers)
    if (http::Headers{{{name, value}}}.has("Host")) return value;
  if (const auto* endpoint = std::get_if<Endpoint>(&check.target)) {
    // RFC 9110 §7.2 does not allow a zone.
    const Endpoint plain{endpoint->address.with_scope(0), endpoint->port};
    return plain.to_string();
  }
  return "localhost";
}

Outcome judge(const http::Response& response, const HttpExpectation& expected) {
  Outcome outcome;
  outcome.status = response.status;
  outcome.output = "HTTP " + std::to_string(response.status);
  if (!response.body.empty()) outcome.output.append(": ").append(response.body);
  cut_text_to(outcome.output, kOutputBytesMax);

  if (expected.header) {
    const auto& [name, value] = *expected.header;
    if (!response.headers.has(name) || response.headers.get(name) != value) {
      outcome.kind = OutcomeKind::fail_identity;
      outcome.output.insert(
          0, "another service answers here: no header " + name + ": " + value + "; ");
      return outcome;
    }
  }
  const bool ok = expected.status.empty()
                      ? response.status >= 200 && response.status < 300
                      : std::find(expected.status.begin(), expected.status.end(),
                                  response.status) != expected.status.end();
  if (!ok) {
    const bool busy = expected.status.empty() && response.status == 429;
    outcome.kind = busy ? OutcomeKind::warn : OutcomeKind::fail_status;
  } else if (response.body.find(expected.body) == std::string::npos) {
    outcome.kind = OutcomeKind::fail_body;
    outcome.output.insert(0, "the body has no \"" + expected.body + "\"; ");
  } else {
    outcome.kind = OutcomeKind::pass;
  }
  return outcome;
}

Outcome outcome_of(NetError error, const char* doing) {
  Outcome outcome;
  outcome.output = std::string("cannot ") + doing + ": " + to_string(error);
  switch (error) {
    case NetError::refused:
      outcome.kind = OutcomeKind::fail_refused;
      break;
    case NetError::reset:
      outcome.kind = OutcomeKind::fail_reset;
      break;
    case NetError::timed_out:
      outcome.kind = OutcomeKind::fail_timeout;
      break;
    case NetError::unreachable:
    case NetError::not_available:
    case NetError::denied:
      outcome.kind = OutcomeKind::fail_unreachable;
      break;
    case NetError::no_resources:
      outcome.kind = OutcomeKind::not_probed;
      break;
    case NetError::in_use:
    case NetError::too_big:
    case NetError::closed:
    case NetError::unsupported:
    case NetError::failed:
      outcome.kind = OutcomeKind::fail_other;
      break;
  }
  return outcome;
}

}  // namespace outrider::probes
