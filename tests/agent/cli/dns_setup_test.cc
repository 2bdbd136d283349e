// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/dns_setup.h"

#include <array>
#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/install_record.h"
#include "agent/process/stored_nameservers.h"
#include "base/text_file.h"

using namespace outrider;
using namespace outrider::dns_setup;

namespace {

const Wish kWish{*Endpoint::parse("127.0.0.55:5370"), {"svc", "test"}};

/// A folder that plays the root of a host, and is gone afterwards.
struct Root {
  std::string path = "/tmp/outrider-dns-setup-XXXXXX";
  Root() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Root() { [[maybe_unused]] const int status = std::system(("rm -r " + path).c_str()); }

  void write(const std::string& file, std::string_view text) {
    REQUIRE(write_text_file(path + file, text).has_value());
  }
  std::optional<std::string> read(const std::string& file) { return read_text_file(path + file); }
  bool has(const std::string& file) { return ::access((path + file).c_str(), F_OK) == 0; }
  void link(const std::string& file, const std::string& target) {
    write(file, "");
    REQUIRE(::unlink((path + file).c_str()) == 0);
    REQUIRE(::symlink(target.c_str(), (path + file).c_str()) == 0);
  }
  Host look(int systemd = 252) { return look_at(path, systemd); }
};

}  // namespace

TEST_CASE("look_at finds the profile of a host from its files") {
  {
    Root root;
    root.link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    CHECK(root.look(252).profile == Profile::resolved);
    CHECK(root.look(258).profile == Profile::delegate);
    CHECK(root.look(0).profile == Profile::resolved);
  }
  {
    Root root;
    root.write("/etc/resolv.conf", "# made by hand\nnameserver 127.0.0.53\noptions edns0\n");
    CHECK(root.look().profile == Profile::resolved);
  }
  {
    Root root;
    root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    root.write("/etc/NetworkManager/NetworkManager.conf", "[main]\ndns = dnsmasq\n");
    root.write("/etc/dnsmasq.conf", "");
    CHECK(root.look().profile == Profile::networkmanager);
  }
  {
    Root root;
    root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    root.write("/etc/dnsmasq.conf", "");
    CHECK(root.look().profile == Profile::dnsmasq);
  }
  {
    Root root;
    root.write("/etc/resolv.conf", "nameserver 192.168.1.1\nnameserver 192.168.1.2\n");
    CHECK(root.look().profile == Profile::plain);
    CHECK(root.look().nameservers == std::vector<std::string>{"192.168.1.1", "192.168.1.2"});
  }
  {
    Root root;
    root.link("/etc/resolv.conf", "/run/resolvconf/resolv.conf");
    CHECK_FALSE(root.look().profile.has_value());
    CHECK(root.look().why.find("/run/resolvconf/resolv.conf") != std::string::npos);
  }
}

TEST_CASE("every profile writes a file that its resolver reads") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");
  const Host host = root.look();
  const auto text = [&](Profile profile) {
    const auto made = plan(host, profile, kWish);
    REQUIRE(made.has_value());
    REQUIRE(made->files.size() == 1);
    return made->files[0].path + '\n' + made->files[0].after;
  };
  CHECK(text(Profile::resolved) ==
        "/etc/systemd/resolved.conf.d/outrider.conf\n"
        "[Resolve]\nDNS=127.0.0.55:5370\nDomains=~svc ~test\n");
  CHECK(text(Profile::delegate) ==
        "/etc/systemd/dns-delegate.d/outrider.dns-delegate\n"
        "[Delegate]\nDNS=127.0.0.55:5370\nDomains=~svc ~test\n");
  CHECK(text(Profile::dnsmasq) ==
        "/etc/dnsmasq.d/outrider.conf\n"
        "server=/svc/127.0.0.55#5370\nserver=/test/127.0.0.55#5370\n");
  CHECK(text(Profile::networkmanager) ==
        "/etc/NetworkManager/dnsmasq.d/outrider.conf\n"
        "server=/svc/127.0.0.55#5370\nserver=/test/127.0.0.55#5370\n");
}

