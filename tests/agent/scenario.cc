// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/scenario.h"

#include <set>

#include "tests/agent/machine.h"
#include "tests/rr_type.h"
#include "tests/scenarios/script.h"

namespace outrider::test {
namespace {

class Scenario {
 public:
  /// Empty, or what is wrong.
  std::string run(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    if (verb == "ADVANCE") return advance(word(in));
    if (verb == "LINK") {
      const std::string state = word(in);
      return link(state, in);
    }
    if (verb == "WITHIN") return within(in);
    const std::string name = word(in);
    if (verb == "HOST") {
      auto& machine = machines_[name] = std::make_unique<Machine>(world_, name, word(in));
      if (const std::string called = word(in); !called.empty()) machine->host_name = called;
      if (const std::string identity = word(in); !identity.empty()) machine->identity = identity;
      return {};
    }
    const auto found = machines_.find(name);
    if (found == machines_.end()) return "no host \"" + name + '"';
    return on(*found->second, verb, in);
  }

  /// Agents go first, as on a machine that is switched off.
  std::string finish() {
    machines_.clear();
    const std::string left = world_.leftovers();
    return left.empty() ? "" : "left over: " + left;
  }

 private:
  std::string on(Machine& machine, const std::string& verb, std::istringstream& in) {
    if (verb == "SERVE") return serve(machine, in);
    if (verb == "AGENT") return machine.start(rest(in));
    if (verb == "STOPPED") return machine.stopped() ? "" : "it has not stopped";
    if (verb == "LOG" || verb == "NOLOG") return log(machine, verb == "LOG", in);
    if (verb == "HOLD") return hold(machine, word(in));
    if (verb == "RELEASE") {
      holder_.reset();
      return {};
    }
    if (verb.ends_with("ADDRESS") || verb == "SLEEP" || verb == "WAKE")
      return change_host(machine.host(), verb, in);
    if (!machine.running()) return "its agent does not run";
    if (verb == "QUERY" || verb == "WHY" || verb == "TTL" || verb == "EDE")
      return ask(machine, verb, in);
    if (verb == "RELOAD") return machine.reload(rest(in));
    if (verb == "REFUSED") return refused(machine, rest(in));
    if (verb == "CHECKS" || verb.ends_with("FARP")) return look(machine.agent(), verb, in);
    if (verb == "STOP")
      machine.stop();
    else if (verb == "HURRY")
      machine.agent().hurry();
    else if (verb == "KILL")
      machine.kill();
    else if (verb == "STOPPING")
      return machine.agent().stopping() ? "" : "it is not stopping";
    else
      return control(machine, verb, in);
    return {};
  }

  static std::string change_host(sim::Host& host, const std::string& verb, std::istringstream& in) {
    if (verb == "SLEEP")
      host.sleep();
    else if (verb == "WAKE")
      host.wake();
    else if (verb == "ADDRESS")
      host.add_address("eth0", word(in));
    else
      host.remove_address("eth0", word(in));
    return {};
  }

  static std::string farp_document(const Agent& agent, std::string_view what) {
    if (what == "manifest") return agent.farp_manifest({}).value_or("nothing");
    auto document = what == "services" ? agent.farp_services() : *agent.farp_routes({});
    std::optional<std::string> text;
    while (!text)
      text = document();
    return *text;
  }

  static std::string look(const Agent& agent, const std::string& verb, std::istringstream& in) {
    if (verb == "CHECKS") {
      word(in);
      const std::string got = std::to_string(agent.checks().runner().size());
      return got == word(in) ? "" : "there are " + got;
    }
    const std::string got = farp_document(agent, word(in));
    word(in);
    const bool there = got.find(rest(in)) != std::string::npos;
    return there == (verb == "FARP") ? "" : "it says " + got;
  }

  static std::string register_service(Agent& agent, const std::string& text) {
    const auto value = json::parse(text, json::kConfigBytesMax);
    if (!value) return value.error().message;
    const auto spec = registry::ServiceSpec::parse(*value);
    if (!spec) return spec.error().to_string();
    const auto id = agent.put(*spec);
    return id ? "" : to_string(id.error());
  }

