// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <unistd.h>

#include "agent/cli/advice.h"
#include "base/text_file.h"

namespace outrider::cli {
namespace {

TEST_CASE("units that failed or are restarted again and again are found in systemd's listing") {
  const auto failed = failed_units(
      "outrider-dns.socket     loaded active     running      Local DNS of Outrider\n"
      "outrider.service        loaded failed     failed       Outrider service discovery\n"
      "outrider@hello.service  loaded activating auto-restart Service agent for hello\n"
      "outrider@fresh.service  loaded activating start        Service agent for fresh\n"
      "outrider@off.service    loaded inactive   dead         Service agent for off\n"
      "\n"
      "outrider@cut.service");
  REQUIRE(failed.size() == 2);
  CHECK(failed[0].name == "outrider.service");
  CHECK_FALSE(failed[0].restarts);
  CHECK(failed[1].name == "outrider@hello.service");
  CHECK(failed[1].restarts);
  CHECK(failed_units("").empty());
}

/// A folder that plays the root of a host with systemd and our units.
struct Root {
  std::string path = "/tmp/outrider-units-XXXXXX";
  Root() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    write("/run/systemd/system/.keep");
    write("/lib/systemd/system/outrider.service");
  }
  ~Root() { [[maybe_unused]] const int status = std::system(("rm -r " + path).c_str()); }
  void write(const std::string& file) { REQUIRE(write_text_file(path + file, "").has_value()); }
  void link(const std::string& file, const char* target) {
    write(file);
    REQUIRE(::unlink((path + file).c_str()) == 0);
    REQUIRE(::symlink(target, (path + file).c_str()) == 0);
  }
  void enable(const std::string& by, const std::string& unit) {
    link("/etc/systemd/system/" + by + ".wants/" + unit, "/lib/systemd/system/x");
  }
  HostUnits look() { return look_at_units(path); }
};

const std::string kSudo = ::geteuid() == 0 ? "" : "sudo ";

TEST_CASE("units of the host are found with what is enabled and masked") {
  Root root;
  CHECK(root.look().usable());
  CHECK(root.look().enabled.empty());
  CHECK(root.look().masked.empty());
  root.enable("multi-user.target", "outrider.service");
  root.enable("multi-user.target", "ssh.service");
  root.link("/etc/systemd/system/outrider-dns.socket", "/dev/null");
  root.link("/etc/systemd/system/outrider-web.socket", "/dev/nullx");
  CHECK(root.look().enabled == std::set<std::string>{"outrider.service"});
  CHECK(root.look().masked == std::set<std::string>{"outrider-dns.socket"});
  CHECK(::unlink((root.path + "/lib/systemd/system/outrider.service").c_str()) == 0);
  CHECK_FALSE(root.look().exists);
  root.link("/etc/systemd/system/outrider.service", "/dev/null");
  CHECK(root.look().exists);
  CHECK_FALSE(look_at_units(root.path + "/none").usable());
}

TEST_CASE("an enabled agent beside a service that does not exist is found") {
  Root root;
  for (const char* name : {"made", "gone", "sysv", "web@1", "lost@1"})
    root.enable(std::string(name) + ".service", "outrider@" + std::string(name) + ".service");
  root.write("/etc/systemd/system/made.service");
  root.write("/run/systemd/generator.late/sysv.service");
  root.write("/usr/lib/systemd/system/web@.service");
  CHECK(root.look().lonely ==
        std::vector<std::string>{"outrider@gone.service", "outrider@lost@1.service"});
  CHECK(served_unit("outrider@gone.service") == "gone.service");
  CHECK(served_unit("outrider.service").empty());
}

TEST_CASE("no more than kNamedUnitsMax enabled units are looked at") {
  Root root;
  for (std::size_t i = 0; i <= kNamedUnitsMax; ++i)
    root.enable("multi-user.target", "outrider@" + std::to_string(i) + ".service");
  CHECK(root.look().enabled.size() == kNamedUnitsMax);
  CHECK(root.look().lonely.size() == kNamedUnitsMax);
}

TEST_CASE("a socket unit is started together with its service, after masks are taken away") {
  HostUnits units{.systemd_runs = true, .exists = true};
  CHECK(enable_command(units, "") == kSudo + "systemctl enable --now outrider.service");
  for (const std::string& socket : {std::string(kDnsSocketUnit), std::string(kWebSocketUnit)}) {
    const std::string both = socket + " outrider.service";
    const std::string start =
        kSudo + "systemctl stop outrider.service && " + kSudo + "systemctl enable --now " + both;
    units.masked.clear();
    CHECK(enable_command(units, socket) == start);
    units.masked = {socket, kAgentUnit};
    CHECK(enable_command(units, socket) == kSudo + "systemctl unmask " + both + " && " + start);
  }
  units.masked.clear();
  units.enabled = {kDnsSocketUnit};
  CHECK(enable_command(units, kWebSocketUnit) ==
        kSudo + "systemctl stop outrider-dns.socket outrider.service && " + kSudo +
            "systemctl enable --now outrider-dns.socket outrider-web.socket outrider.service");
  CHECK(low_port_command(units, kDnsSocketUnit) == enable_command(units, kDnsSocketUnit));
  units.systemd_runs = false;
  CHECK(low_port_command(units, kDnsSocketUnit).empty());
}

TEST_CASE("what is started and not enabled is missing after the next boot") {
  using dns_setup::Profile;
  HostUnits units{.systemd_runs = true, .exists = true};
  const auto resolved = gap_at_boot(units, Profile::resolved);
  REQUIRE(resolved);
  CHECK(resolved->what == "outrider.service is not enabled: after the next boot no agent answers");
  CHECK(resolved->advice == "run: " + kSudo + "systemctl enable outrider.service");
  const auto plain = gap_at_boot(units, Profile::plain);
  REQUIRE(plain);
  CHECK(plain->what ==
        "outrider-dns.socket and outrider.service are not enabled: after the next boot no agent "
        "answers, and no name resolves");
  CHECK(plain->advice == "run: " + kSudo + "systemctl enable outrider-dns.socket outrider.service");
  units.enabled = {"outrider.service"};
  CHECK_FALSE(gap_at_boot(units, Profile::resolved));
  CHECK(gap_at_boot(units, Profile::plain)->units ==
        std::vector<std::string>{"outrider-dns.socket"});
  units.enabled.insert("outrider-dns.socket");
  CHECK_FALSE(gap_at_boot(units, Profile::plain));
  // Elsewhere the agent is started in another way.
  CHECK_FALSE(gap_at_boot({.systemd_runs = true, .exists = false}, Profile::plain));
  CHECK_FALSE(gap_at_boot({.systemd_runs = false, .exists = true}, Profile::plain));
  CHECK_FALSE(
      gap_at_boot({.systemd_runs = true, .exists = true, .masked = {kAgentUnit}}, Profile::plain));
}

TEST_CASE("agents that run are found in systemd's listing") {
  CHECK(running_agents("outrider-dns.socket    loaded active running Local DNS\n"
                       "outrider.service       loaded active running Outrider\n"
                       "outrider@a.service     loaded active running Service agent for a\n"
                       "outrider@b.service     loaded failed failed  Service agent for b\n") ==
        std::vector<std::string>{"outrider.service", "outrider@a.service"});
  CHECK(
      running_agents("outrider.service   loaded deactivating stop-post    Outrider\n"
                     "outrider@a.service loaded activating   start        Service agent for a\n"
                     "outrider@b.service loaded activating   auto-restart Service agent for b\n") ==
      std::vector<std::string>{"outrider.service", "outrider@a.service"});
  std::string listing;
  for (std::size_t i = 0; i <= kNamedUnitsMax; ++i)
    listing += "outrider@" + std::to_string(i) + ".service loaded active running x\n";
  CHECK(running_agents(listing).size() == kNamedUnitsMax);
}

TEST_CASE("how systemd starts an agent is read from its properties") {
  const std::string start =
      "ExecStart={ path=/usr/bin/outrider ; argv[]=/usr/bin/outrider agent --config /etc/a.json "
      "--config=/etc/conf.d --set dns.listen=[] ; ignore_errors=no ; start_time=[n/a] }\n";
  const auto command = unit_command("User=outrider\nEnvironment=A=b OUTRIDER_DNS_TTL=9s\n" + start);
  REQUIRE(command);
  CHECK(command->paths == std::vector<std::string>{"/etc/a.json", "/etc/conf.d"});
  CHECK(command->sets == std::vector<std::string>{"dns.listen=[]"});
  CHECK(command->environment ==
        std::vector<std::pair<std::string, std::string>>{{"A", "b"}, {"OUTRIDER_DNS_TTL", "9s"}});
  CHECK(command->user == "outrider");
  CHECK(unit_command(start)->user == "root");
  for (const std::string& other :
       {std::string(), std::string("User=outrider\n"), start + start,
        start + "EnvironmentFiles=/etc/default/outrider (ignore_errors=no)\n",
        start + "Environment=\"A=b c\"\n",
        std::string("ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c x ; }\n"),
        std::string("ExecStart={ path=/x ; argv[]=/x agent --verbose ; }\n"),
        std::string("ExecStart={ path=/x ; argv[]=/x agent --set \"a=b c\" ; }\n")}) {
    CAPTURE(other);
    CHECK_FALSE(unit_command(other));
  }
}

TEST_CASE("the reason of a failure is the last error of the journal, and short") {
  CHECK(last_error("one\ntwo\nFailed to start outrider.service - Outrider.\n", "outrider: x\n") ==
        "two");
  CHECK(last_error("Failed to start x\n", "outrider: one\noutrider: two\nother\n") ==
        "outrider: two");
  CHECK(last_error("", "other\n").empty());
  CHECK(last_error(std::string(kReasonBytesMax, 'x'), "") == std::string(kReasonBytesMax, 'x'));
  CHECK(last_error(std::string(kReasonBytesMax + 1, 'x'), "") ==
        std::string(kReasonBytesMax, 'x') + "...");
  CHECK(last_error(std::string(kReasonBytesMax - 1, 'x') + "\xc3\xa4", "") ==
        std::string(kReasonBytesMax - 1, 'x') + "...");
}

TEST_CASE("no more failed units are reported than anyone reads") {
  std::string listing;
  for (std::size_t i = 0; i <= kFailedUnitsMax; ++i)
    listing += "outrider@" + std::to_string(i) + ".service loaded failed failed x\n";
  CHECK(failed_units(listing).size() == kFailedUnitsMax);
}

}  // namespace
}  // namespace outrider::cli
