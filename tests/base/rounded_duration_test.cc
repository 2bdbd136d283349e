// SPDX-License-Identifier: Apache-2.0
#include "base/rounded_duration.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("measured durations are rounded for people") {
  struct Row {
    Duration value;
    const char* text;
  };
  const Row rows[] = {{5s + 902'238'673ns, "5.9s"},
                      {5s + 2ms, "5s"},
                      {9s + 999ms, "9.9s"},
                      {10s + 999ms, "10s"},
                      {130s + 1ns, "2m10s"},
                      {2h + 10min + 59s, "2h10m"},
                      {100h + 59min, "4d4h"},
                      {902ms + 238us, "902ms"},
                      {238us + 673ns, "238us"},
                      {673ns, "673ns"},
                      {0s, "0s"},
                      {-5s - 902ms, "-5.9s"}};
  for (const Row& row : rows)
    CHECK(format_rounded(row.value) == row.text);
}

}  // namespace
}  // namespace outrider