TEST_CASE(
    "plain makes the agent the only nameserver, keeps all other lines, and undo restores the "
    "file") {
  Root root;
  const std::string before =
      "# written by dhclient\nsearch lan\nnameserver 192.168.1.1\nnameserver 192.168.1.2\n"
      "options timeout:1\n";
  root.write("/etc/resolv.conf", before);
  REQUIRE(::chmod((root.path + "/etc/resolv.conf").c_str(), 0604) == 0);
  const Host host = root.look();
  CHECK_FALSE(plan(host, Profile::plain, kWish).has_value());  // resolv.conf has no ports

  const auto made = plan(host, Profile::plain, {*Endpoint::parse("127.0.0.55:53"), {"svc"}});
  REQUIRE(made.has_value());
  CHECK(diff(*made) ==
        "--- /etc/resolv.conf\n+++ /etc/resolv.conf\n # written by dhclient\n search lan\n"
        "-nameserver 192.168.1.1\n-nameserver 192.168.1.2\n+nameserver 127.0.0.55\n"
        " options timeout:1\n");
  CHECK(made->notes[0].find("192.168.1.1, 192.168.1.2") != std::string::npos);
  REQUIRE(apply(host, *made).has_value());
  CHECK(root.read("/etc/resolv.conf") ==
        "# written by dhclient\nsearch lan\nnameserver 127.0.0.55\noptions timeout:1\n");
  struct stat info {};
  REQUIRE(::stat((root.path + "/etc/resolv.conf").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0604);

  const auto found = installed(root.path);
  REQUIRE(found.has_value());
  REQUIRE(found->has_value());
  CHECK((*found)->profile == Profile::plain);
  CHECK(untouched(root.path, **found));
  REQUIRE(undo(root.path).has_value());
  CHECK(root.read("/etc/resolv.conf") == before);
  CHECK_FALSE(installed(root.path)->has_value());
}

TEST_CASE("undo removes a new file and returns the commands to run") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");
  const Host host = root.look();
  const auto made = plan(host, Profile::resolved, kWish);
  REQUIRE(made.has_value());
  CHECK(diff(*made).starts_with("--- /dev/null\n+++ /etc/systemd/resolved.conf.d/outrider.conf\n"));
  REQUIRE(apply(host, *made).has_value());
  CHECK(root.read("/etc/systemd/resolved.conf.d/outrider.conf").has_value());
  const auto undone = undo(root.path);
  REQUIRE(undone.has_value());
  CHECK(undone->notes.empty());
  REQUIRE(undone->commands.size() == 1);
  CHECK(undone->commands[0].back() == "systemd-resolved");
  CHECK_FALSE(root.read("/etc/systemd/resolved.conf.d/outrider.conf").has_value());
  CHECK_FALSE(root.has("/etc/systemd"));  // folders that it made are gone, too
  CHECK_FALSE(root.has("/var"));
  CHECK(undo(root.path).error() == "nothing is installed");
}

TEST_CASE("undo keeps a folder that other programs use by now") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");
  const Host host = root.look();
  REQUIRE(apply(host, *plan(host, Profile::resolved, kWish)).has_value());
  root.write("/etc/systemd/resolved.conf.d/other.conf", "[Resolve]\n");
  REQUIRE(undo(root.path).has_value());
  CHECK(root.has("/etc/systemd/resolved.conf.d/other.conf"));
  CHECK_FALSE(root.has("/etc/systemd/resolved.conf.d/outrider.conf"));
}

