// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/push.h"

#include <algorithm>

#include "base/http/client.h"
#include "base/http/url.h"

namespace outrider::farp {
namespace {

std::string register_body(const PushSubject& subject) {
  std::string body;
  json::Writer out(body);
  out.begin_object().key("instance").begin_object();
  out.member("id", subject.id).member("service_name", subject.service);
  // The library reads "version", Forge's gateway side "service_version".
  out.member("version", subject.version).member("service_version", subject.version);
  out.member("address", subject.endpoint.address.to_string());
  out.member("port", static_cast<std::int64_t>(subject.endpoint.port));
  out.member("status", subject.status).key("tags").begin_array();
  for (const std::string& tag : subject.tags)
    out.value(tag);
  out.end_array().key("metadata").begin_object();
  for (const auto& [key, value] : subject.metadata)
    out.member(key, value);
  out.end_object().end_object().key("manifest");
  write_manifest(out, subject.manifest);
  out.end_object();
  return body;
}

/// What a gateway keeps of an instance, apart from its status and when that was written down.
std::string description(PushSubject subject) {
  subject.status.clear();
  subject.manifest.updated_at = 0;
  if (subject.manifest.instance) subject.manifest.instance->status.clear();
  return register_body(subject);
}

std::string heartbeat_body(const PushSubject& subject) {
  std::string body;
  json::Writer(body).begin_object().member("status", subject.status).end_object();
  return body;
}

}  // namespace

struct PushClient::Entry {
  PushSubject subject;
  std::string described;
  PushState state = PushState::waiting;  // as far as the gateway knows
  bool outdated = true;                  // what was sent to the gateway; register follows
  bool may_be_known = false;             // a register was sent, and no answer refused it
  bool is_registering = false;           // the answer to it is awaited
  bool is_leaving = false;
  Duration backoff = kPushRetryMin;
  Timer timer;
  std::unique_ptr<Pending> request;
};

PushClient::PushClient(Env& env, http::Url gateway, Endpoint address)
    : env_(env), gateway_(std::move(gateway)), address_(address) {
  while (gateway_.path.ends_with('/'))
    gateway_.path.pop_back();
}

PushClient::~PushClient() = default;

void PushClient::put(PushSubject subject) {
  std::unique_ptr<Entry>& entry = entries_[subject.id];
  const auto leaving = leaving_.find(subject.id);
  if (!entry && leaving != leaving_.end() && leaving->second->is_registering) {  // stays after all
    entry = std::move(leaving->second);
    entry->is_leaving = false;
    leaving_.erase(leaving);
  }
  const bool known = entry != nullptr;
  if (!known) entry = std::make_unique<Entry>();
  std::string described = description(subject);
  const bool same = known && entry->described == described;
  const bool same_status = known && entry->subject.status == subject.status;
  entry->subject = std::move(subject);
  entry->described = std::move(described);
  if (same && (same_status || entry->outdated)) return;
  Entry& e = *entry;
  e.request.reset();
  e.is_registering = false;
  if (same) {
    e.timer = env_.after(0s, [this, &e] { beat(e); });
  } else {
    e.outdated = true;
    // A deregistration under way must not overtake it: on_left() goes on.
    if (!leaving_.contains(e.subject.id)) e.timer = env_.after(0s, [this, &e] { enroll(e); });
  }
}

void PushClient::forget(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  const std::unique_ptr<Entry>& entry = found->second;
  if (entry->may_be_known) {
    entry->timer.reset();
    entry->is_leaving = true;
    Entry& e = *(leaving_[id] = std::move(found->second));
    if (!e.is_registering) deregister(e);  // else after the answer, which it could overtake
  }
  entries_.erase(found);
}

void PushClient::deregister(Entry& entry) {
  http::ClientRequest request;
  request.to = address_;
  request.reach = Reach::any_host;
  request.host = gateway_.host;
  request.method = "DELETE";
  request.target = gateway_.path + "/_farp/v1/deregister/" + http::percent_encode(entry.subject.id);
  request.timeout = kPushTimeout;
  entry.request = http::fetch(env_, std::move(request), [this, &entry](auto) { on_left(entry); });
}

/// `entry` is destroyed, and with it the request that called.
void PushClient::on_left(Entry& entry) {
  const std::string id = entry.subject.id;
  leaving_.erase(id);
  const auto back = entries_.find(id);
  if (back != entries_.end()) enroll(*back->second);
}

void PushClient::forget_all() {
  while (!entries_.empty())
    forget(std::string(entries_.begin()->first));
}

PushState PushClient::state(const std::string& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? PushState::waiting : found->second->state;
}

void PushClient::send(Entry& entry, std::string method, std::string path, std::string body,
                      Done done) {
  http::ClientRequest request;
  request.to = address_;
  request.reach = Reach::any_host;
  request.host = gateway_.host;
  request.method = std::move(method);
  request.target = gateway_.path + path;
  request.body = std::move(body);
  request.headers = {{"Content-Type", "application/json"},
                     {"User-Agent", "outrider/" OUTRIDER_VERSION}};
  request.timeout = kPushTimeout;
  entry.request = http::fetch(env_, std::move(request), [this, done = std::move(done)](auto r) {
    trouble_ = r ? "" : r.error().text;
    done(r ? r->status : 0);
  });
}

void PushClient::enroll(Entry& entry) {
  const bool was_known = std::exchange(entry.may_be_known, true);
  entry.is_registering = true;
  send(entry, "POST", "/_farp/v1/register", register_body(entry.subject),
       [this, &entry, was_known](int status) {
         entry.is_registering = false;
         if (status >= 400) entry.may_be_known = was_known;  // the gateway refused it
         if (entry.is_leaving) return entry.may_be_known ? deregister(entry) : on_left(entry);
         if (status != 200 && status != 201)
           return retry(entry, status == 0 ? trouble_ : "HTTP " + std::to_string(status));
         entry.state = PushState::registered;
         entry.outdated = false;
         entry.backoff = kPushRetryMin;
         env_.log.record(LogEvent::farp_pushed,
                         {{"instance", entry.subject.id}, {"peer", gateway_.host}});
         entry.timer = env_.after(kHeartbeat, [this, &entry] { beat(entry); });
       });
}

void PushClient::beat(Entry& entry) {
  const std::string path = "/_farp/v1/heartbeat/" + http::percent_encode(entry.subject.id);
  send(entry, "PUT", path, heartbeat_body(entry.subject), [this, &entry](int status) {
    if (status == 404) {  // evicted, or the gateway was restarted
      entry.state = PushState::waiting;
      entry.outdated = true;
      return enroll(entry);
    }
    if (status < 200 || status > 299)
      trouble_ = status == 0 ? trouble_ : "HTTP " + std::to_string(status);
    entry.timer = env_.after(kHeartbeat, [this, &entry] { beat(entry); });
  });
}

void PushClient::retry(Entry& entry, std::string why) {
  trouble_ = std::move(why);
  env_.log.record(LogEvent::farp_push_failed, {{"instance", entry.subject.id},
                                               {"peer", gateway_.host},
                                               {"reason", trouble_},
                                               {"duration", entry.backoff}});
  const Duration wait = std::exchange(entry.backoff, std::min(2 * entry.backoff, kPushRetryMax));
  entry.timer = env_.after(env_.random.jitter(wait, 10), [this, &entry] { enroll(entry); });
}

}  // namespace outrider::farp
