// SPDX-License-Identifier: Apache-2.0
#include "mdns/avahi/module.h"

namespace outrider::mdns::avahi {
namespace {

constexpr ModuleName kAvahiModuleName{
    .file = "outrider-mdns-avahi.so",
    .symbol = "outrider_mdns_avahi",
    .needed_by = "announcements through avahi-daemon",
    .package = "outrider-mdns-avahi",
    .folder = "mdns/avahi/module",
};

}  // namespace

std::unique_ptr<Client> load_client(Env& env, std::string* why) {
  const ModuleHead* head = open_module(kAvahiModuleName, why);
  if (head == nullptr) return nullptr;
  // The head is the first member of a standard-layout struct, and the build is the same.
  const auto* module = static_cast<const AvahiModule*>(static_cast<const void*>(head));
  std::unique_ptr<Client> client(module->make_client(env));
  if (!client) *why = "announcements through avahi-daemon: no descriptor or thread is available";
  return client;
}

}  // namespace outrider::mdns::avahi
