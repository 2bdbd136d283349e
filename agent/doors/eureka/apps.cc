// SPDX-License-Identifier: Apache-2.0
// Lists of applications and their changes. Clients poll: they take everything once, then what has
// changed lately, which they add to what they know. If the hash of the result is not the one that
// came with the changes, they take everything again.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "agent/doors/eureka/eureka.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

using namespace eureka;
using registry::HostView;
using registry::Instance;
using registry::InstancePtr;

constexpr std::string_view kBase = "/eureka";
constexpr std::string_view kBase2 = "/eureka/v2/";

bool is_shown(const Instance& instance) {
  return !instance.shadowed && !instance.dropped && registry::is_reachable(instance);
}

/// What is wanted of all instances.
struct Wanted {
  using Key = std::pair<std::string, std::string>;  // label, id
  static Key key_of(const Instance& instance) {
    return {instance.service.label(), instance.id.text()};
  }
  std::string vip;  // empty: any
  bool secure = false;
  /// Nothing: everything. Else what has changed, and whether it was there before.
  std::optional<std::map<Key, bool>> changed;
  std::set<const Instance*> deleted;

  bool fits(const Instance& instance) const {
    if (vip.empty()) return true;
    if (secure && secure_port_of(instance) == 0) return false;
    const std::string all = vip_of(instance);  // "a,b"
    std::string_view rest = all;
    while (true) {
      const std::size_t comma = rest.find(',');
      if (equal_fold(rest.substr(0, comma), vip)) return true;
      if (comma == std::string_view::npos) return false;
      rest.remove_prefix(comma + 1);
    }
  }
};

/// Writes {"applications": …} row by row; the instances come by service.
class Applications {
 public:
  Applications(Wanted wanted, HostView host, std::uint64_t version)
      : wanted_(std::move(wanted)), host_(std::move(host)), version_(version) {}

  void begin(json::Writer& out) const {
    out.begin_object().key("applications").begin_object();
    out.member("versions__delta", std::to_string(version_));
    out.key("application").begin_array();
  }

  void row(json::Writer& out, const Instance& instance) {
    if (wanted_.deleted.contains(&instance)) return write(out, instance, Action::deleted);
    if (!is_shown(instance) || !wanted_.fits(instance)) return;
    ++counts_[std::string(eureka::status_of(instance))];
    if (!wanted_.changed) return write(out, instance, Action::added);
    const auto changed = wanted_.changed->find(Wanted::key_of(instance));
    if (changed == wanted_.changed->end()) return;
    write(out, instance, changed->second ? Action::modified : Action::added);
  }

  void end(json::Writer& out) {
    close(out);
    out.end_array().member("apps__hashcode", hash()).end_object().end_object();
  }

 private:
  void write(json::Writer& out, const Instance& instance, Action action) {
    if (instance.service.label() != label_ || app_.empty()) {
      close(out);
      label_ = instance.service.label();
      app_ = app_name(instance.service);
      out.begin_object().member("name", app_).key("instance").begin_array();
    }
    encode_instance(out, instance, host_, app_, action);
  }
  void close(json::Writer& out) {
    if (app_.empty()) return;
    out.end_array().end_object();
    app_.clear();
  }
  /// "DOWN_1_UP_3_": how many there are of each status, in order.
  std::string hash() const {
    std::string text;
    for (const auto& [status, count] : counts_)
      text += status + '_' + std::to_string(count) + '_';
    return text;
  }

  Wanted wanted_;
  HostView host_;
  std::uint64_t version_;
  std::string label_, app_;  // of the application that is open; empty: none is
  std::map<std::string, std::size_t> counts_;
};

void answer_applications(Api& api, http::Call call, std::vector<InstancePtr> instances,
                         Wanted wanted) {
  const auto writing =
      std::make_shared<Applications>(std::move(wanted), api.control().host(), api.index_of({}));
  Api::List list;
  list.instances = std::move(instances);
  list.begin = [writing](json::Writer& out) { writing->begin(out); };
  list.row = [writing](json::Writer& out, const Instance& one) { writing->row(out, one); };
  list.end = [writing](json::Writer& out) { writing->end(out); };
  api.answer_list(std::move(call.exchange), std::move(list));
}

void list_apps(Api& api, http::Call call) {
  auto all = find_instances(api.control().registry(), {});
  answer_applications(api, std::move(call), std::move(all), {});
}

template <bool secure>
void list_vip(Api& api, http::Call call) {
  auto all = find_instances(api.control().registry(), {});
  Wanted wanted{.vip = std::string(call.rest), .secure = secure, .changed = {}, .deleted = {}};
  answer_applications(api, std::move(call), std::move(all), std::move(wanted));
}

void list_delta(Api& api, http::Call call) {
  std::map<Wanted::Key, bool> changed;  // whether it was there before
  std::map<Wanted::Key, InstancePtr> last;
  for (const auto& changes : api.changes_after(api.control().now().at - kDeltaWindow))
    for (const registry::Change& change : changes->list) {
      const auto key = Wanted::key_of(change.any());
      const bool was_there = change.before != nullptr && is_shown(*change.before);
      changed.emplace(key, was_there);
      // Of the earlier states, one that was shown: the client has to find it by what it had.
      for (const InstancePtr& state : {change.before, change.after})
        if (state != nullptr && is_shown(*state)) last[key] = state;
    }
  auto all = find_instances(api.control().registry(), {});
  for (const InstancePtr& instance : all)
    if (is_shown(*instance)) last.erase(Wanted::key_of(*instance));
  Wanted wanted{.vip = {}, .secure = false, .changed = std::move(changed), .deleted = {}};
  for (const auto& [key, instance] : last) {
    wanted.deleted.insert(instance.get());
    all.push_back(instance);
  }
  std::ranges::stable_sort(all, std::less<>(), [](const InstancePtr& instance) -> std::string_view {
    return instance->service.label();
  });
  answer_applications(api, std::move(call), std::move(all), std::move(wanted));
}

