// SPDX-License-Identifier: Apache-2.0
#include "tests/registries/etcd/fake_etcd.h"

#include <algorithm>

#include "base/base64.h"
#include "base/json_members.h"
#include "base/text.h"

namespace outrider::registries::etcd::test {
namespace {

std::string octets(const json::Value& object, const char* key) {
  return base64_decode(text_at(object, key)).value_or("");
}
std::int64_t integer(const json::Value& object, const char* key) {
  const json::Value* member = object.find(key);
  if (member == nullptr) return 0;
  if (member->as_int() != nullptr) return *member->as_int();
  return member->as_string() != nullptr
             ? parse_number<std::int64_t>(*member->as_string()).value_or(0)
             : 0;
}
bool flag(const json::Value& object, const char* key) {
  const json::Value* member = object.find(key);
  return member != nullptr && member->as_bool() != nullptr && *member->as_bool();
}
bool covers(const std::string& first, const std::string& end, const std::string& key) {
  if (end.empty()) return key == first;
  return key >= first && (end == std::string(1, '\0') || key < end);
}
std::string shown(const std::string& key, const Kept& kept, bool with_value) {
  std::string text = R"({"key":")" + base64_encode(key) + '"';
  const auto add = [&](const char* name, std::int64_t number) {
    if (number != 0) text += std::string(",\"") + name + "\":\"" + std::to_string(number) + '"';
  };
  add("create_revision", kept.create_revision);
  add("mod_revision", kept.mod_revision);
  add("version", kept.version);
  if (with_value) text += R"(,"value":")" + base64_encode(kept.value) + '"';
  add("lease", kept.lease);
  return text + '}';
}
std::string chunk(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string size;
  for (std::size_t left = text.size(); left > 0; left /= 16)
    size.insert(0, 1, kHex[left % 16]);
  return size + "\r\n" + std::string(text) + "\r\n";
}
Event gone_at(const std::string& key, std::int64_t revision) {
  Event event{.deleted = true, .key = key, .kept = {}};
  event.kept.mod_revision = revision;
  return event;
}
std::string text_of(std::int64_t number) {
  return '"' + std::to_string(number) + '"';
}

}  // namespace

// --- the store -----------------------------------------------------------------------------------

void Store::tell(std::vector<Event> events) {
  for (const Event& event : events)
    history.emplace_back(revision, event);
  const auto now = listeners;
  for (const auto& [who, listener] : now)
    if (listeners.contains(who)) listener(events);
}

std::int64_t Store::put(const std::string& key, const std::string& value, std::int64_t lease) {
  return change({{key, value, lease, false}});
}

bool Store::remove(const std::string& key) {
  if (!keys.contains(key)) return false;
  change({{key, {}, 0, true}});
  return true;
}

std::int64_t Store::change(const std::vector<Change>& changes) {
  ++revision;
  std::vector<Event> events;
  for (const Change& each : changes) {
    if (each.deleted) {
      if (keys.erase(each.key) != 0) events.push_back(gone_at(each.key, revision));
      continue;
    }
    Kept& kept = keys[each.key];
    kept.value = each.value;
    kept.lease = each.lease;
    kept.mod_revision = revision;
    if (++kept.version == 1) kept.create_revision = revision;
    events.push_back({false, each.key, kept});
  }
  tell(std::move(events));
  return revision;
}

std::int64_t Store::grant(std::int64_t seconds) {
  const std::int64_t lease = next_lease_++;
  leases[lease].first = std::max<std::int64_t>(seconds, 2);
  keep_alive(lease);
  return lease;
}

std::optional<std::int64_t> Store::keep_alive(std::int64_t lease) {
  const auto found = leases.find(lease);
  if (found == leases.end()) return std::nullopt;
  found->second.second =
      env_.after(std::chrono::seconds(found->second.first), [this, lease] { revoke(lease); });
  return found->second.first;
}

std::vector<std::string> Store::keys_of(std::int64_t lease) const {
  std::vector<std::string> found;
  for (const auto& [key, kept] : keys)
    if (kept.lease == lease) found.push_back(key);
  return found;
}

