// SPDX-License-Identifier: Apache-2.0
// Scenarios: a LAN of machines, told line by line in a text file (tests/scenarios/agent/*.scn).
//
//   HOST a 10.0.0.1/24                    a machine on the LAN, whose host name is "a"
//   HOST a 10.0.0.1/24 vm [IDENTITY]      the same, with a host name (and a host identity)
//   SERVE a 8080 /health 200              its HTTP server answers so (also: SERVE a 8080 down | up)
//   AGENT a {"services": […]}             starts an agent; lines that begin with a blank go on
//   ADVANCE 3s                            time passes
//   QUERY a hello.svc A = 10.0.0.1 …      now; or: NODATA, NXDOMAIN, REFUSED, SILENCE
//   WITHIN 1s QUERY …                     it becomes so in time (and says how long it took)
//   WHY a hello.svc A = text              the extended error of the reply contains it
//   TTL a hello.svc A <= 5
//   EDE a hello.svc A = 3                 its code, or "none"
//   RELOAD a {…}    REFUSED a dns.listen  (keys that the reload refused, or "-")
//   STOP a   HURRY a   KILL a   STOPPED a STOPPING a
//   MAINTENANCE a ID on|off   DRAIN a ID   RENEW a ID CHECK passing|warning|critical
//   REGISTER a {…}   DEREGISTER a ID      as through the API
//   CHECKS a = 2                          so many are probed or renewed
//   FARP a services = text                `outrider farp` contains it;  NOFARP: it does not
//   LINK up|down                          the LAN's carrier
//   ADDRESS a 10.0.0.9/24 | NOADDRESS a 10.0.0.9
//   SLEEP a   WAKE a                      the machine is suspended
//   HOLD a 127.0.0.55:5370 | RELEASE a    another program has the port
//   LOG a event = text                    the last line of that event contains it
//   NOLOG a event
#pragma once

#include <string>

namespace outrider::test {

/// Runs one; the answer is empty if all went as told, else "file:line: what was wrong".
std::string run_scenario(const std::string& file);

}  // namespace outrider::test