http::Answer instance_answer(const Instance& instance, const HostView& host) {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("instance");
  encode_instance(out, instance, host, app_name(instance.service), Action::added);
  out.end_object();
  return answer;
}

void show_app(Api& api, http::Call call) {
  const HostView host = api.control().host();
  const PathOfInstance path = read_path(call.rest);
  std::vector<InstancePtr> found = api.control().registry().instances(label_of(path.app));
  std::erase_if(found, [&](const InstancePtr& one) {
    return !is_shown(*one) || (!path.id.empty() && instance_id_of(*one) != path.id);
  });
  if (found.empty())
    return call.exchange.answer(http::error_answer(
        404, path.id.empty()
                 ? "unknown application \"" + path.app + '"'
                 : "application \"" + path.app + "\" has no instance \"" + path.id + '"'));
  if (!path.id.empty()) return call.exchange.answer(instance_answer(*found.front(), host));
  Api::List list;
  const std::string app = app_name(found.front()->service);
  list.instances = std::move(found);
  list.begin = [app](json::Writer& out) {
    out.begin_object().key("application").begin_object();
    out.member("name", app).key("instance").begin_array();
  };
  list.row = [app, host](json::Writer& out, const Instance& one) {
    encode_instance(out, one, host, app, Action::added);
  };
  list.end = [](json::Writer& out) { out.end_array().end_object().end_object(); };
  api.answer_list(std::move(call.exchange), std::move(list));
}

void show_instance(Api& api, http::Call call) {
  const HostView host = api.control().host();
  for (const InstancePtr& one : find_instances(api.control().registry(), {}))
    if (instance_id_of(*one) == call.rest && is_shown(*one))
      return call.exchange.answer(instance_answer(*one, host));
  call.exchange.answer(
      http::error_answer(404, "unknown instance \"" + std::string(call.rest) + '"'));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;

bool is_xml(std::string_view content_type) {
  return lowered(content_type).find("xml") != std::string::npos;
}

/// Whether one of the media types is JSON or stands for it. A client that names none takes any.
bool accepts_json(std::string_view accept) {
  const std::string all = lowered(accept);
  return all.find_first_not_of(" \t") == std::string::npos ||
         all.find("json") != std::string::npos || all.find("*/*") != std::string::npos ||
         all.find("application/*") != std::string::npos;
}

/// XML, and parameters that would be ignored. Those of PUT and DELETE depend on the path's end.
std::optional<http::Answer> refuse(Api&, const http::ServerRequest& request, const Route& route) {
  constexpr std::string_view kXml =
      "XML is not supported, only JSON: send Accept and Content-Type: application/json; in "
      "Netflix's client set eureka.decoderName and eureka.encoderName to JacksonJson";
  if (route.method == "GET" && !accepts_json(request.headers.get("Accept")))
    return http::error_answer(406, kXml);
  const std::size_t first = request.body.find_first_not_of(" \t\r\n");
  if (is_xml(request.headers.get("Content-Type")) ||
      (first != std::string::npos && request.body[first] == '<'))
    return http::error_answer(415, kXml);
  if (route.method == "PUT" || route.method == "DELETE") return std::nullopt;
  if (const auto why = http::wrong_parameter(request.target, route.parameters))
    return http::error_answer(400, *why);
  return std::nullopt;
}

constexpr Route kRoutes[] = {
    {"GET", "/eureka/apps", list_apps, Effect::reads, "List all applications with their instances"},
    {"GET", "/eureka/apps/delta", list_delta, Effect::reads,
     "List the instances that have changed in the last 3 minutes"},
    {"GET", "/eureka/apps/{app}", show_app, Effect::reads,
     "Show an application, APP, or one of its instances, APP/ID"},
    {"POST", "/eureka/apps/{app}", register_instance, Effect::changes,
     "Register an instance of an application", http::kNoParameters,
     "{\"instance\": {...}}, as Eureka's clients send it"},
    {"PUT", "/eureka/apps/{app}", change_instance, Effect::changes,
     "Renew an instance, APP/ID; override its status, APP/ID/status; or add the query to its "
     "metadata, APP/ID/metadata",
     kChange},
    {"DELETE", "/eureka/apps/{app}", cancel, Effect::changes,
     "Deregister an instance, APP/ID, or end the override of its status, APP/ID/status"},
    {"GET", "/eureka/instances/{id}", show_instance, Effect::reads, "Show an instance by its id"},
    {"GET", "/eureka/vips/{vip}", list_vip<false>, Effect::reads,
     "List the instances with a VIP address, which is the name of the service by default"},
    {"GET", "/eureka/svips/{vip}", list_vip<true>, Effect::reads,
     "The same, of instances with a port for TLS"},
};

}  // namespace

std::optional<std::string> eureka::canonical_path(std::string_view path) {
  if (!path.starts_with(kBase) || path.size() <= kBase.size() || path[kBase.size()] != '/')
    return std::nullopt;
  std::string same(path);
  if (path.starts_with(kBase2)) same.erase(kBase.size(), kBase2.size() - kBase.size() - 1);
  while (same.ends_with('/'))
    same.pop_back();
  if (same == path) return std::nullopt;
  return same;
}

void add_eureka_routes(Api& api) {
  api.router().add(kRoutes, refuse);
}

}  // namespace outrider::doors