bool Store::revoke(std::int64_t lease) {
  if (leases.erase(lease) == 0) return false;
  const auto gone = keys_of(lease);
  if (gone.empty()) return true;
  ++revision;
  std::vector<Event> events;
  for (const std::string& key : gone) {
    keys.erase(key);
    events.push_back(gone_at(key, revision));
  }
  tell(std::move(events));
  return true;
}

void Store::wipe() {
  keys.clear();
  leases.clear();
  history.clear();
  tokens.clear();
  revision = 1;
  compacted_ = 0;
}

// --- a connection --------------------------------------------------------------------------------

class Member::Peer final : Stream::Sink {
 public:
  Peer(Member& member, std::unique_ptr<Stream> stream)
      : member_(member), stream_(std::move(stream)) {
    stream_->start(*this);
  }
  ~Peer() { member_.store_.listeners.erase(this); }

  bool watching() const { return !watches_.empty(); }
  void say(std::string_view text) {
    unsent_ += text;
    on_drained();
  }
  void say_object(const std::string& text) { say(chunk(text + '\n')); }
  void on_cut_off() {
    if (watching() && wants_leader_) {
      say(chunk(R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",)"
                R"("http_status":"Service Unavailable"}})"));
      say("0\r\n\r\n");
      watches_.clear();
    }
  }

 private:
  struct Watch {
    std::string first, end;
  };

  void on_data(Bytes data) override {
    if (member_.mute) return;
    while (!data.empty()) {
      const auto used = parser_.feed(data);
      if (!used) return say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      data = data.subspan(*used);
      if (!parser_.complete()) return;
      answer(parser_.take());
    }
  }
  void on_drained() override {
    constexpr std::size_t kPiece = std::size_t{64} << 10;
    while (sent_ < unsent_.size()) {
      const auto piece = std::string_view(unsent_).substr(sent_, kPiece);
      if (!stream_->write(as_bytes(piece))) return;
      sent_ += piece.size();
    }
    unsent_.clear();
    sent_ = 0;
  }
  void on_end() override { done(); }
  void on_broken(NetError) override { done(); }
  void done() {
    std::erase_if(member_.peers_, [this](const auto& each) { return each.get() == this; });
  }

