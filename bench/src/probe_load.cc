// SPDX-License-Identifier: Apache-2.0
// The runner against many targets, to be measured: target i is 127.x.y.z:PORT, x.y.z from i.
//
//   probe_load PORT TARGETS fresh|reuse INTERVAL_MS SECONDS
//
// One interval goes by uncounted. With so short an interval that no prober could keep it (100 ms
// for 10 000 targets) the runner always has its bound of probes under way: a closed loop.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

#include <sys/resource.h>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "probes/runner.h"

using namespace outrider;
using namespace outrider::probes;

namespace {

struct Counter final : Runner::Sink {
  std::uint64_t passed = 0, failed = 0;
  void on_health(const CheckKey&, CheckHealth, const Outcome&) override {}
  void on_outcome(const CheckKey&, CheckHealth, const Outcome& outcome) override {
    ++(outcome.passed() ? passed : failed);
  }
};

int number(const char* text) {
  int value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}
long wakeups() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return use.ru_nvcsw;
}
long rss_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return number(line.c_str() + line.find_first_of("0123456789"));
  return 0;
}

CheckSpec check(int index, std::uint16_t port, bool reuse, Duration interval) {
  const auto octet = [](int value) { return static_cast<std::uint8_t>(value); };
  HttpCheck http{.target = Endpoint{IpAddress::v4(127, octet(1 + index / 62'500),
                                                  octet(index / 250 % 250), octet(1 + index % 250)),
                                    port}};
  http.path = "/health";
  http.options.reuse = reuse;
  CheckSpec spec;
  spec.key = {"service-" + std::to_string(index), "http"};
  spec.kind = http;
  spec.timing = {
      .interval = interval, .timeout = 2s, .start_interval = interval, .edge_interval = interval};
  return spec;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const auto port = static_cast<std::uint16_t>(number(argv[1]));
  const int targets = number(argv[2]);
  const bool reuse = std::strcmp(argv[3], "reuse") == 0;
  const Duration interval = std::chrono::milliseconds(number(argv[4]));
  const Duration length = std::chrono::seconds(number(argv[5]));

  uv::Loop loop;
  uv::SystemRandom random;
  NullLog log;
  Env env{loop.clock(), loop.timers(), loop.network(), random, log};
  Counter counter;
  Runner runner(env, counter);
  // Spread over one interval, as services that start at different times are.
  int added = 0;
  Timer spread;
  const std::function<void()> add = [&] {
    for (int i = 0; i < std::max(1, targets / 1'000) && added < targets; ++i)
      if (!runner.add(check(added++, port, reuse, interval))) std::abort();
    if (added < targets) spread = env.after(interval / 1'000, [&] { add(); });
  };
  add();
  const Timer warm = env.after(interval + 500ms, [&] { loop.stop(); });
  loop.run();
  const std::uint64_t before = counter.passed, failed_before = counter.failed;
  const double cpu = cpu_seconds();
  const long woken = wakeups();
  const TimePoint start = env.now();
  const Timer end = env.after(length, [&] { loop.stop(); });
  loop.run();
  const double seconds = std::chrono::duration<double>(env.now() - start).count();
  const double used = cpu_seconds() - cpu;
  const auto probes = static_cast<double>(counter.passed - before);
  std::printf("probes_s=%.0f cpu_us=%.1f cpu_pct=%.2f fail=%llu wakeups_s=%.0f rss_kb=%ld\n",
              probes / seconds, probes > 0 ? used * 1e6 / probes : 0, used / seconds * 100,
              static_cast<unsigned long long>(counter.failed - failed_before),
              static_cast<double>(wakeups() - woken) / seconds, rss_kib());
  return 0;
}
