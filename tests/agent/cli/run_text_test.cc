// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "agent/cli/run/block.h"
#include "agent/cli/run/held_lines.h"
#include "agent/cli/run/needs.h"
#include "agent/cli/run/quiet_log.h"

namespace outrider::cli::beside {
namespace {

Block hello() {
  Block block;
  block.service = "hello";
  block.dns_name = "hello.svc";
  block.health = "passing";
  block.check = "http: HTTP 200: ok, 3 ms";
  block.pid = 6608;
  block.places.bridge = "http://hello.localhost:5380/";
  block.places.here = "http://127.0.0.1:20001/";
  block.places.lan = "http://10.0.0.1:20001/";
  block.places.lan_name = "http://box-1.local:20001/";
  block.places.page = "http://127.0.0.1:5380/hello";
  return block;
}

TEST_CASE("the block names every place that has answered") {
  CHECK(write_block(hello()) ==
        "\n  hello  passing \xc2\xb7 http: HTTP 200: ok, 3 ms \xc2\xb7 pid 6608\n"
        "    open   http://hello.localhost:5380/\n"
        "    here   http://127.0.0.1:20001/\n"
        "           (outrider doctor says how to make hello.svc work here)\n"
        "    LAN    http://box-1.local:20001/           http://10.0.0.1:20001/\n"
        "    page   http://127.0.0.1:5380/hello\n\n");
  CHECK(write_plain(hello()) ==
        "outrider: hello is passing at http://127.0.0.1:20001/ http://hello.localhost:5380/ "
        "http://10.0.0.1:20001/ http://box-1.local:20001/, page http://127.0.0.1:5380/hello\n");
}

TEST_CASE("the block names the command that makes the name work, where it would") {
  Block block = hello();
  block.is_installable = true;
  CHECK(write_block(block).find("(outrider dns install makes the name hello.svc work here)\n") !=
        std::string::npos);
}

TEST_CASE("the block leaves out what has not answered, and says why others cannot reach it") {
  Block block = hello();
  block.places = {};
  block.silent = "127.0.0.1:5432";
  CHECK(write_block(block).find("    here   127.0.0.1:5432 does not answer\n") !=
        std::string::npos);
  block.places.here = "127.0.0.1:5432";
  block.lan_limit = "it listens on 127.0.0.1 only";
  const std::string text = write_block(block);
  CHECK(text.find("open") == std::string::npos);
  CHECK(text.find("page") == std::string::npos);
  CHECK(text.find("outrider doctor") == std::string::npos);
  CHECK(text.find("    LAN    not reachable: it listens on 127.0.0.1 only\n") != std::string::npos);
  block.places.name = "http://hello.svc:5432/";
  CHECK(write_block(block).find("here   http://hello.svc:5432/") != std::string::npos);
  CHECK(text.find("Enter") == std::string::npos);
  block.has_keys = true;
  CHECK(write_block(block).find("  h, then Enter: keys") != std::string::npos);
}

TEST_CASE("what a check or a program says reaches the terminal escaped") {
  Block block = hello();
  for (std::string* text : {&block.service, &block.dns_name, &block.health, &block.check,
                            &block.places.here, &block.places.lan, &block.places.page})
    *text = "http://\x1b[2J";
  CHECK(write_block(block).find('\x1b') == std::string::npos);
  block.places = {};
  block.lan_limit = "\x1b[2J";
  CHECK(write_block(block).find('\x1b') == std::string::npos);
  CHECK(write_change("a", "critical", "12:03:10", "\x1b]0;x").find('\x1b') == std::string::npos);
  CHECK(write_waiting("a", 4s, "\x9b").find('\x9b') == std::string::npos);
  CHECK(write_death("\x1b[31m", "ended with status 1").find('\x1b') == std::string::npos);
}

TEST_CASE("a change of health is one line with the time and the reason") {
  CHECK(write_change("hello", "critical", "12:03:10", "check http: HTTP 503: db down") ==
        "  hello  critical since 12:03:10 \xc2\xb7 check http: HTTP 503: db down\n");
  CHECK(write_change("hello", "passing", "12:03:20", "") == "  hello  passing since 12:03:20\n");
  CHECK(write_waiting("hello", 4200ms, "no check has passed yet") ==
        "  hello  starting for 4s \xc2\xb7 no check has passed yet\n");
}

TEST_CASE("a QR code in half blocks has its quiet zone and fits into 80 columns and 24 lines") {
  QrCode code;
  code.width = 37;  // version 5, 106 octets
  code.dark.assign(37 * 37, false);
  code.dark[0] = code.dark[37] = true;  // the corner, two modules high
  const std::string text = write_qr(code);
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; ++at)
    ++lines;
  CHECK(lines == 23);
  const std::string line =
      "\x1b[30;107m" + std::string(4, ' ') + "\xe2\x96\x88" + std::string(40, ' ') + "\x1b[0m\n";
  CHECK(text.find(line) == 2 * (std::string("\x1b[30;107m").size() + 45 + 5));
  CHECK(line.size() == std::string("\x1b[30;107m").size() + 45 + 2 + 5);
}

/// What has come through, by event and service.
class ToldLog final : public Log {
 public:
  explicit ToldLog(std::vector<std::string>& told) : told_(told) {}

