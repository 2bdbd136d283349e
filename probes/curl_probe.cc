// SPDX-License-Identifier: Apache-2.0
#include "probes/curl_probe.h"

#include "probes/grpc_health.h"
#include "probes/http_probe.h"

namespace outrider::probes {
namespace {

OutcomeKind kind_of(curl::Failure::Kind kind) {
  switch (kind) {
    case curl::Failure::Kind::no_resources:
      return OutcomeKind::not_probed;
    case curl::Failure::Kind::timeout:
      return OutcomeKind::fail_timeout;
    case curl::Failure::Kind::refused:
      return OutcomeKind::fail_refused;
    case curl::Failure::Kind::reset:
      return OutcomeKind::fail_reset;
    case curl::Failure::Kind::unreachable:
      return OutcomeKind::fail_unreachable;
    case curl::Failure::Kind::protocol:
      return OutcomeKind::fail_protocol;
    case curl::Failure::Kind::tls:
      return OutcomeKind::fail_tls;
    case curl::Failure::Kind::other:
      return OutcomeKind::fail_other;
  }
  OUTRIDER_UNREACHABLE();
}

/// What makes an outcome of an answer.
using Judge = Outcome (*)(const http::Response& response, const HttpExpectation& expected);

Outcome judge_health(const http::Response& response, const HttpExpectation&) {
  std::optional<std::string_view> grpc_status;
  if (response.headers.has("grpc-status")) grpc_status = response.headers.get("grpc-status");
  return judge_grpc(response.status, grpc_status, response.headers.get("grpc-message"),
                    as_bytes(response.body));
}

struct Recipe {
  std::unique_ptr<curl::Transfer> transfer;
  Judge judge;
  HttpExpectation expected;
};

class CurlProbe final : public Probe {
 public:
  CurlProbe(Env& env, const Recipe& recipe, Duration timeout, OutcomeCallback callback)
      : env_(env),
        recipe_(recipe),
        callback_(std::move(callback)),
        started_(env.now()),
        run_(recipe.transfer->start(timeout, [this](auto answer) { finish(std::move(answer)); })) {}

 private:
  Outcome judge(curl::Answer answer) const {
    if (answer.failure)
      return {.kind = kind_of(answer.failure->kind),
              .status = answer.status,
              .output = std::move(answer.failure->text)};
    http::Response response;
    response.status = answer.status;
    response.headers.fields = std::move(answer.headers);
    response.body = std::move(answer.body);
    response.body_cut = answer.body_cut;
    return recipe_.judge(response, recipe_.expected);
  }

  void finish(curl::Answer answer) {
    Outcome outcome = judge(std::move(answer));
    outcome.at = env_.now();
    outcome.latency = outcome.at - started_;
    if (outcome.output.size() > kOutputBytesMax) outcome.output.resize(kOutputBytesMax);
    OutcomeCallback callback = std::move(callback_);
    callback(std::move(outcome));  // may destroy this
  }

  Env& env_;
  const Recipe& recipe_;
  OutcomeCallback callback_;
  const TimePoint started_;
  const std::unique_ptr<Pending> run_;
};

class CurlProber final : public Prober {
 public:
  CurlProber(curl::Curl& curl, curl::Request request, Judge judge, HttpExpectation expected) {
    request.body_bytes_max = kOutputBytesMax;
    request.head_bytes_max = http::kHeadBytesMax;
    request.headers_max = http::kHeadersMax;
    recipe_ = {curl.make_transfer(std::move(request)), judge, std::move(expected)};
  }
  std::unique_ptr<Probe> start(Env& env, Duration timeout, OutcomeCallback callback) override {
    return std::make_unique<CurlProbe>(env, recipe_, timeout, std::move(callback));
  }

 private:
  Recipe recipe_;
};

/// "name:443" or "[::1]:443" without the port.
std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && host.find(']', colon) == std::string::npos &&
                        (host.starts_with('[') || host.find(':') == colon);
  return has_port ? host.substr(0, colon) : host;
}

constexpr const char* kUserAgent = "User-Agent: outrider/" OUTRIDER_VERSION;

}  // namespace

std::unique_ptr<Prober> make_https_prober(curl::Curl& curl, const HttpCheck& check) {
  const HttpOptions& options = check.options;
  curl::Request request;
  request.to = check.target;
  request.name = check.tls.server_name.empty() ? without_port(options.host) : check.tls.server_name;
  request.target = check.path;
  request.method = options.method;
  request.body = options.body;
  request.tls = check.tls;
  request.reuse = options.reuse;
  request.headers.push_back("Host: " + host_of(check));
  const http::Headers given{options.headers};
  if (!given.has("User-Agent")) request.headers.emplace_back(kUserAgent);
  if (!options.reuse) request.headers.emplace_back("Connection: close");
  request.headers.emplace_back("Expect:");  // never wait for 100 Continue
  for (const auto& [name, value] : options.headers) {
    const http::Headers one{{{name, value}}};
    if (one.has("Host") || one.has("Connection") || one.has("Content-Length")) continue;
    request.headers.push_back(value.empty() ? name + ";" : name + ": " + value);
  }
  return std::make_unique<CurlProber>(curl, std::move(request), &judge, options.expect);
}

std::unique_ptr<Prober> make_grpc_prober(curl::Curl& curl, const GrpcCheck& check) {
  curl::Request request;
  request.to = check.target;
  request.name = check.tls.server_name;
  request.target = "/grpc.health.v1.Health/Check";
  request.http2 = true;
  request.method = "POST";
  request.body = grpc_health_request(check.service);
  request.tls = check.tls;
  request.headers = {"Content-Type: application/grpc", "TE: trailers", kUserAgent,
                     "Accept:", "Expect:"};
  return std::make_unique<CurlProber>(curl, std::move(request), &judge_health, HttpExpectation());
}

}  // namespace outrider::probes
