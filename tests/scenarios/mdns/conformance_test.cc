// SPDX-License-Identifier: Apache-2.0
// Every conformance case of this folder against the native provider, in simulated time. The same
// files against an agent and avahi-daemon, on a real link: tests/real/mdns_conformance.py.
#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/scenarios/mdns/sim_bed.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

constexpr std::uint64_t kSeeds = 5;  // other delays, other order

/// Of a case that is written here.
Verdict verdict_of(const std::string& steps) {
  char path[] = "/tmp/outrider-case-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path) << "REGISTER hello _hello._tcp 8080\nSETTLE\n" << steps << '\n';
  SimBed bed(1);
  const Verdict verdict = play(path, bed);
  unlink(path);
  return verdict;
}

}  // namespace

TEST_CASE("every conformance case passes") {
  const auto files = test::files_of(CASE_DIR, ".scn");
  REQUIRE(files.size() >= 30);
  for (const std::string& file : files) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SimBed bed(seed);
      const Verdict verdict = play(file, bed);
      CHECK_MESSAGE(verdict.kind == Verdict::Kind::passed, "seed ", seed, ": ", verdict.why);
      if (verdict.kind != Verdict::Kind::passed) break;
    }
  }
}

TEST_CASE("what does not hold is said, with its place") {
  const std::string ask = "SEND query ? hello._hello._tcp.local SRV\n";
  const std::pair<std::string, std::string> wrong[] = {
      {ask + "EXPECT no response within 1s", ":4: EXPECT no response within 1s: came 1 times"},
      {ask + "EXPECT 2x response within 1s", "came 1 times"},
      {ask + "EXPECT response within 1s unicast", "did not come"},
      {ask + "EXPECT response after 1s..2s", "came after "},
      {ask + "EXPECT response within 1s = * * noflush SRV", "did not come"},
      {ask + "EXPECT response within 1s -= * * SRV", "did not come"},
      {ask + "EXPECT response within 1s = $A * SRV * * * $A", "did not come"},
      {ask + "EXPECT response within 1s\nEVERY response ttl<=1", "does not hold of"},
      {ask + "EXPECT response within 1s\nEVERY probe", "there was none"},
      {ask + "EXPECT response", "within what time?"},
      {ask + "EXPECT response within soon", "no range of time"},
      {"EXPECT 3x query within 30s apart 1s", " after the one before"},
      {"THEN", "nothing was found before"},
      {"SPREAD 1ms 2ms", "after some EXPECT"},
      {"LEGAL $OTHER", "has not been heard of"},
      {"SEND query ? a..b A", "no name"},
      {"SEND query ? a.local BANANA", "no type"},
      {"SEND response = a.local 1 A 1.2.3", "no address"},
      {"SEND response = a.local x A 1.2.3.4", "no TTL"},
      {"SEND response = a.local 1 A same", "has not said"},
      {"SEND response = $OTHER 1 A 1.2.3.4", "has not been heard of"},
      {"SEND response & a.local 1 A 1.2.3.4", "only be looked for"},
      {"REPEAT 2", "no END"},
      {"BANANA", ":3: BANANA: no such step"},
  };
  for (const auto& [steps, complaint] : wrong) {
    CAPTURE(steps);
    const Verdict verdict = verdict_of(steps);
    CHECK(verdict.kind == Verdict::Kind::failed);
    CHECK_MESSAGE(verdict.why.find(complaint) != std::string::npos, verdict.why);
  }
}
