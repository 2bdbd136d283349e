// SPDX-License-Identifier: Apache-2.0
// The tester of the conformance cases (tests/scenarios/mdns) on real sockets. What a case asks of
// the device it prints as "DO WORD…", and waits for a line on its standard input: "ok", "cannot …",
// or what went wrong. Its last words are "VERDICT passed", "VERDICT failed" or "VERDICT not_here",
// and why.
//
//   mdns_conformance FILE
#include <cstdio>
#include <string>

#include <unistd.h>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "tests/scenarios/mdns/play.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

// Schedulers of busy machines, and the programs that carry out what is asked of the device.
constexpr Duration kSlack = 150ms;
constexpr Duration kAnswerWithin = 30s;

class RealBed final : public Bed {
 public:
  RealBed() : log_(uv::make_stderr_log(loop_.clock(), uv::LogFormat::text)) {
    auto watch = loop_.network().watch_fd(STDIN_FILENO, {.readable = true},
                                          [this](FdEvents) { read_answer(); });
    if (watch) answers_ = std::move(*watch);
  }

  Env& env() override { return env_; }
  Duration slack() const override { return kSlack; }
  bool simulated() const override { return false; }

  void run_until(const std::function<bool()>& done, TimePoint end) override {
    if (end <= loop_.clock().now()) return loop_.turn(false);
    bool late = false;
    const Timer guard = loop_.timers().at(end, [&] { late = true; });
    while (!late && !done())
      loop_.turn(true);
  }

  std::string device(const std::vector<std::string>& words) override {
    std::printf("DO");
    for (const std::string& word : words)
      std::printf(" %s", word.c_str());
    std::printf("\n");
    std::fflush(stdout);
    std::size_t end = 0;
    run_until([&] { return (end = said_.find('\n')) != std::string::npos || !answers_; },
              loop_.clock().now() + kAnswerWithin);
    if (end == std::string::npos) return "nobody carries it out";
    const std::string answer = said_.substr(0, end);
    said_.erase(0, end + 1);
    return answer == "ok" ? "" : answer;
  }

 private:
  void read_answer() {
    char buffer[512];
    const ssize_t size = read(STDIN_FILENO, buffer, sizeof buffer);
    if (size <= 0) return answers_.reset();
    said_.append(buffer, static_cast<std::size_t>(size));
  }

  uv::Loop loop_;
  uv::SystemRandom random_;
  std::unique_ptr<Log> log_;
  Env env_{loop_.clock(), loop_.timers(), loop_.network(), random_, *log_};
  std::unique_ptr<FdWatch> answers_;
  std::string said_;
};

const char* to_string(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::passed:
      return "passed";
    case Verdict::Kind::failed:
      return "failed";
    case Verdict::Kind::not_here:
      return "not_here";
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Verdict verdict;
  {
    RealBed bed;
    verdict = play(argv[1], bed);
  }
  std::printf("VERDICT %s %s\n", to_string(verdict.kind), verdict.why.c_str());
  return verdict.kind == Verdict::Kind::failed ? 1 : 0;
}
