// SPDX-License-Identifier: Apache-2.0
// Bodies that Eureka's clients register with, and paths: whatever is accepted is a specification
// that can be written and read again, and is shown with the id and the status that came.
#include "agent/doors/eureka/eureka.h"
#include "base/assert.h"
#include "base/bytes.h"

using namespace outrider;
using namespace outrider::doors;

namespace {

void read_paths(std::string_view text) {
  const auto path = eureka::read_path(text);
  OUTRIDER_ASSERT(path.app.size() + path.id.size() <= text.size());
  if (const auto same = eureka::canonical_path(text)) {
    OUTRIDER_ASSERT(same->starts_with("/eureka") && same->size() < text.size());
    OUTRIDER_ASSERT(!same->ends_with('/'));
  }
  if (const auto status = eureka::parse_status(text))
    OUTRIDER_ASSERT(status->size() == text.size());
}

void show(const eureka::Registration& registration) {
  registry::Registry registry("box");
  const auto changes = registry.put(registration.spec, {});
  if (!changes) return;
  const auto instance = registry.own().front();
  std::string text;
  json::Writer out(text);
  eureka::encode_instance(out, *instance, {}, eureka::app_name(instance->service),
                          eureka::Action::added);
  const auto shown = json::parse(text, json::kConfigBytesMax);
  OUTRIDER_ASSERT(shown.has_value());
  OUTRIDER_ASSERT(*shown->find("instanceId")->as_string() == registration.instance_id);
  const bool up = registration.status == eureka::kUp;
  OUTRIDER_ASSERT((eureka::status_of(*instance) == eureka::kUp) == up);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  read_paths(text);
  const auto body = json::parse(text, json::kBodyBytesMax);
  if (!body) return 0;
  // The path has the application of the body, or else nothing would be accepted.
  std::string app = "web";
  if (const json::Value* instance = body->find("instance"))
    if (const json::Value* named = instance->find("app"); named != nullptr && named->as_string())
      app = *named->as_string();
  const auto registration = eureka::decode_registration(*body, app, {});
  if (!registration) {
    OUTRIDER_ASSERT(!registration.error().empty());
    return 0;
  }
  OUTRIDER_ASSERT(registration->spec.id.has_value());
  std::string written;
  json::Writer out(written);
  registry::write(out, registration->spec);
  OUTRIDER_ASSERT(json::parse(written, json::kConfigBytesMax).has_value());
  show(*registration);
  return 0;
}