TEST_CASE("apply refuses a file that undo could not restore exactly") {
  for (const std::string& comment : {std::string("# caf\xe9"), std::string("# a\0b", 5)}) {
    Root root;
    const std::string before = comment + "\nnameserver 192.168.1.1\n";
    root.write("/etc/resolv.conf", before);
    const Host host = root.look();
    const auto made = plan(host, Profile::plain, {*Endpoint::parse("127.0.0.55:53"), {"svc"}});
    REQUIRE(made.has_value());
    CHECK(apply(host, *made).error().find("change it by hand") != std::string::npos);
    CHECK(root.read("/etc/resolv.conf") == before);
    CHECK_FALSE(root.has("/var"));
  }
}

TEST_CASE("a file that cannot be written leaves no record, so the next try is possible") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
  root.write("/etc/dnsmasq.d", "in the way of the folder");
  const Host host = root.look();
  const auto made = plan(host, Profile::dnsmasq, kWish);
  REQUIRE(made.has_value());
  CHECK(apply(host, *made).error().ends_with("; nothing was changed"));
  CHECK_FALSE(installed(root.path)->has_value());
  CHECK_FALSE(root.has("/var"));
  CHECK(root.read("/etc/dnsmasq.d") == "in the way of the folder");
}

TEST_CASE("is_domain refuses text that would do more than name a domain in a configuration") {
  for (const char* good : {"svc", "rpc.internal", "My-Zone", "a_b"}) {
    CAPTURE(good);
    CHECK(is_domain(good));
  }
  for (const char* bad : {"", ".", "svc.", ".svc", "a..b", "svc test", "svc/1.2.3.4", "a\nb",
                          "~svc", "caf\xc3\xa9", "#"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_domain(bad));
  }
}

TEST_CASE("a file that was edited by hand is kept aside, where no resolver reads it") {
  const std::string edited = "server=/svc/127.0.0.1#5353\n";
  for (const Profile profile :
       {Profile::delegate, Profile::resolved, Profile::networkmanager, Profile::dnsmasq}) {
    CAPTURE(to_string(profile));
    Root root;
    root.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    const Host host = root.look();
    const auto made = plan(host, profile, kWish);
    const std::string path = made->files[0].path;
    // Without a file of that name before, and with one.
    for (const std::optional<std::string>& before : {std::optional<std::string>(), {"# mine\n"}}) {
      if (before) root.write(path, *before);
      REQUIRE(apply(host, *plan(host, profile, kWish)).has_value());
      root.write(path, edited);
      CHECK_FALSE(untouched(root.path, **installed(root.path)));
      const auto undone = undo(root.path);
      REQUIRE(undone.has_value());
      const std::string aside = path + (before ? ".edited-2~" : ".edited~");
      CHECK(undone->notes == std::vector<std::string>{
                                 path + " was edited since installation, and is kept as " + aside});
      CHECK(undone->commands == made->commands);
      CHECK(root.read(aside) == edited);
      CHECK(root.read(path) == before);
      CHECK_FALSE(installed(root.path)->has_value());
    }
  }
}

TEST_CASE("a file that was deleted by hand is restored, or stays away if it is new") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
  const std::string path = "/etc/dnsmasq.d/outrider.conf";
  for (const std::optional<std::string>& before : {std::optional<std::string>(), {"# mine\n"}}) {
    if (before) root.write(path, *before);
    REQUIRE(apply(root.look(), *plan(root.look(), Profile::dnsmasq, kWish)).has_value());
    REQUIRE(::unlink((root.path + path).c_str()) == 0);
    REQUIRE(undo(root.path).has_value());
    CHECK(root.read(path) == before);
  }
}

TEST_CASE("edited files are kept under kEditedFilesMax names at most") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
  for (unsigned i = 1; i <= kEditedFilesMax + 1; ++i) {
    REQUIRE(apply(root.look(), *plan(root.look(), Profile::dnsmasq, kWish)).has_value());
    root.write("/etc/dnsmasq.d/outrider.conf", std::to_string(i));
    REQUIRE(undo(root.path).has_value());
  }
  CHECK(root.read("/etc/dnsmasq.d/outrider.conf.edited-8~") == "8");
  CHECK(root.read("/etc/dnsmasq.d/outrider.conf.edited-9~") == "10");
  CHECK_FALSE(root.has("/etc/dnsmasq.d/outrider.conf.edited-10~"));
}

