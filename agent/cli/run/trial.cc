// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/trial.h"

#include <algorithm>

#include "agent/bridge/refusal.h"
#include "base/http/url.h"

namespace outrider::cli::beside {
namespace {

constexpr std::string_view kPageTitle = "<title>Outrider</title>";

bool is_page(const http::Response& response) {
  return response.status == 200 && response.body.find(kPageTitle) != std::string::npos;
}

/// Whether a program was there at all.
bool was_connected(const http::ClientError& error) {
  using Kind = http::ClientError::Kind;
  if (error.kind != Kind::network) return error.kind != Kind::forbidden;
  return error.network == NetError::reset || error.network == NetError::closed;
}

}  // namespace

std::unique_ptr<Pending> look_for_page(Env& env, const Endpoint& web, Duration limit,
                                       Callback<void(bool)> found) {
  http::ClientRequest request;
  request.to = web;
  request.headers = {{"Accept", "text/html"}};
  request.timeout = limit;
  return http::fetch(env, std::move(request), [found = std::move(found)](auto result) mutable {
    found(result && is_page(*result));
  });
}

Trial::Trial(Env& env, TrialPlan plan, LookUp look_up, Callback<void(Places)> done)
    : env_(env), plan_(std::move(plan)), look_up_(std::move(look_up)), done_(std::move(done)) {
  deadline_ = env_.after(kTrialTime, [this] { finish(); });
  ask({.to = plan_.here, .host = {}}, [this](const Answer& answer) { on_here(answer); });
}

void Trial::ask(Question question, Callback<void(Answer)> then) {
  http::ClientRequest request;
  request.to = question.to;
  request.reach = Reach::any_host;
  request.host = std::move(question.host);
  request.target = std::move(question.path);
  request.headers = {{"Accept", "text/html, */*"}};
  request.timeout = kRequestTime;
  requests_.push_back(
      http::fetch(env_, std::move(request), [then = std::move(then)](auto result) mutable {
        Answer answer;
        if (result) {
          // 400: what a server for TLS says to those who come without.
          answer.speaks = result->status == 400 ? Speaks::something : Speaks::http;
          answer.response = std::move(*result);
        } else if (was_connected(result.error())) {
          const bool long_page = result.error().kind == http::ClientError::Kind::body_too_long;
          answer.speaks = long_page ? Speaks::http : Speaks::something;
        }
        then(std::move(answer));
      }));
}

void Trial::on_here(const Answer& answer) {
  if (answer.speaks == Speaks::nothing) return finish();
  speaks_ = plan_.speaks_tls ? Speaks::something : plan_.speaks_http ? Speaks::http : answer.speaks;
  status_ = answer.response.status;
  places_.here = url(plan_.here.address.to_string(), plan_.here.port);
  left_ = 1;
  try_lan();
  try_name();
  try_page('/' + plan_.label);
  try_tls_bridge();
  leave();
}

void Trial::try_lan() {
  if (!plan_.lan) return;
  ++left_;
  ask({.to = *plan_.lan, .host = {}}, [this](const Answer& answer) {
    if (is_same(answer)) places_.lan = url(plan_.lan->address.to_string(), plan_.lan->port);
    leave();
  });
  if (plan_.lan_host.empty()) return;
  ++left_;
  const std::string host = plan_.lan_host + ':' + std::to_string(plan_.lan->port);
  ask({.to = *plan_.lan, .host = host}, [this](const Answer& answer) {
    if (is_same(answer)) places_.lan_name = url(plan_.lan_host, plan_.lan->port);
    leave();
  });
}

void Trial::try_name() {
  if (!look_up_) return;
  ++left_;
  requests_.push_back(look_up_(plan_.dns_name, [this](std::vector<IpAddress> addresses) {
    addresses.resize(std::min(addresses.size(), kAddressesTried));
    std::ranges::reverse(addresses);
    try_address(std::move(addresses));
  }));
}

/// As clients do, one after the other: a program may listen on IPv4 alone. The address may also be
/// that of the network's own nameserver, which has one for every name.
void Trial::try_address(std::vector<IpAddress> left) {
  if (left.empty()) return leave();
  const IpAddress address = left.back();
  left.pop_back();
  ask({.to = {address, plan_.here.port},
       .host = plan_.dns_name + ':' + std::to_string(plan_.here.port)},
      [this, left = std::move(left)](const Answer& answer) mutable {
        if (!is_same(answer)) return try_address(std::move(left));
        places_.name = url(plan_.dns_name, plan_.here.port);
        leave();
      });
}

void Trial::try_page(const std::string& path) {
  if (!plan_.web) return;
  ++left_;
  ask({.to = *plan_.web, .host = {}, .path = path}, [this, path](const Answer& answer) {
    // A route of the API can have the name of a service, such as "metrics".
    const std::string other = "/?service=" + plan_.label;
    if (!is_page(answer.response) && path != other && answer.speaks == Speaks::http)
      try_page(other);
    else if (is_page(answer.response))
      on_page(path);
    leave();
  });
}

void Trial::on_page(const std::string& path) {
  places_.page = "http://" + plan_.web->to_string() + path;
  if (speaks_ != Speaks::http) return;
  ++left_;
  try_bridge();
}

void Trial::try_bridge() {
  const std::string host = plan_.label + ".localhost:" + std::to_string(plan_.web->port);
  ask({.to = *plan_.web, .host = host}, [this, host](const Answer& answer) {
    const bool refused =
        answer.response.headers.get("Content-Security-Policy") == bridge::kRefusalPolicy;
    if (is_same(answer) && !refused) {
      places_.bridge = "http://" + host + '/';
      return leave();
    }
    if (++bridge_attempts_ == kBridgeAttempts) return leave();
    pause_ = env_.after(kBridgePause, [this] { try_bridge(); });
  });
}

void Trial::try_tls_bridge() {
  if (!plan_.speaks_tls || !plan_.web_tls) return;
  ++left_;
  const std::string host = plan_.label + ".localhost:" + std::to_string(plan_.web_tls->port);
  ask({.to = *plan_.web_tls, .host = host}, [this, host](const Answer& answer) {
    if (is_same(answer)) places_.bridge = "https://" + host + '/';
    leave();
  });
}

bool Trial::is_same(const Answer& answer) const {
  if (answer.speaks == Speaks::nothing) return false;
  if (speaks_ != Speaks::http) return true;
  // A page that is too slow or too long to be read here has no status.
  return answer.response.status == status_ || status_ == 0;
}

std::string Trial::url(const std::string& host, std::uint16_t port) const {
  const std::string bracketed = host.find(':') != std::string::npos ? '[' + host + ']' : host;
  const std::string place = bracketed + ':' + std::to_string(port);
  if (plan_.speaks_tls) return "https://" + place + '/';
  return speaks_ == Speaks::http ? "http://" + place + '/' : place;
}

void Trial::leave() {
  if (--left_ == 0) finish();
}

void Trial::finish() {
  deadline_.reset();
  pause_.reset();
  requests_.clear();
  Callback<void(Places)> done = std::move(done_);
  if (done) done(places_);  // may destroy this
}

}  // namespace outrider::cli::beside
