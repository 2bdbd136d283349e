// SPDX-License-Identifier: Apache-2.0
#include "mdns/avahi/module.h"

namespace outrider::mdns::avahi {
namespace {

constexpr ModuleName kAvahiModuleName{
    .file = "outrider-mdns-avahi.so",
    .symbol = "outrider_mdns_avahi",
    .needed_by = "announcements through avahi-daemon",
    .package = "outrider-modules",
    .folder = "mdns/avahi/module",
};

}  // namespace

std::unique_ptr<Client> load_client(Env& env, std::string* why) {
  const auto* module = open_module_as<AvahiModule>(kAvahiModuleName, why);
  if (module == nullptr) return nullptr;
  std::unique_ptr<Client> client(module->make_client(env));
  if (!client) *why = "announcements through avahi-daemon: no descriptor or thread is available";
  return client;
}

}  // namespace outrider::mdns::avahi