TEST_CASE("a resolv.conf that another program has rewritten is left, and can be installed again") {
  Root root;
  const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
  root.write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
  REQUIRE(apply(root.look(), *plan(root.look(), Profile::plain, wish)).has_value());
  CHECK(in_effect(root.path, **installed(root.path)));
  const std::string rewritten = "# dhclient\nnameserver 10.0.0.1\n";
  root.write("/etc/resolv.conf", rewritten);
  CHECK_FALSE(in_effect(root.path, **installed(root.path)));
  const auto undone = undo(root.path);
  REQUIRE(undone.has_value());
  CHECK(undone->notes ==
        std::vector<std::string>{
            "/etc/resolv.conf was rewritten since installation, and is left as it is"});
  CHECK(root.read("/etc/resolv.conf") == rewritten);
  CHECK_FALSE(root.has("/var"));

  const Host host = root.look();
  REQUIRE(apply(host, *plan(host, Profile::plain, wish)).has_value());
  CHECK(root.read("/etc/resolv.conf") == "# dhclient\nnameserver 127.0.0.55\n");
  REQUIRE(undo(root.path).has_value());
  CHECK(root.read("/etc/resolv.conf") == rewritten);
}

TEST_CASE("a resolv.conf that was rewritten around the agent loses the agent alone") {
  Root root;
  const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
  root.write("/etc/resolv.conf", "nameserver 192.168.1.1\nnameserver 192.168.1.2\n");
  REQUIRE(apply(root.look(), *plan(root.look(), Profile::plain, wish)).has_value());
  root.write("/etc/resolv.conf", "search corp\nnameserver 127.0.0.55\nnameserver 192.168.1.2\n");
  CHECK(in_effect(root.path, **installed(root.path)));
  CHECK_FALSE(untouched(root.path, **installed(root.path)));
  const auto undone = undo(root.path);
  REQUIRE(undone.has_value());
  CHECK(undone->notes ==
        std::vector<std::string>{"/etc/resolv.conf was rewritten since "
                                 "installation; only the agent was taken out of it"});
  CHECK(root.read("/etc/resolv.conf") ==
        "search corp\nnameserver 192.168.1.1\nnameserver 192.168.1.2\n");
  CHECK_FALSE(installed(root.path)->has_value());
}

TEST_CASE("the agent finds the nameservers of before in the record") {
  Root root;
  CHECK(stored_resolv_conf(root.path).empty());
  const std::string before = "search lan\nnameserver 192.168.1.1\n";
  root.write("/etc/resolv.conf", before);
  const Host host = root.look();
  const auto made = plan(host, Profile::plain, {*Endpoint::parse("127.0.0.55:53"), {"svc"}});
  CHECK(made->notes[0].find("forwards other names to 192.168.1.1") != std::string::npos);
  REQUIRE(apply(host, *made).has_value());
  CHECK(stored_resolv_conf(root.path) == before);
  REQUIRE(undo(root.path).has_value());
  CHECK(stored_resolv_conf(root.path).empty());
  for (const char* text :
       {"{", "[]", "{\"files\":3}", "{\"files\":[3,{\"path\":\"/etc/hosts\"}]}"}) {
    root.write(std::string(kDnsInstallRecord), text);
    CHECK(stored_resolv_conf(root.path).empty());
  }
}

