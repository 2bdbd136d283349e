// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/advice.h"

#include <algorithm>
#include <array>

#include <unistd.h>

namespace outrider::cli {
namespace {

bool has_unit() {
  constexpr std::array kFolders = {"/etc/systemd/system/", "/usr/lib/systemd/system/",
                                   "/lib/systemd/system/"};
  return std::ranges::any_of(kFolders, [](const char* folder) {
    return ::access((std::string(folder) + "outrider.service").c_str(), F_OK) == 0;
  });
}

}  // namespace

std::string as_root(const std::string& command) {
  return (::geteuid() == 0 ? "" : "sudo ") + command;
}

bool can_be_installed(const std::vector<std::string>& listen) {
  const dns_setup::Host host = dns_setup::look_at("/", 0);
  const bool plain = host.profile == dns_setup::Profile::plain;
  return host.profile && std::ranges::any_of(listen, [plain](const std::string& on) {
           return on == kPlainStub || (!plain && on == kUsualStub);
         });
}

std::string start_command(std::optional<dns_setup::Profile> profile) {
  const bool plain = profile == dns_setup::Profile::plain;
  if (has_unit() && plain)
    return as_root("systemctl enable --now outrider-dns.socket outrider.service");
  if (has_unit()) return as_root("systemctl enable --now outrider.service");
  if (plain) return as_root("outrider agent --set dns.listen=") + kPlainStub;
  return "outrider agent";
}

}  // namespace outrider::cli