  void reply(const std::string& body) {
    say("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n"
        "Grpc-Metadata-Content-Type: application/grpc\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  void reply_stream(const std::string& body) {
    open_stream();
    say_object(body);
    say("0\r\n\r\n");
  }
  void open_stream() {
    say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
  }
  /// etcd's own errors come chunked, with a trailer.
  void refuse(int status, int code, const std::string& text) {
    const std::string body = R"({"error":")" + text + R"(","message":")" + text + R"(","code":)" +
                             std::to_string(code) + '}';
    say("HTTP/1.1 " + std::to_string(status) +
        " X\r\nContent-Type: application/json\r\nTrailer: Grpc-Trailer-Content-Type\r\n"
        "Transfer-Encoding: chunked\r\n\r\n" +
        chunk(body) + "0\r\nGrpc-Trailer-Content-Type: application/grpc\r\n\r\n");
  }
  void hang_then_refuse() {
    hanging_ = member_.env_.after(7s, [this] { refuse(503, 14, "etcdserver: request timed out"); });
  }

  void answer(const http::Request& request) {
    member_.requests.push_back(request.target);
    if (member_.meanwhile) member_.meanwhile(request.target);
    const std::string& path = request.target;
    member_.longest_body = std::max(member_.longest_body, request.body.size());
    if (request.body.size() > member_.proxy_bytes_max) {
      say("HTTP/1.1 413 X\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>");
      return;
    }
    if (request.method != "POST") {
      say("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    if (path == "/v3/watch") return watch(request);
    const auto document = json::parse_foreign(request.body, std::size_t{4} << 20);
    if (!document) return refuse(400, 3, "invalid character");
    if (path == "/v3/auth/authenticate") return authenticate(*document);
    if (path == "/v3/cluster/member/list") return members();
    if (member_.cut_off_ && !flag(*document, "serializable")) return hang_then_refuse();
    if (path.starts_with("/v3/lease/")) return lease(path.substr(10), *document);
    const auto user = user_of(request);
    if (!user) return;
    if (path == "/v3/kv/range") return range(*document);
    if (request.body.size() > member_.request_bytes_max)
      return refuse(400, 3, "etcdserver: request is too large");
    if (path == "/v3/kv/txn") return transact(*document);
    say("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nNot "
        "Found\n");
  }

  /// Nothing, after the refusal: the token is missing or unknown.
  std::optional<std::string> user_of(const http::Request& request) {
    Store& store = member_.store_;
    if (store.users.empty()) return "";
    const std::string token(request.headers.get("Authorization"));
    if (token.empty()) {
      refuse(400, 3, "etcdserver: user name is empty");
      return std::nullopt;
    }
    if (!store.tokens.contains(token)) {
      refuse(401, 16, "etcdserver: invalid auth token");
      return std::nullopt;
    }
    return store.tokens[token];
  }
  bool allowed(const std::string& key) {
    Store& store = member_.store_;
    if (store.users.empty() || key.starts_with(store.readable)) return true;
    refuse(403, 7, "etcdserver: permission denied");
    return false;
  }

  std::string header(std::int64_t revision) const {
    std::string text = R"("header":{"cluster_id":")" + member_.cluster_id + R"(","member_id":"1")";
    if (revision != 0) text += R"(,"revision":")" + std::to_string(revision) + '"';
    return text + R"(,"raft_term":"2"})";
  }

  void authenticate(const json::Value& body) {
    Store& store = member_.store_;
    ++store.logins;
    if (store.users.empty()) return refuse(400, 9, "etcdserver: authentication is not enabled");
    const std::string name = text_at(body, "name");
    if (!store.users.contains(name) || store.users[name] != text_at(body, "password"))
      return refuse(400, 3, "etcdserver: authentication failed, invalid user ID or password");
    const std::string token = name + '.' + std::to_string(store.logins);
    store.tokens[token] = name;
    reply('{' + header(store.revision) + R"(,"token":")" + token + "\"}");
  }

  void members() {
    std::string urls;
    for (const std::string& url : member_.member_urls)
      urls += (urls.empty() ? "\"" : ",\"") + url + '"';
    reply('{' + header(0) + R"(,"members":[{"ID":"1","name":"s1","peerURLs":["http://p:2380"],)" +
          R"("clientURLs":[)" + urls + R"(]},{"ID":"2","peerURLs":["http://q:2380"]}]})");
  }

  void lease(const std::string& call, const json::Value& body) {
    Store& store = member_.store_;
    const std::int64_t id = integer(body, "ID");
    if (call == "grant") {
      const std::int64_t lease = store.grant(integer(body, "TTL"));
      return reply('{' + header(store.revision) + R"(,"ID":)" + text_of(lease) + R"(,"TTL":)" +
                   text_of(store.leases[lease].first) + '}');
    }
    if (call == "keepalive") {
      const auto seconds = store.keep_alive(id);
      return reply_stream(R"({"result":{)" + header(store.revision) + R"(,"ID":)" + text_of(id) +
                          (seconds ? R"(,"TTL":)" + text_of(*seconds) : "") + "}}");
    }
    if (call == "revoke") {
      if (!store.revoke(id)) return refuse(404, 5, "etcdserver: requested lease not found");
      return reply('{' + header(store.revision) + '}');
    }
    if (member_.lease_time_takes == Duration::zero()) return lease_time(id);
    hanging_ = member_.env_.after(member_.lease_time_takes, [this, id] { lease_time(id); });
  }

  void lease_time(std::int64_t id) {
    Store& store = member_.store_;
    if (!store.leases.contains(id))
      return reply('{' + header(store.revision) + R"(,"ID":)" + text_of(id) + R"(,"TTL":"-1"})");
    const auto& [granted, end] = store.leases[id];
    const auto left =
        std::chrono::floor<std::chrono::seconds>(end.due() - member_.env_.now()).count();
    std::string keys;
    for (const std::string& key : store.keys_of(id))
      keys += (keys.empty() ? "\"" : ",\"") + base64_encode(key) + '"';
    reply('{' + header(store.revision) + R"(,"ID":)" + text_of(id) +
          (left > 0 ? R"(,"TTL":)" + text_of(left) : "") + R"(,"grantedTTL":)" + text_of(granted) +
          R"(,"keys":[)" + keys + "]}");
  }

  void range(const json::Value& body) {
    Store& store = member_.store_;
    const std::string first = member_.ignores_range ? "" : octets(body, "key");
    const std::string end =
        member_.ignores_range ? std::string(1, '\0') : octets(body, "range_end");
    const std::int64_t at = integer(body, "revision");
    if (!allowed(first)) return;
    if (at != 0 && at < store.compacted())
      return refuse(400, 11, "etcdserver: mvcc: required revision has been compacted");
    const auto limit = static_cast<std::size_t>(integer(body, "limit"));
    std::string kvs;
    std::size_t count = 0;
    for (const auto& [key, kept] : store.keys)
      if (covers(first, end, key)) {
        if (limit == 0 || count < limit)
          kvs += (kvs.empty() ? "" : ",") + test::shown(key, kept, true);
        ++count;
      }
    std::string text = '{' + header(store.revision);
    if (!kvs.empty() && !flag(body, "count_only")) text += ",\"kvs\":[" + kvs + ']';
    if (count > 0) text += R"(,"count":)" + text_of(static_cast<std::int64_t>(count));
    reply(text + '}');
  }

  using List = std::vector<json::Value>;

  void transact(const json::Value& body) {
    Store& store = member_.store_;
    const List& compares = *body.find("compare")->as_array();
    const List& puts = *body.find("success")->as_array();
    const List& ranges = *body.find("failure")->as_array();
    const std::size_t operations = std::max({compares.size(), puts.size(), ranges.size()});
    member_.operations.push_back(operations);
    if (operations > member_.operations_max)
      return refuse(400, 3, "etcdserver: too many operations in txn request");
    for (const json::Value& compare : compares)
      if (!allowed(octets(compare, "key"))) return;
    if (member_.contradicts) return reply_ranges({});
    if (!std::ranges::all_of(compares, [&](const auto& each) { return holds(each); }))
      return reply_ranges(ranges);
    std::int64_t lease = 0;
    std::vector<Store::Change> changes;
    for (const json::Value& step : puts) {
      const json::Value* put = step.find("request_put");
      if (put != nullptr) lease = integer(*put, "lease");
      if (lease != 0 && !store.leases.contains(lease))
        return refuse(404, 5, "etcdserver: requested lease not found");
      if (put != nullptr)
        changes.push_back({octets(*put, "key"), octets(*put, "value"), lease, false});
      else
        changes.push_back({octets(*step.find("request_delete_range"), "key"), {}, 0, true});
    }
    const std::string request_of = lease != 0 ? "response_put" : "response_delete_range";
    store.change(changes);
    std::string responses;
    for (std::size_t i = 0; i < changes.size(); ++i)
      responses += (i == 0 ? "{\"" : ",{\"") + request_of + R"(":{"header":{"revision":)" +
                   text_of(store.revision) + "}}}";
    reply('{' + header(store.revision) + R"(,"succeeded":true,"responses":[)" + responses + "]}");
  }
  bool holds(const json::Value& compare) const {
    const Store& store = member_.store_;
    const auto found = store.keys.find(octets(compare, "key"));
    const Kept kept = found != store.keys.end() ? found->second : Kept{};
    const std::string target = text_at(compare, "target");
    if (target == "CREATE") return kept.create_revision == integer(compare, "create_revision");
    if (target == "MOD") return kept.mod_revision == integer(compare, "mod_revision");
    return kept.lease == integer(compare, "lease");
  }
  void reply_ranges(const List& ranges) {
    Store& store = member_.store_;
    std::string responses;
    for (const json::Value& each : ranges) {
      const auto found = store.keys.find(octets(*each.find("request_range"), "key"));
      responses += responses.empty() ? "" : ",";
      responses += R"({"response_range":{)" + header(store.revision);
      if (found != store.keys.end())
        responses +=
            ",\"kvs\":[" + test::shown(found->first, found->second, true) + R"(],"count":"1")";
      responses += "}}";
    }
    reply('{' + header(store.revision) + R"(,"responses":[)" + responses + "]}");
  }

  void watch(const http::Request& request) {
    Store& store = member_.store_;
    member_.bodies.push_back(request.body);
    for (const auto& [name, value] : request.headers.fields)
      member_.last_headers += name + ": " + value + '\n';
    wants_leader_ = request.headers.get("Grpc-Metadata-hasleader") == "true";
    open_stream();
    ObjectSplitter splitter;
    splitter.feed(request.body);
    std::vector<std::pair<std::int64_t, std::int64_t>> past;
    for (std::string object = splitter.take(); !object.empty(); object = splitter.take()) {
      const auto body = json::parse_foreign(object, 1U << 20);
      const json::Value& create = *body->find("create_request");
      const std::int64_t number = integer(create, "watch_id");
      const std::int64_t start = integer(create, "start_revision");
      const bool denied =
          !store.users.empty() &&
          (!store.tokens.contains(std::string(request.headers.get("Authorization"))) ||
           !octets(create, "key").starts_with(store.readable));
      if (denied) {
        say_object(
            R"({"result":{)" + header(store.revision) +
            R"(,"watch_id":"-1","created":true,"canceled":true,"cancel_reason":)"
            R"("rpc error: code = PermissionDenied desc = etcdserver: permission denied"}})");
        return;
      }
      say_object(R"({"result":{)" + header(store.revision) + R"(,"watch_id":)" + text_of(number) +
                 R"(,"created":true}})");
      watches_[number] = {octets(create, "key"), octets(create, "range_end")};
      past.emplace_back(number, start);
    }
    for (const auto& [number, start] : past) {
      if (start <= store.compacted()) {
        // The stream stays open, and says no revision.
        say_object(R"({"result":{)" + header(0) + R"(,"watch_id":)" + text_of(number) +
                   R"(,"canceled":true,"compact_revision":)" + text_of(store.compacted()) + "}}");
        watches_.erase(number);
        continue;
      }
      for (const auto& [revision, event] : store.history)
        if (revision >= start) tell(number, revision, {event});
    }
    store.listeners[this] = [this](const std::vector<Event>& events) {
      if (member_.cut_off_ || member_.mute) return;
      const auto watches = watches_;
      for (const auto& [number, each] : watches)
        tell(number, member_.store_.revision, events);
    };
  }

  void tell(std::int64_t number, std::int64_t revision, const std::vector<Event>& events) {
    const Watch& watch = watches_[number];
    std::string list;
    for (const Event& event : events) {
      if (!covers(watch.first, watch.end, event.key)) continue;
      list += list.empty() ? "{" : ",{";
      if (event.deleted) list += R"("type":"DELETE",)";
      list += "\"kv\":" + test::shown(event.key, event.kept, !event.deleted) + '}';
    }
    if (list.empty()) return;
    say_object(R"({"result":{)" + header(revision) + R"(,"watch_id":)" + text_of(number) +
               ",\"events\":[" + list + "]}}");
  }

  Member& member_;
  std::unique_ptr<Stream> stream_;
  std::string unsent_;  // more than a stream takes at once
  std::size_t sent_ = 0;
  http::RequestParser parser_{std::size_t{2} << 20};
  std::map<std::int64_t, Watch> watches_;
  bool wants_leader_ = false;
  Timer hanging_;
};

// --- a member ------------------------------------------------------------------------------------

Member::Member(Env& env, std::uint16_t port, Store& store) : env_(env), port_(port), store_(store) {
  listen();
}

Member::~Member() = default;

void Member::listen() {
  listener_ =
      env_.network.listen({.on = Endpoint{IpAddress::any(IpAddress::Family::v4), port_}}, *this)
          .value();
}

void Member::on_accept(std::unique_ptr<Stream> stream) {
  peers_.push_back(std::make_unique<Peer>(*this, std::move(stream)));
}

void Member::set_running(bool running) {
  listener_.reset();
  peers_.clear();
  if (running) listen();
}

void Member::set_cut_off(bool cut_off) {
  cut_off_ = cut_off;
  if (cut_off)
    for (const auto& peer : peers_)
      peer->on_cut_off();
}

void Member::say(std::string_view text) {
  for (const auto& peer : peers_)
    if (peer->watching()) peer->say(text);
}

void Member::say_object(const std::string& text) {
  for (const auto& peer : peers_)
    if (peer->watching()) peer->say_object(text);
}

std::size_t Member::watches() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(peers_, [](const auto& peer) { return peer->watching(); }));
}

std::size_t Member::count(std::string_view path) const {
  return static_cast<std::size_t>(std::ranges::count(requests, path));
}

}  // namespace outrider::registries::etcd::test
