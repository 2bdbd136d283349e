// SPDX-License-Identifier: Apache-2.0
// What changes a registration.
#include <algorithm>

#include "agent/doors/actions.h"
#include "agent/doors/eureka/eureka.h"
#include "base/text.h"

namespace outrider::doors::eureka {
namespace {

using registry::CheckState;
using registry::Instance;
using registry::InstancePtr;
using registry::RegistryError;

http::Answer missing_id() {
  return http::error_answer(404, "missing id of the instance in the path");
}

http::Answer unknown_instance(Api& api, const PathOfInstance& path) {
  const auto listed = api.control().registry().instances(label_of(path.app));
  const bool elsewhere = std::ranges::any_of(
      listed, [&](const InstancePtr& one) { return instance_id_of(*one) == path.id; });
  return http::error_answer(
      404, "no registration \"" + path.id + "\" of application \"" + path.app +
               (elsewhere ? "\" at this agent; it is registered at another one" : "\""));
}

/// As the program says of itself. The lease is renewed with it.
Control::Done report(Control& control, const Instance& instance, std::string_view status) {
  const std::string& id = instance.id.text();
  const auto done = control.renew(id, kEurekaLease.check, CheckHealth::passing, {});
  if (!done) return done;
  const bool up = status == kUp;
  return control.renew(id, kStatusCheck, up ? CheckHealth::passing : CheckHealth::critical,
                       std::string(kReported) += status);
}

/// What it has said last; UP if it has been silent since, for it lives.
std::string_view reported_status(const Instance& instance) {
  const CheckState* check = find_check_state(instance, kStatusCheck);
  return check == nullptr ? kUp : status_in(check->output, kReported).value_or(kUp);
}

/// The program has changed since it was last heard, and says so by a time of this host's clock. A
/// renewal is then refused, and it registers again.
bool has_news(const Instance& instance, std::string_view dirty) {
  const auto stamp = parse_number<std::int64_t>(dirty);
  const CheckState* lease = find_check_state(instance, kEurekaLease.check);
  return stamp && lease != nullptr &&
         WallTime(std::chrono::milliseconds(std::clamp<std::int64_t>(*stamp, 0, 1LL << 42))) >
             lease->renewed.wall;
}

http::Answer renew(Api& api, const http::Target& target, const PathOfInstance& path) {
  if (const auto why = http::wrong_parameter(target, kRenewal))
    return http::error_answer(400, *why);
  const InstancePtr instance = find_registration(api.control().registry(), path.app, path.id);
  if (instance == nullptr || find_check_state(*instance, kStatusCheck) == nullptr)
    return unknown_instance(api, path);
  if (has_news(*instance, target.get("lastDirtyTimestamp")))
    return http::error_answer(404, "the instance has changed since; register it again");
  const auto said = parse_status(target.get("status"));
  const auto done = report(api.control(), *instance, said.value_or(reported_status(*instance)));
  if (!done) return refused(done.error());
  return http::json_answer({});
}

http::Answer override_status(Api& api, const http::Target& target, const PathOfInstance& path,
                             bool is_removal) {
  if (const auto why = http::wrong_parameter(target, kOverride))
    return http::error_answer(400, *why);
  const auto status = parse_status(target.get("value"));
  if (!status && !is_removal)
    return http::error_answer(
        400, "missing parameter value; expected UP, DOWN, STARTING or OUT_OF_SERVICE");
  const InstancePtr instance = find_registration(api.control().registry(), path.app, path.id);
  if (instance == nullptr) return unknown_instance(api, path);
  const bool out = !is_removal && *status != kUp && *status != kUnknown;
  const auto done = api.control().set_maintenance(
      instance->id.text(), out, out ? std::string(kOverridden) += *status : std::string());
  return done ? http::json_answer({}) : refused(done.error());
}

http::Answer change_metadata(Api& api, const http::Target& target, const PathOfInstance& path) {
  const InstancePtr instance = find_registration(api.control().registry(), path.app, path.id);
  if (instance == nullptr) return unknown_instance(api, path);
  registry::Metadata metadata = instance->metadata;
  for (const auto& [key, value] : target.query) {
    if (key.starts_with(kKeptPrefix))
      return http::error_answer(400, "keys may not begin with \"eureka.\"");
    if (key != "token") metadata[key] = value;
  }
  const auto done = replace_metadata(api.control(), *instance, std::move(metadata));
  return done ? http::json_answer({}) : http::error_answer(400, done.error());
}

/// The ids under which the registry may keep an instance, in order of preference. Two programs of
/// one host often have its name: the later one of another application is kept under another id.
std::vector<registry::InstanceId> ids_of(const std::string& label, const std::string& instance_id) {
  const auto id = registry::InstanceId::from_foreign(instance_id);
  if (!id) return {};
  std::vector ids{*id};
  const std::string longer = label + ':' + instance_id;
  if (const auto with_label = registry::InstanceId::from_foreign(longer))
    ids.push_back(*with_label);
  ids.push_back(id->apart(longer));
  return ids;
}

/// False: each of its ids is that of another registration.
bool choose_id(const registry::Registry& registry, Registration& registration) {
  registry::ServiceSpec& spec = registration.spec;
  if (const auto there = find_registration(registry, spec.name.text(), registration.instance_id))
    spec.id = there->id;
  else
    spec.id = first_free(registry, ids_of(spec.name.label(), registration.instance_id));
  if (!spec.id) return false;
  if (spec.id->text() != registration.instance_id)
    spec.metadata[kept_key(kInstanceId)] = registration.instance_id;
  return true;
}

}  // namespace

PathOfInstance read_path(std::string_view rest) {
  PathOfInstance path;
  const std::size_t slash = rest.find('/');
  path.app = rest.substr(0, slash);
  if (slash == std::string_view::npos) return path;
  rest.remove_prefix(slash + 1);
  using Part = PathOfInstance::Part;
  for (const auto& [end, part] : {std::pair(std::string_view("/status"), Part::status),
                                  {std::string_view("/metadata"), Part::metadata}}) {
    if (!rest.ends_with(end)) continue;
    rest.remove_suffix(end.size());
    path.part = part;
    break;
  }
  path.id = rest;
  return path;
}

InstancePtr find_registration(const registry::Registry& registry, std::string_view app,
                              std::string_view id) {
  const std::string label = label_of(app);
  for (const registry::InstanceId& one : ids_of(label, std::string(id))) {
    const InstancePtr found = registry.find_exact(one.text());
    if (found != nullptr && found->service.label() == label && instance_id_of(*found) == id)
      return found;
  }
  return nullptr;
}

void register_instance(Api& api, http::Call call) {
  const http::ServerRequest& request = call.request;
  const std::string_view coding = request.headers.get("Content-Encoding");
  if (!coding.empty() && !equal_fold(coding, "identity"))
    return call.exchange.answer(
        http::error_answer(415, "compressed bodies are not supported; send the JSON as it is"));
  const auto body = parse_body(request, RepeatedKeys::last_counts);
  if (!body) return call.exchange.answer(http::error_answer(400, body.error()));
  const PathOfInstance path = read_path(call.rest);
  if (!path.id.empty())
    return call.exchange.answer(
        http::error_answer(400, "expected POST to /eureka/apps/" + path.app + ", without an id"));
  auto registration = decode_registration(*body, path.app, api.control().host());
  if (!registration) return call.exchange.answer(http::error_answer(400, registration.error()));
  const registry::Registry& registry = api.control().registry();
  if (!choose_id(registry, *registration))
    return call.exchange.answer(http::error_answer(
        400, "instance.instanceId: other registrations have \"" + registration->instance_id +
                 "\" and every id that is made of it; choose another one"));
  if (!keep_other_checks(registry, registration->spec))
    return call.exchange.answer(
        http::error_answer(400, "more than " + std::to_string(registry::kChecksPerInstanceMax) +
                                    " checks with those that were registered separately"));
  const auto id = api.control().put(registration->spec);
  if (!id) return call.exchange.answer(refused(id.error()));
  const auto done = report(api.control(), *registry.find_exact(*id), registration->status);
  if (!done) return call.exchange.answer(refused(done.error()));
  http::Answer answer;
  answer.status = 204;
  call.exchange.answer(std::move(answer));
}

void change_instance(Api& api, http::Call call) {
  const PathOfInstance path = read_path(call.rest);
  const http::Target& target = call.request.target;
  if (path.id.empty()) return call.exchange.answer(missing_id());
  switch (path.part) {
    case PathOfInstance::Part::whole:
      return call.exchange.answer(renew(api, target, path));
    case PathOfInstance::Part::status:
      return call.exchange.answer(override_status(api, target, path, false));
    case PathOfInstance::Part::metadata:
      return call.exchange.answer(change_metadata(api, target, path));
  }
  OUTRIDER_UNREACHABLE();
}

void cancel(Api& api, http::Call call) {
  const PathOfInstance path = read_path(call.rest);
  const http::Target& target = call.request.target;
  if (path.id.empty()) return call.exchange.answer(missing_id());
  if (path.part == PathOfInstance::Part::status)
    return call.exchange.answer(override_status(api, target, path, true));
  if (path.part == PathOfInstance::Part::metadata)
    return call.exchange.answer(
        http::error_answer(405, "metadata can be set with PUT, not removed"));
  if (const auto why = http::wrong_parameter(target, http::kNoParameters))
    return call.exchange.answer(http::error_answer(400, *why));
  const InstancePtr instance = find_registration(api.control().registry(), path.app, path.id);
  if (instance == nullptr) return call.exchange.answer(unknown_instance(api, path));
  const auto done = api.control().remove(instance->id.text());
  call.exchange.answer(done ? http::json_answer({}) : refused(done.error()));
}

}  // namespace outrider::doors::eureka