 private:
  void write(LogEvent event, Fields fields) override {
    std::string text(spec_of(event).name);
    for (const LogField& field : fields)
      if (field.key == "service") text += ' ' + field.value;
    told_.push_back(std::move(text));
  }
  std::vector<std::string>& told_;
};

TEST_CASE("in lines, the log has what happens to the program's service, and own warnings") {
  std::vector<std::string> told;
  QuietLog log(std::make_unique<ToldLog>(told), Surroundings::lines);
  log.set_service("hello");
  for (const char* service : {"hello", "db"}) {
    log.record(LogEvent::instance_added, {{"service", service}});
    log.record(LogEvent::health_failed, {{"service", service}});
  }
  log.record(LogEvent::health_failed, {{"service", "elsewhere"}, {"source", "mdns"}});
  log.record(LogEvent::agent_ready);
  CHECK(told == std::vector<std::string>{"instance_added hello", "health_failed hello",
                                         "health_failed db", "agent_ready"});
}

TEST_CASE("beside the screen, the log leaves out what the screen says") {
  std::vector<std::string> told;
  QuietLog log(std::make_unique<ToldLog>(told), Surroundings::screen);
  log.record(LogEvent::health_failed, {{"service", "hello"}});  // whose is not known yet
  log.set_service("hello");
  for (const char* service : {"hello", "db"})
    log.record(LogEvent::health_failed, {{"service", service}});
  log.record(LogEvent::health_failed, {{"service", "elsewhere"}, {"source", "host"}});
  CHECK(told == std::vector<std::string>{"health_failed hello", "health_failed db"});
}

TEST_CASE("of the lines that are held back, the last ones are kept") {
  HeldLines held;
  CHECK(held.take().empty());
  held.add("first\n");
  for (std::size_t i = 0; i <= kHeldBytesMax / 100; ++i)
    held.add(std::string(99, 'x') + '\n');
  held.add("one\ntwo\n");
  const std::string text = held.take();
  CHECK(text.size() <= kHeldBytesMax);
  CHECK(text.starts_with("xxx"));
  CHECK(text.ends_with("x\none\ntwo\n"));
  CHECK(held.take().empty());
}

TEST_CASE("needs are named one by one or in lists, and each once") {
  using Names = std::vector<std::string>;
  CHECK(*parse_names({"my-db", "my_db,db", "db"}) == Names{"my-db", "my_db", "db"});
  CHECK(parse_names({"db", ""}).error() == "expected the name of a service");
  CHECK(*parse_needs({}) == Names{});
  CHECK(*parse_needs({"db,cache", "mail", "db"}) == Names{"db", "cache", "mail"});
  CHECK_FALSE(parse_needs({""}));
  CHECK_FALSE(parse_needs({"db,"}));
  const auto shared = parse_needs({"my-db", "my_db"});
  REQUIRE_FALSE(shared);
  CHECK(shared.error() == "--need: my-db and my_db would share the variable MY_DB_HOST");
  std::vector<std::string> many;
  for (std::size_t i = 0; i < kNeedsMax; ++i)
    many.push_back("s" + std::to_string(i));
  CHECK(parse_needs(many));
  many.push_back("more");
  CHECK(parse_names(many).error() == "at most 32 services");
  CHECK(parse_needs(many).error() == "--need: at most 32 services");
}

TEST_CASE("variables are named as shells can name them") {
  CHECK(variable_name("db") == "DB");
  CHECK(variable_name("my-db.svc") == "MY_DB_SVC");
  CHECK(variable_name("2nd") == "_2ND");
}

}  // namespace
}  // namespace outrider::cli::beside