TEST_CASE("a damaged record is refused, and so is one that names what no installation writes") {
  Root root;
  const auto naming = [](const std::string& profile, const std::string& path) {
    return R"({"profile":")" + profile + R"(","files":[{"path":")" + path +
           R"(","before":"x","after":""}]})";
  };
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string(R"({"profile":"best","files":[]})"),
        std::string(R"({"profile":"plain"})"), naming("plain", "/usr/bin/x"),
        naming("plain", "/etc/../root/x"), naming("plain", "/etc/shadow"),
        naming("plain", "/etc/resolv.conf/"), naming("plain", "/etc//resolv.conf"),
        naming("plain", "/etc/dnsmasq.d/outrider.conf"), naming("dnsmasq", "/etc/resolv.conf"),
        naming("dnsmasq", "/etc/dnsmasq.d/*"),
        std::string(R"({"profile":"plain","files":[],"folders":["/home/user/empty"]})"),
        std::string(R"({"profile":"plain","files":[],"folders":["/etc/resolv.conf"]})")}) {
    CAPTURE(text);
    for (const std::string_view place : {kDnsInstallRecord, kEarlierDnsInstallRecord}) {
      root.write(std::string(place), text);
      const auto found = installed(root.path);
      REQUIRE_FALSE(found.has_value());
      CHECK(found.error().starts_with(root.path + std::string(place) + ": "));
      CHECK(undo(root.path).error() == found.error());
      CHECK(root.read(std::string(place)) == text);
      REQUIRE(::unlink((root.path + std::string(place)).c_str()) == 0);
    }
  }
  root.write(std::string(kDnsInstallRecord), naming("plain", "/etc/../root/x"));
  CHECK(installed(root.path).error() ==
        root.path + std::string(kDnsInstallRecord) +
            ": names /etc/../root/x, which the profile plain does not write");
}

TEST_CASE("a record that another user can write is refused, and nothing is written") {
  struct Row {
    std::string how;  // a command in the root
    std::string why;  // of the error
  };
  const std::string present = "var/lib/outrider-dns/install.json",
                    earlier = "var/lib/outrider/dns-install.json";
  const auto rows_of = [](const std::string& file) {
    return std::vector<Row>{
        {"chmod 664 " + file, file + " is not trusted: it is writable for its group"},
        {"chmod 646 " + file, file + " is not trusted: it is writable for all users"},
        {"ln " + file + " other", file + " is not trusted: it has several names (hard links)"},
        {"mv " + file + " other && ln -s $PWD/other " + file,
         file + " is not trusted: it is a symbolic link"},
        {"rm " + file + " && mkfifo -m 600 " + file,
         file + " is not trusted: it is not a regular file"},
        {"rm " + file + " && mkdir " + file, file + " is not trusted: it is not a regular file"}};
  };
  std::vector<Row> rows = rows_of(present);
  for (Row& row : rows_of(earlier)) {
    row.how = "mkdir var/lib/outrider && mv " + present + ' ' + earlier + " && " + row.how;
    rows.push_back(std::move(row));
  }
  const std::string folder = "var/lib/outrider-dns";
  rows.push_back({"chmod 775 " + folder, folder + " is not trusted: it is writable for its group"});
  rows.push_back(
      {"chmod 1777 " + folder, folder + " is not trusted: it is writable for all users"});
  rows.push_back({"mv " + folder + " other && ln -s $PWD/other " + folder,
                  folder + " is not trusted: it is a symbolic link"});
  if (::geteuid() == 0) {
    for (const std::string& file : {present, folder})
      rows.push_back(
          {"chown 65534 " + file, file + " is not trusted: it belongs to the user with id 65534"});
    rows.push_back(
        {"mkdir var/lib/outrider && mv " + present + ' ' + earlier + " && chown 65534 " + earlier,
         earlier + " is not trusted: it belongs to the user with id 65534"});
  }
  for (const Row& row : rows) {
    CAPTURE(row.how);
    Root root;
    const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
    root.write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
    REQUIRE(apply(root.look(), *plan(root.look(), Profile::plain, wish)).has_value());
    REQUIRE(std::system(("cd " + root.path + " && " + row.how).c_str()) == 0);
    const auto found = installed(root.path);
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().starts_with(root.path + '/' + row.why));
    CHECK(undo(root.path).error() == found.error());
    CHECK(stored_resolv_conf(root.path).empty());
    CHECK(root.read("/etc/resolv.conf") == "nameserver 127.0.0.55\n");
  }
}

