// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/gateway.h"

#include <algorithm>
#include <utility>

#include "agent/doors/etcd/etcd_door.h"
#include "agent/doors/etcd/json.h"
#include "registries/etcd/messages.h"

namespace outrider::doors::etcd {
namespace {

Code code_of(int status) {
  switch (status) {
    case 403:
      return Code::permission_denied;
    case 413:
    case 431:
      return Code::resource_exhausted;
    case 501:
      return Code::unimplemented;
    case 503:
      return Code::unavailable;
    default:  // any other status
      return status >= 400 && status < 500 ? Code::invalid_argument : Code::unknown;
  }
}

http::Answer answer_of(const Error& error) {
  http::Answer answer;
  answer.status = status_of(error.code);
  json::Writer out(answer.body);
  encode(out, error);
  return answer;
}

/// What the server refuses by itself: too long, not from this host, not in time.
http::Answer refusal_of(int status, std::string_view why) {
  http::Answer answer = answer_of(Error{code_of(status), std::string(why)});
  answer.status = status;
  return answer;
}

template <class Response>
http::Answer answer_of(const Result<Response, Error>& result) {
  if (!result) return answer_of(result.error());
  http::Answer answer;
  json::Writer out(answer.body);
  encode(out, *result);
  return answer;
}

/// One line of a stream.
template <class Response>
std::string line_of(const Response& response) {
  std::string line;
  json::Writer out(line);
  out.begin_object().key("result");
  encode(out, response);
  out.end_object();
  return line + '\n';
}

/// Several objects may follow each other.
Result<std::vector<std::string>, Error> messages_of(const std::string& body) {
  registries::etcd::ObjectSplitter splitter;
  splitter.feed(body);
  std::vector<std::string> messages;
  for (std::string object = splitter.take(); !object.empty(); object = splitter.take()) {
    if (messages.size() == kMessagesMax)
      return failure(Error{Code::invalid_argument, "too many messages in one body"});
    messages.push_back(std::move(object));
  }
  if (messages.empty())
    return failure(Error{Code::invalid_argument, "the body has no JSON object"});
  return messages;
}

/// "/v3/auth/enable" as refuse_method() knows methods: "Auth/enable".
std::string method_of(std::string_view path) {
  std::string method(path.substr(std::string_view("/v3/").size()));
  if (method.starts_with("kv/")) return "KV/" + method.substr(3);
  if (!method.empty() && method[0] >= 'a' && method[0] <= 'z')
    method[0] = static_cast<char>(method[0] - 'a' + 'A');
  return method;
}

/// etcd's gateway has these too.
bool is_refused_method(std::string_view path) {
  constexpr std::string_view kPrefixes[] = {"/v3/auth/",       "/v3/cluster/", "/v3/election/",
                                            "/v3/kv/",         "/v3/lock/",    "/v3/lease/",
                                            "/v3/maintenance/"};
  return std::ranges::any_of(kPrefixes,
                             [&](std::string_view prefix) { return path.starts_with(prefix); });
}

}  // namespace

/// One client's stream of watches.
class Gateway::Watch final : public WatchSink {
 public:
  explicit Watch(Gateway& gateway) : gateway_(gateway) {}

  void start(http::EventStream out, std::vector<WatchRequest> requests) {
    out_ = std::move(out);
    out_.on_read([this] {
      if (in_) in_->resume();
    });
    in_ = gateway_.door_.open_watch(*this);
    bool ended = false;
    ended_ = &ended;
    for (WatchRequest& request : requests) {
      pass_on(std::move(request), *in_);
      if (ended) return;
    }
    ended_ = nullptr;
  }
  ~Watch() {
    if (ended_ != nullptr) *ended_ = true;
  }

 private:
  bool on_watch_response(WatchResponse response) override {
    if (!out_.send(line_of(response))) {
      end();
      return false;
    }
    return out_.unread_bytes() < kWatchUnreadMax;
  }
  void on_watch_end(Error error) override {
    std::string line;
    json::Writer out(line);
    out.begin_object().key("error").begin_object();
    out.member("grpc_code", static_cast<int>(error.code));
    out.member("http_code", status_of(error.code)).member("message", error.text);
    out.end_object().end_object();
    out_.send(line + '\n');
    end();
  }
  /// Destroys this.
  void end() {
    std::erase_if(gateway_.watches_, [this](const auto& each) { return each.get() == this; });
  }

