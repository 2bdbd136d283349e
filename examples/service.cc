// SPDX-License-Identifier: Apache-2.0
// A service in C++ that registers itself, waits for another one, and reports its own health.
//   c++ service.cc $(pkg-config --cflags --libs outrider) && ./a.out NAME PORT NEEDED
#include <iostream>
#include <outrider.hpp>
#include <string>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: service NAME PORT NEEDED\n";
    return 2;
  }
  try {
    outrider::Options options;
    options.name = argv[1];
    outrider::Agent agent(options);
    const std::string id =
        agent.register_service(std::string("{\"name\": \"") + argv[1] + "\", \"port\": " + argv[2] +
                               ", \"checks\": [{\"ttl\": \"30s\"}]}");
    if (!agent.wait(argv[3], 1, 30000)) {
      std::cerr << argv[3] << " is missing\n";
      return 1;
    }
    std::cout << agent.select(argv[3]) << std::endl;
    agent.set_health(id, OUTRIDER_PASSING, "found " + std::string(argv[3]));
    std::string line;
    while (std::getline(std::cin, line))
      agent.renew(id);  // a line is a heartbeat
    agent.drain(1000);
  } catch (const outrider::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