TEST_CASE("no record is written into a folder that another user can write to") {
  Root root;
  const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
  root.write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
  root.write("/var/lib/outrider-dns/other", "");
  const std::string folder = root.path + "/var/lib/outrider-dns";
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  CHECK(apply(root.look(), *plan(root.look(), Profile::plain, wish)).error() ==
        folder + " is not trusted: it is writable for all users");
  CHECK(root.read("/etc/resolv.conf") == "nameserver 192.168.1.1\n");
  CHECK_FALSE(root.has(std::string(kDnsInstallRecord)));
}

TEST_CASE("the agent may read the record, whatever the umask of root is") {
  Root root;
  const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
  root.write("/etc/resolv.conf", "nameserver 192.168.1.1\n");
  for (const mode_t mask : {077, 000}) {
    const mode_t before = ::umask(mask);
    const auto applied = apply(root.look(), *plan(root.look(), Profile::plain, wish));
    ::umask(before);
    REQUIRE(applied.has_value());
    struct stat info {};
    REQUIRE(::stat((root.path + "/var/lib/outrider-dns").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0755);
    REQUIRE(::stat((root.path + std::string(kDnsInstallRecord)).c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0644);
    REQUIRE(undo(root.path).has_value());
    CHECK_FALSE(root.has("/var/lib/outrider-dns"));
  }
}

TEST_CASE("a record of an earlier build is taken over from a folder of another user") {
  Root root;
  const Wish wish{*Endpoint::parse("127.0.0.55:53"), {"svc"}};
  const std::string before = "nameserver 192.168.1.1\n";
  root.write("/etc/resolv.conf", before);
  REQUIRE(apply(root.look(), *plan(root.look(), Profile::plain, wish)).has_value());
  root.write(std::string(kEarlierDnsInstallRecord), *root.read(std::string(kDnsInstallRecord)));
  REQUIRE(std::system(("rm -r " + root.path + "/var/lib/outrider-dns").c_str()) == 0);
  const std::string folder = root.path + "/var/lib/outrider";
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  if (::geteuid() == 0) REQUIRE(::chown(folder.c_str(), 65'534, 65'534) == 0);
  CHECK(untouched(root.path, **installed(root.path)));
  CHECK(stored_resolv_conf(root.path) == before);
  REQUIRE(undo(root.path).has_value());
  CHECK(root.read("/etc/resolv.conf") == before);
  CHECK_FALSE(root.has(std::string(kEarlierDnsInstallRecord)));
}

TEST_CASE("what cannot be restored is an error, and the record stays for the next try") {
  Root root;
  root.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
  root.write("/etc/dnsmasq.d/outrider.conf", "# mine\n");
  REQUIRE(apply(root.look(), *plan(root.look(), Profile::dnsmasq, kWish)).has_value());
  // A file that cannot be replaced, as an immutable one: a directory that is not empty.
  const std::string file = root.path + "/etc/dnsmasq.d/outrider.conf";
  const std::string draft = file + kDraftEnding;
  REQUIRE(std::system(("mkdir -p " + draft + "/full").c_str()) == 0);
  CHECK_FALSE(undo(root.path).has_value());
  CHECK(root.has(std::string(kDnsInstallRecord)));
  REQUIRE(std::system(("rm -r " + draft).c_str()) == 0);
  REQUIRE(undo(root.path).has_value());
  CHECK(root.read("/etc/dnsmasq.d/outrider.conf") == "# mine\n");
  CHECK_FALSE(root.has(std::string(kDnsInstallRecord)));
}