  Gateway& gateway_;
  http::EventStream out_;
  std::unique_ptr<WatchStream> in_;
  bool* ended_ = nullptr;  // while requests are passed on
};

/// An answer of Range, in as many turns as it takes.
class Gateway::LongAnswer final : public RangeAnswer {
 public:
  explicit LongAnswer(http::Exchange exchange) : exchange_(std::move(exchange)) {}

 private:
  bool alive() const override { return exchange_.alive(); }
  void begin(const RangeResponse& response) override { encoder_.begin(response); }
  void add(const KeyValue& kv) override { encoder_.add(kv); }
  void end(const RangeResponse& response) override {
    http::Answer answer;
    answer.body = encoder_.end(response);
    exchange_.answer(std::move(answer));
  }
  void refuse(Error error) override { exchange_.answer(answer_of(error)); }

  http::Exchange exchange_;
  JsonRangeEncoder encoder_;
};

Gateway::Gateway(Env& env, http::Clients& clients, Door& door)
    : door_(door), ranges_(env, clients) {}

Gateway::~Gateway() = default;

void Gateway::prepare(http::ServerOptions& options) {
  options.request_body_bytes_max = kGatewayBodyBytesMax;
  options.refusal = refusal_of;
}

struct Gateway::Row {
  std::string_view path;
  void (*answer)(Gateway&, const http::ServerRequest&, http::Exchange);
};

template <class Request, class Response>
void Gateway::call(void (Door::*method)(Request, Reply<Response>),
                   const http::ServerRequest& request, http::Exchange exchange) {
  auto decoded = decode<Request>(request.body);
  if (!decoded) return exchange.answer(answer_of(decoded.error()));
  (door_.*method)(std::move(*decoded),
                  [exchange = std::move(exchange)](Result<Response, Error> result) mutable {
                    exchange.answer(answer_of(result));
                  });
}

const Gateway::Row Gateway::kRows[] = {
#define CALL(path, method)                                                                    \
  {                                                                                           \
    path, [](Gateway& gateway, const http::ServerRequest& request, http::Exchange exchange) { \
      gateway.call(&Door::method, request, std::move(exchange));                              \
    }                                                                                         \
  }
    {"/v3/kv/range", [](Gateway& gateway, const http::ServerRequest& request,
                        http::Exchange exchange) { gateway.range(request, std::move(exchange)); }},
    CALL("/v3/kv/put", put),
    CALL("/v3/kv/deleterange", delete_range),
    CALL("/v3/kv/txn", txn),
    CALL("/v3/lease/grant", lease_grant),
    CALL("/v3/lease/revoke", lease_revoke),
    CALL("/v3/kv/lease/revoke", lease_revoke),
    CALL("/v3/lease/timetolive", lease_time_to_live),
    CALL("/v3/kv/lease/timetolive", lease_time_to_live),
    CALL("/v3/lease/leases", lease_leases),
    CALL("/v3/kv/lease/leases", lease_leases),
    CALL("/v3/maintenance/status", status),
    CALL("/v3/auth/authenticate", authenticate),
#undef CALL
    {"/v3/lease/keepalive",
     [](Gateway& gateway, const http::ServerRequest& request, http::Exchange exchange) {
       gateway.keep_alive(request, std::move(exchange));
     }},
    {"/v3/watch", [](Gateway& gateway, const http::ServerRequest& request,
                     http::Exchange exchange) { gateway.watch(request, std::move(exchange)); }},
    {"/v3/cluster/member/list",
     [](Gateway& gateway, const http::ServerRequest& request, http::Exchange exchange) {
       gateway.member_list(request, std::move(exchange));
     }},
};

void Gateway::on_request(const http::ServerRequest& request, http::Exchange exchange) {
  ++counters_.requests;
  exchange.hold_answer([this](http::Exchange held, http::Answer answer) {
    if (!held.alive()) return;  // nor perhaps the gateway
    if (answer.status >= 400) ++counters_.refused;
    held.answer(std::move(answer));
  });
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/health" || request.path == "/version") {
    if (!reads) return exchange.answer(http::text_answer(405, "Method Not Allowed\n"));
    const std::string version(kEtcdVersion);
    return exchange.answer(
        http::json_answer(request.path == "/health"
                              ? R"({"health":"true","reason":""})"
                              : R"({"etcdserver":")" + version + R"(","etcdcluster":"3.5.0"})"));
  }
  for (const Row& row : kRows) {
    if (row.path != request.path) continue;
    if (request.method != "POST")
      return exchange.answer(http::text_answer(405, "Method Not Allowed\n"));
    return row.answer(*this, request, std::move(exchange));
  }
  if (is_refused_method(request.path))
    return exchange.answer(answer_of(refuse_method(method_of(request.path))));
  exchange.answer(http::text_answer(
      404, "404 page not found: this is etcd's JSON gateway as Outrider serves it, below /v3/\n"));
}

