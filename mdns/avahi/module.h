// SPDX-License-Identifier: Apache-2.0
// What the module exports as outrider_mdns_avahi.
#pragma once

#include "base/module.h"
#include "mdns/avahi/client.h"

namespace outrider::mdns::avahi {

struct AvahiModule {
  ModuleHead head;
  Client* (*make_client)(Env& env);  // null when the system is out of descriptors or threads
};

}  // namespace outrider::mdns::avahi