  std::string control(Machine& machine, const std::string& verb, std::istringstream& in) {
    if (verb == "REGISTER") return register_service(machine.agent(), rest(in));
    const std::string id = word(in);
    const auto told = [](const Result<void, registry::RegistryError>& result) {
      return result ? std::string() : std::string(to_string(result.error()));
    };
    if (verb == "MAINTENANCE")
      return told(machine.agent().set_maintenance(id, word(in) == "on", ""));
    if (verb == "DEREGISTER") return told(machine.agent().remove(id));
    if (verb == "DRAIN") return told(machine.agent().set_draining(id, true));
    if (verb == "RENEW") {
      const std::string check = word(in);
      return told(machine.agent().renew(id, check, *parse_check_health(word(in)), "told"));
    }
    return "no such verb: " + verb;
  }

  std::string advance(const std::string& text) {
    const auto duration = parse_duration(text);
    if (!duration) return "no duration: " + text;
    world_.advance(*duration);
    return {};
  }

  /// up, down, or "lossy PERCENT".
  std::string link(const std::string& state, std::istringstream& in) {
    if (state == "lossy")
      world_.link("lan").quality.loss_percent = static_cast<unsigned>(std::stoul(word(in)));
    else
      world_.link("lan").set_up(state == "up");
    return {};
  }

  std::string serve(Machine& machine, std::istringstream& in) {
    const auto port = static_cast<std::uint16_t>(std::stoi(word(in)));
    const std::string path = word(in);
    if (path == "down" || path == "up")
      machine.server(port).set_listening(path == "up");
    else
      machine.server(port).set(path, {.status = std::stoi(word(in)), .body = rest(in)});
    return {};
  }

  std::string ask(Machine& machine, const std::string& verb, std::istringstream& in) {
    const std::string name = word(in);
    dns::RrType type;
    if (!parse_type(word(in), type)) return "no such type";
    const std::string sign = word(in), wanted = rest(in);
    const Reply reply = machine.ask(name, type);
    if (verb == "TTL")
      return reply.ttl <= static_cast<unsigned>(std::stoi(wanted))
                 ? ""
                 : "the TTL is " + std::to_string(reply.ttl);
    if (verb == "EDE") {
      const std::string got =
          reply.extended_error > 0xffff ? "none" : std::to_string(reply.extended_error);
      return got == wanted ? "" : "it says " + got;
    }
    if (verb == "WHY")
      return reply.why.find(wanted) != std::string::npos ? "" : "it says \"" + reply.why + '"';
    std::string got = reply.text();
    if (got.starts_with("NOERROR ")) got = got.substr(8);
    if (sign == "~") return got.find(wanted) != std::string::npos ? "" : "got " + got;
    return got == wanted ? "" : "got " + got;
  }

  /// Again and again until it holds.
  std::string within(std::istringstream& in) {
    const auto most = parse_duration(word(in));
    if (!most) return "no duration";
    const std::string line = rest(in);
    const TimePoint end = world_.now() + *most;
    for (;;) {
      const std::string wrong = run(line);
      if (wrong.empty() || world_.now() >= end) return wrong;
      world_.advance(20ms);
    }
  }

  std::string refused(Machine& machine, const std::string& wanted) {
    std::string got;
    for (const std::string& key : machine.refused_keys)
      got += (got.empty() ? "" : " ") + key;
    if (got.empty()) got = "-";
    return got == wanted ? "" : "got " + got;
  }

  std::string log(Machine& machine, bool wanted, std::istringstream& in) {
    const std::string event = word(in);
    word(in);
    const std::string text = rest(in), last = machine.host().log().last(event);
    if (!wanted) return last.empty() ? "" : "got " + last;
    return !last.empty() && last.find(text) != std::string::npos ? "" : "got \"" + last + '"';
  }

  std::string hold(Machine& machine, const std::string& address) {
    auto socket =
        machine.host().env().network.open_udp({.bind = *Endpoint::parse(address)}, nobody_);
    if (!socket) return to_string(socket.error());
    holder_ = std::move(*socket);
    return {};
  }

  struct Nobody final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  };

  sim::World world_;
  Nobody nobody_;
  std::unique_ptr<UdpSocket> holder_;
  std::map<std::string, std::unique_ptr<Machine>> machines_;
};

}  // namespace

std::string run_scenario(const std::string& file) {
  std::vector<Step> steps;
  std::string error;
  if (!read_script(file, steps, error)) return error;
  Scenario scenario;
  for (const Step& step : steps)
    if (std::string wrong = complaint(step, scenario.run(step.text)); !wrong.empty()) return wrong;
  const std::string left = scenario.finish();
  return left.empty() ? "" : file + ": " + left;
}

}  // namespace outrider::test