void Gateway::range(const http::ServerRequest& request, http::Exchange exchange) {
  auto decoded = decode<RangeRequest>(request.body);
  if (!decoded) return exchange.answer(answer_of(decoded.error()));
  std::unique_ptr<RangeAnswer> to = std::make_unique<LongAnswer>(std::move(exchange));
  door_.range(std::move(*decoded),
              [this, to = std::move(to)](Result<RangeResponse, Error> result) mutable {
                if (!to->alive()) return;  // nor perhaps the gateway
                if (!result) return to->refuse(std::move(result.error()));
                ranges_.answer(std::move(*result), std::move(to));
              });
}

/// A lease without a TTL in its line is lost, as in etcd.
void Gateway::keep_alive(const http::ServerRequest& request, http::Exchange exchange) {
  const auto messages = messages_of(request.body);
  if (!messages) return exchange.answer(answer_of(messages.error()));
  std::vector<LeaseKeepAliveRequest> requests;
  for (const std::string& message : *messages) {
    const auto decoded = decode<LeaseKeepAliveRequest>(message);
    if (!decoded) return exchange.answer(answer_of(decoded.error()));
    requests.push_back(*decoded);
  }
  struct Answering {
    http::Exchange exchange;
    http::Answer answer;
    std::size_t left;
  };
  const auto all = std::make_shared<Answering>(Answering{std::move(exchange), {}, requests.size()});
  for (const LeaseKeepAliveRequest& each : requests)
    door_.lease_keep_alive(each, [all](Result<LeaseKeepAliveResponse, Error> result) {
      if (result) all->answer.body += line_of(*result);
      if (--all->left == 0) all->exchange.answer(std::move(all->answer));
    });
}

void Gateway::watch(const http::ServerRequest& request, http::Exchange exchange) {
  const auto messages = messages_of(request.body);
  if (!messages) return exchange.answer(answer_of(messages.error()));
  std::vector<WatchRequest> requests;
  for (const std::string& message : *messages) {
    auto decoded = decode<WatchRequest>(message);
    if (!decoded) return exchange.answer(answer_of(decoded.error()));
    requests.push_back(std::move(*decoded));
  }
  watches_.push_back(std::make_unique<Watch>(*this));
  Watch* const watch = watches_.back().get();
  const bool waits = exchange.wait([this, watch] {
    std::erase_if(watches_, [watch](const auto& each) { return each.get() == watch; });
  });
  if (!waits) {
    watches_.pop_back();
    return;
  }
  watch->start(exchange.begin_stream({.content_type = "application/json",
                                      .lagged = "{\"error\":{\"grpc_code\":8,\"http_code\":429,"
                                                "\"message\":\"the client reads too slowly\"}}\n",
                                      .chunked = true}),
               std::move(requests));
}

/// The address that the client has connected to, under the name by which it did so.
void Gateway::member_list(const http::ServerRequest& request, http::Exchange exchange) {
  auto decoded = decode<MemberListRequest>(request.body);
  if (!decoded) return exchange.answer(answer_of(decoded.error()));
  std::string host(request.headers.get("Host"));
  if (host.empty() && request.caller.local) host = request.caller.local->to_string();
  door_.member_list(
      *decoded, Client{"http://" + host},
      [exchange = std::move(exchange)](Result<MemberListResponse, Error> result) mutable {
        exchange.answer(answer_of(result));
      });
}

}  // namespace outrider::doors::etcd
