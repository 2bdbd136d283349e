// SPDX-License-Identifier: Apache-2.0
// The bridge of an agent in a simulated LAN: which instance a connection reaches, and the answer to
// a client that reaches none.
#include "agent/bridge/bridge.h"

#include <algorithm>
#include <tuple>

#include <doctest/doctest.h>

#include "agent/bridge/refusal.h"
#include "agent/doors/why.h"
#include "agent/web_listener.h"
#include "base/http/text.h"
#include "tests/agent/machine.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

constexpr std::uint16_t kFirst = 8081, kSecond = 8082;
const Endpoint kBridge = *Endpoint::parse("127.0.0.1:5380");

std::string config(const std::string& services, const std::string& web = "{}") {
  return R"({"mdns": {"provider": "off"}, "dns": {"hold": "0s"}, "web": )" + web +
         R"(, "services": [)" + services + "]}";
}
std::string checked(const std::string& id, int port) {
  return R"({"name": "hello", "id": ")" + id + R"(", "port": )" + std::to_string(port) +
         R"(, "checks": [{"http": "/health", "interval": "1s", "timeout": "500ms", )"
         R"("deregister_critical_after": "1m"}]})";
}
std::string unchecked(const std::string& name, int port) {
  return R"({"name": ")" + name + R"(", "port": )" + std::to_string(port) + "}";
}
std::string get(const std::string& host, const std::string& path = "/",
                const std::string& more = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

struct Scene {
  sim::World world{5};
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"};

  Scene() {
    a.has_bridge = true;
    for (const int port : {8081, 8082, 8083}) {
      sim::HttpServer& server = a.server(static_cast<std::uint16_t>(port));
      server.set("/health", {.body = "fine"});
      server.set("/", {.body = std::to_string(port)});
    }
  }
  void start(const std::string& text) {
    REQUIRE(a.start(text) == "");
    world.advance(3s);
  }
  Client client() { return {world, a.host().env(), kBridge}; }
  std::string ask(const std::string& request) { return client().ask(request); }
  const bridge::Bridge& bridge() { return a.agent().web()->bridge(); }
  bridge::Counters counters() { return bridge().counters(); }
  /// Heads that the service on this port was sent, but for those of its checks.
  std::vector<std::string> heads(std::uint16_t port) {
    std::vector<std::string> all = a.server(port).requests();
    std::erase_if(all, [](const std::string& head) { return head.starts_with("GET /health"); });
    return all;
  }
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

TEST_CASE("a request reaches the service that its Host names, byte for byte as it came") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  const std::string request =
      "GET / HTTP/1.1\r\nhOST:  hello.localhost:5380 \r\nX-Odd:  a  b\r\n\r\n";
  CHECK(body_of(scene.ask(request)) == "8081");
  CHECK(scene.heads(8081) == std::vector<std::string>{request});
  CHECK(body_of(scene.ask(get("hello.svc"))) == "8081");
  CHECK(body_of(scene.ask(get("h1.hello.localhost"))) == "8081");
  CHECK(scene.counters().bridged == 3);
}

TEST_CASE("a head that comes octet by octet is passed on whole") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  Client client = scene.client();
  for (const char c : get("hello.localhost"))
    client.ask({&c, 1});
  scene.world.advance(1s);
  CHECK(scene.heads(8081) == std::vector<std::string>{get("hello.localhost")});
}

TEST_CASE("connections take turns among the instances that pass") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082) + "," + checked("h3", 8083)));
  std::multiset<std::string> reached;
  for (int i = 0; i < 6; ++i)
    reached.insert(body_of(scene.ask(get("hello.localhost"))));
  CHECK(reached == std::multiset<std::string>{"8081", "8081", "8082", "8082", "8083", "8083"});
  scene.a.server(8082).set("/health", {.status = 503, .body = "db down"});
  scene.world.advance(10s);
  for (int i = 0; i < 6; ++i)
    CHECK(body_of(scene.ask(get("hello.localhost"))) != "8082");
}

TEST_CASE("every byte of requests and answers is counted, those before the relay, too") {
  Scene scene;
  scene.start(config(unchecked("hello", 8081)));
  std::size_t bytes = 0;
  for (const std::string& request :
       {get("hello.localhost"), get("hello.localhost") + get("hello.localhost"),
        get("hello.localhost", "/", "Content-Length: 2\r\n") + "ab"}) {
    Client client = scene.client();
    bytes += request.size() + client.ask(request).size();
    bytes += get("hello.localhost").size() + client.ask(get("hello.localhost")).size();
  }
  scene.world.advance(1s);
  CHECK(scene.bridge().connection_count() == 0);
  CHECK(scene.counters().bytes == bytes);
}

TEST_CASE("a kept connection stays with its instance, and pipelined requests go with it") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
  Client client = scene.client();
  const std::string first = client.ask(get("hello.localhost") + get("hello.localhost"));
  const std::string port = body_of(first).substr(0, 4);
  CHECK(first.ends_with(port));
  CHECK(has(body_of(first), "HTTP/1.1 200"));
  for (int i = 0; i < 3; ++i)
    CHECK(body_of(client.ask(get("hello.localhost"))) == port);
  CHECK(scene.counters().bridged == 1);
}

TEST_CASE("an instance that refuses is passed over, and comes last for a while") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
  scene.a.server(8081).set_listening(false);
  for (int i = 0; i < 4; ++i)
    CHECK(body_of(scene.ask(get("hello.localhost"))) == "8082");
  CHECK(scene.counters().repeated == 1);
  // What cannot be repeated was not sent yet, so it goes to the next one, too.
  const std::string answer =
      scene.ask("POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(body_of(answer) == "8082");
}

/// Where `a` and `b` both have the service, `b` with an instance that works.
struct NeighbourScene : Scene {
  explicit NeighbourScene(const std::string& web) {
    sim::HttpServer& server = b.server(8090);
    server.set("/health", {.body = "fine"});
    server.set("/", {.body = "neighbour"});
    const std::string lan = R"({"dns": {"hold": "0s"}, "web": )" + web + R"(, "services": [)";
    REQUIRE(b.start(lan + checked("h9", 8090) + "]}") == "");
    REQUIRE(a.start(lan + checked("h1", 8081) + "]}") == "");
    world.advance(5s);
  }
  std::multiset<std::string> reached(int times) {
    std::multiset<std::string> bodies;
    for (int i = 0; i < times; ++i)
      bodies.insert(body_of(ask(get("hello.localhost"))));
    return bodies;
  }
};

TEST_CASE("an instance of this host comes before those of others, unless locality is any") {
  NeighbourScene any(R"({"locality": "any"})");
  CHECK(any.reached(4) == std::multiset<std::string>{"8081", "8081", "neighbour", "neighbour"});
  for (const std::string web : {"{}", R"({"strategy": "p2c"})", R"({"strategy": "weighted"})"}) {
    CAPTURE(web);
    NeighbourScene scene(web);
    CHECK(scene.reached(4) == std::multiset<std::string>{"8081", "8081", "8081", "8081"});
    SUBCASE("if it refuses, or is critical") {
      scene.a.server(8081).set_listening(false);
      CHECK(scene.reached(2).count("neighbour") == 2);
      scene.world.advance(10s);
      CHECK(scene.reached(2).count("neighbour") == 2);
    }
    SUBCASE("if it has a warning") {
      scene.a.server(8081).set("/health", {.status = 429});
      scene.world.advance(10s);
      // p2c draws pairs, and this one has a warning in each.
      if (!has(web, "p2c")) CHECK(scene.reached(2).count("neighbour") == 2);
    }
  }
}

TEST_CASE("with strict locality, a name that is registered here leads to this host only") {
  NeighbourScene scene(R"({"locality": "strict"})");
  CHECK(scene.reached(2).count("8081") == 2);
  scene.a.server(8081).set_listening(false);
  // It refuses, is critical, and is not listed any more.
  for (const auto& [after, status, why] :
       std::vector<std::tuple<Duration, std::string, std::string>>{
           {0s, "502", "cannot be reached"}, {10s, "503", "1 is critical"}, {5min, "503", "h1"}}) {
    scene.world.advance(after);
    const std::string answer = scene.ask(get("hello.localhost"));
    CAPTURE(answer);
    CHECK(answer.starts_with("HTTP/1.1 " + status));
    CHECK(has(answer, why));
    CHECK(has(answer, "web.locality is strict") == (after > 0s));
  }
  // Who names an instance means it, and other names go anywhere.
  CHECK(body_of(scene.ask(get("h9.hello.localhost"))) == "neighbour");
  REQUIRE(scene.a.agent().remove("h1"));
  scene.world.advance(1s);
  CHECK(scene.reached(1).count("neighbour") == 1);
}

TEST_CASE("what is announced off its link, or at this host, is not followed") {
  // Only a connection to the neighbour itself is one that anybody on the link could make.
  for (const auto& [address, status] :
       std::vector<std::pair<std::string, std::string>>{{"10.0.0.2", "200"},
                                                        {"10.0.0.1", "502"},
                                                        {"192.0.2.7", "502"},
                                                        {"169.254.169.254", "502"}}) {
    CAPTURE(address);
    Scene scene;
    for (Machine* machine : {&scene.a, &scene.b})
      machine->server(8090).set("/", {.body = "inside"});
    REQUIRE(scene.b.start(R"({"services": [{"name": "rebind", "port": 8090, "address": ")" +
                          address + R"("}]})") == "");
    REQUIRE(scene.a.start(R"({"dns": {"hold": "0s"}, "services": []})") == "");
    scene.world.advance(5s);
    const std::string answer = scene.ask(get("rebind.localhost"));
    CAPTURE(answer);
    CHECK(answer.starts_with("HTTP/1.1 " + status));
    CHECK(has(answer, "at no address of the link") == (status == "502"));
  }
}

TEST_CASE("a service that speaks https is not sent http") {
  for (const auto& [web, advice] : std::vector<std::pair<std::string, std::string>>{
           {R"({"tls_listen": ["127.0.0.1:5443"]})", "open https://web.localhost:5443/"},
           {"{}", "web.tls_listen"}}) {
    Scene scene;
    scene.start(config(R"({"name": "web", "port": 8081, "protocol": "https"})", web));
    const std::string answer = scene.ask(get("web.localhost"));
    CHECK(answer.starts_with("HTTP/1.1 502 "));
    CHECK(has(answer, "speaks https"));
    CHECK(has(answer, advice));
    CHECK(scene.heads(8081).empty());
  }
}

TEST_CASE("a client that has ended its direction gets the same answer") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
  for (const std::uint16_t port : {kFirst, kSecond})
    scene.a.server(port).set("/", {.body = "late", .after = 2s});
  Client client = scene.client();
  client.send(get("hello.localhost"));
  client.finish();
  scene.world.advance(1s);
  scene.a.server(8081).set_listening(false);
  scene.a.server(8082).set_listening(false);
  scene.world.advance(3s);
  CHECK(client.take().starts_with("HTTP/1.1 502 "));
  CHECK(scene.counters().repeated == 1);
}

TEST_CASE("a request that can be repeated is, when its instance breaks before it answers") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
  for (const std::uint16_t port : {kFirst, kSecond})
    scene.a.server(port).set("/", {.body = std::to_string(port), .after = 2s});
  Client client = scene.client();
  client.ask(get("hello.localhost"));
  const bool at_2 = scene.heads(8081).empty();
  const std::uint16_t first = at_2 ? kSecond : kFirst;
  scene.a.server(first).set_listening(false);
  scene.world.advance(3s);
  CHECK(body_of(client.take()) == (at_2 ? "8081" : "8082"));
}

TEST_CASE("what may have had an effect is not repeated: the client gets 502, or sees the break") {
  const std::string head = "POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: ";
  const std::string most(bridge::kWaitingBytesMax, 'x');
  for (const auto& [first, later, told] : std::vector<std::tuple<std::string, std::string, bool>>{
           {head + "0\r\n\r\n", "", true},
           {head + "2\r\n\r\nhi", "", true},
           {head + "4\r\n\r\nhi", "", true},
           {get("hello.localhost"), get("hello.localhost"), true},
           {head + "100000\r\n\r\n", most, true},
           {head + "100000\r\n\r\n", most + 'x', false}}) {
    CAPTURE(first);
    CAPTURE(later.size());
    Scene scene;
    scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
    for (const std::uint16_t port : {kFirst, kSecond})
      scene.a.server(port).set("/", {.body = "late", .after = 2s});
    Client client = scene.client();
    client.ask(first);
    if (!later.empty()) client.ask(later);
    scene.a.server(8081).set_listening(false);
    scene.a.server(8082).set_listening(false);
    scene.world.advance(3s);
    const std::string answer = client.take();
    CHECK(client.ended());
    CHECK(answer.empty() == !told);
    if (told) {
      CHECK(answer.starts_with("HTTP/1.1 502 "));
      CHECK(has(answer, "was lost before it answered"));
    }
    CHECK(scene.counters().repeated == 0);
    client.close();
    scene.world.advance(1s);
    CHECK(scene.bridge().connection_count() == 0);
  }
}

TEST_CASE("an instance that stops answering loses its requests as it becomes critical") {
  Scene scene;
  scene.start(config(checked("h1", 8081) + "," + checked("h2", 8082)));
  for (const std::uint16_t port : {kFirst, kSecond})
    scene.a.server(port).set("/", {.body = std::to_string(port), .after = 1min});
  Client client = scene.client();
  client.ask(get("hello.localhost"));
  const bool at_2 = scene.heads(8081).empty();
  const std::uint16_t first = at_2 ? kSecond : kFirst;
  const std::uint16_t second = at_2 ? kFirst : kSecond;
  scene.a.server(second).set("/", {.body = std::to_string(second)});
  scene.a.server(first).set("/health", {.after = 1min});
  scene.world.advance(10s);
  CHECK(body_of(client.take()) == std::to_string(second));
}

TEST_CASE("an agent that ends takes no new connection, and waits for requests, but not for long") {
  for (const auto& [after, comes] : {std::pair{kWebEnd / 2, true}, std::pair{2 * kWebEnd, false}}) {
    CAPTURE(comes);
    Scene scene;
    scene.a.server(8081).set("/", {.body = "8081", .after = after});
    scene.start(config(checked("h1", 8081)));
    Client client = scene.client();
    client.send(get("hello.localhost"));
    scene.world.advance(10ms);
    scene.a.agent().stop([] {});
    scene.a.agent().hurry();
    const auto begun = scene.world.now();
    scene.world.advance(10ms);
    const Client late = scene.client();
    CHECK(scene.counters().accepted == 1);
    scene.world.run_until([&] { return scene.a.agent().web() == nullptr; }, 10s);
    CHECK(scene.world.now() - begun <= kWebEnd + 100ms);
    CHECK((body_of(client.take()) == "8081") == comes);
  }
}

TEST_CASE("the end of one side is carried to the other") {
  Scene scene;
  scene.a.server(8081).set("/", {.body = "bye", .close = true});
  scene.start(config(checked("h1", 8081)));
  Client client = scene.client();
  CHECK(body_of(client.ask(get("hello.localhost"))) == "bye");
  CHECK(client.ended());
  client.finish();
  scene.world.advance(1s);
  CHECK(scene.bridge().connection_count() == 0);
  CHECK(scene.a.server(8081).connections() == 0);
}

TEST_CASE("a client that leaves takes its connection to the instance with it") {
  Scene scene;
  scene.a.server(8081).set("/slow", {.body = "late", .after = 1min});
  scene.start(config(checked("h1", 8081)));
  const std::size_t before = scene.a.server(8081).connections();
  Client waiting = scene.client();
  waiting.ask(get("hello.localhost", "/slow"));
  CHECK(scene.a.server(8081).connections() == before + 1);
  waiting.close();
  scene.world.advance(1s);
  CHECK(scene.a.server(8081).connections() == before);
  CHECK(scene.bridge().connection_count() == 0);
}

TEST_CASE("an instance of another host is reached, and its loss is reported") {
  Scene scene;
  scene.b.server(9000).set("/", {.body = "from b"});
  REQUIRE(scene.b.start(R"({"services": [{"name": "far", "port": 9000}]})") == "");
  REQUIRE(scene.a.start("{}") == "");
  scene.world.advance(5s);
  CHECK(body_of(scene.ask(get("far.localhost"))) == "from b");
}

TEST_CASE("a service of the LAN that was never asked for is found by the first request") {
  Scene scene;
  scene.b.server(9000).set("/", {.body = "from b"});
  REQUIRE(scene.a.start("{}") == "");
  scene.world.advance(20s);
  REQUIRE(scene.b.start(R"({"services": [{"name": "far", "port": 9000}],
                            "mdns": {"browse": []}})") == "");
  scene.world.advance(5s);
  Client client = scene.client();
  client.send(get("far.localhost"));
  scene.world.advance(1s);
  CHECK(body_of(client.take()) == "from b");
}

TEST_CASE("with port 80, names that ask for it have the address of the bridge in DNS") {
  Scene scene;
  const std::string services =
      checked("h1", 8081) + "," + unchecked("plain", 8082) +
      R"(,{"name": "asking", "port": 8083, "metadata": {"bridge": "true"}})";
  scene.start(config(services, R"({"listen": ["127.0.0.1:80"], "names": ["Hello"]})"));
  CHECK(scene.a.ask("hello.svc", dns::RrType::a).text() == "NOERROR 127.0.0.1");
  CHECK(scene.a.ask("asking.svc", dns::RrType::a).text() == "NOERROR 127.0.0.1");
  CHECK(scene.a.ask("plain.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  CHECK(scene.a.ask("h1.hello.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  CHECK(scene.a.ask("hello.svc", dns::RrType::srv).answers ==
        std::multiset<std::string>{"100 8081 h1.hello.svc"});
  Client client(scene.world, scene.a.host().env(), *Endpoint::parse("127.0.0.1:80"));
  CHECK(body_of(client.ask(get("hello.svc"))) == "8081");
  const std::string why = doors::explain(scene.a.agent(), "hello").json;
  CHECK(has(why, "Its address is that of the bridge on this host"));
  CHECK(has(why, R"("A":["127.0.0.1"])"));
  // None passes: the name has no address, as ever.
  scene.a.server(8081).set("/health", {.status = 503});
  scene.world.advance(10s);
  CHECK(scene.a.ask("hello.svc", dns::RrType::a).text() == "NODATA");
}

TEST_CASE("without port 80 every name has the addresses of its instances") {
  Scene scene;
  std::optional<sim::HttpServer> other(std::in_place, scene.a.host().env(), std::uint16_t{80});
  scene.start(config(checked("h1", 8081), R"({"listen": ["127.0.0.1:80"], "names": ["*"]})"));
  CHECK(scene.a.ask("hello.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  other.reset();
  scene.world.advance(kWebRetry + 1s);
  CHECK(scene.a.ask("hello.svc", dns::RrType::a).text() == "NOERROR 127.0.0.1");
  CHECK(has(scene.a.start(config("", R"({"names": ["-a"]})")), "expected names of services"));
}

// --- What cannot be reached -------------------------------------------------------------------

TEST_CASE("an unknown service is 404, with the name that is nearest") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  const std::string answer = scene.ask(get("helo.localhost"));
  CHECK(status_of(answer) == "404");
  CHECK(has(answer, "Did you mean hello?"));
  CHECK(status_of(scene.ask(get("red._tag.hello.localhost"))) == "404");
  CHECK(status_of(scene.ask(get("box.local.localhost"))) == "404");
}

TEST_CASE("a service none of whose instances passes is 503, with the reasons of why") {
  Scene scene;
  scene.a.server(8081).set("/health", {.status = 503, .body = "db down"});
  scene.start(config(checked("h1", 8081)));
  scene.world.advance(10s);
  const std::string answer = scene.ask(get("hello.localhost", "/", "Accept: application/json\r\n"));
  CHECK(status_of(answer) == "503");
  CHECK(has(answer, "no address now"));
  CHECK(has(answer, R"("id":"h1","reason":"not in the answer: )"));
  CHECK(has(answer, "db down"));
  CHECK(has(scene.ask(get("hello.localhost", "/", "Accept: text/html\r\n")), "<dt>h1</dt>"));
}

TEST_CASE("a service all of whose instances refuse is 502, with what was tried") {
  Scene scene;
  scene.start(config(unchecked("web", 9001) + "," + unchecked("web", 9002)));
  const std::string answer = scene.ask(get("web.localhost"));
  CHECK(status_of(answer) == "502");
  CHECK(has(answer, "none of the 2 instances of web that were tried can be reached"));
  CHECK(has(answer, ":9001: "));
  CHECK(has(answer, ":9002: "));
}

TEST_CASE("no more than kAttemptsMax instances are tried") {
  Scene scene;
  std::string services;
  for (int i = 0; i < 12; ++i)
    services += (i == 0 ? "" : ",") + unchecked("web", 9001 + i);
  scene.start(config(services));
  const std::string answer = scene.ask(get("web.localhost"));
  CHECK(has(answer, "none of the 8 instances"));
  CHECK(scene.counters().repeated == bridge::kAttemptsMax - 1);
}

TEST_CASE("an instance that does not answer the connection is given up, the last one later") {
  Scene scene;
  scene.a.host().set_fault(9001, {.kind = sim::Fault::Kind::black_hole});
  scene.start(config(unchecked("web", 9001)));
  Client client = scene.client();
  client.send(get("web.localhost"));
  scene.world.advance(bridge::kLastConnectTime - 1s);
  CHECK(client.take().empty());
  scene.world.advance(2s);
  CHECK(has(client.take(), "it does not answer"));
}

TEST_CASE("a Host that is no service is 421, whatever points to this address") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  for (const char* host : {"evil.example", "10.0.0.1", "hello", "hello.svc.evil.example"}) {
    const std::string answer = scene.ask(get(host));
    CHECK(status_of(answer) == "421");
    CHECK(has(answer, "NAME.localhost or NAME.svc"));
  }
  CHECK(status_of(scene.ask("GET / HTTP/1.0\r\n\r\n")) == "421");
  CHECK(scene.heads(8081).empty());
}

TEST_CASE("heads that are malformed, too long or late are 400, 431 and 408") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  CHECK(status_of(scene.ask("GET / HTTP/1.1\r\n\r\n")) == "400");
  CHECK(status_of(scene.ask("GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\n\r\n")) ==
        "400");
  CHECK(status_of(scene.ask("GET http://hello.localhost/ HTTP/1.1\r\nHost: x\r\n\r\n")) == "400");
  CHECK(has(scene.ask("CONNECT hello.localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
            "the bridge passes on every registered method but CONNECT"));
  CHECK(status_of(scene.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) != "200");
  const std::string padding(http::kHeadBytesMax, 'x');
  CHECK(status_of(scene.ask(get("hello.localhost", "/", "X: " + padding + "\r\n"))) == "431");
  const std::string fits(http::kHeadBytesMax - get("hello.localhost", "/", "X: \r\n").size(), 'x');
  CHECK(status_of(scene.ask(get("hello.localhost", "/", "X: " + fits + "\r\n"))) == "200");
  Client late = scene.client();
  late.send("GET / HT");
  scene.world.advance(bridge::kHeadTime - 1s);
  CHECK(late.take().empty());
  scene.world.advance(2s);
  CHECK(status_of(late.take()) == "408");
  Client silent = scene.client();
  scene.world.advance(bridge::kHeadTime + 1s);
  CHECK(silent.take().empty());
  CHECK(silent.ended());
}

TEST_CASE("methods, versions and bodies that the agent itself does not serve are passed on") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  for (const char* head : {"PROPFIND / HTTP/1.1", "DELETE / HTTP/1.0", "OPTIONS * HTTP/1.1"})
    scene.ask(std::string(head) + "\r\nHost: hello.localhost\r\n\r\n");
  scene.ask(
      "PUT / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: 9999999999\r\n"
      "Expect: 100-continue\r\n\r\n");
  scene.ask("POST / HTTP/1.1\r\nHost: hello.localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
  CHECK(scene.heads(8081).size() == 5);
}

TEST_CASE("a service that is registered at the address of the bridge is 508, not a loop") {
  Scene scene;
  scene.start(config(unchecked("hello", 5380)));
  scene.world.advance(1s);
  const std::string answer = scene.ask(get("hello.localhost"));
  // Its address on the LAN is none of the listener's, which is on loopback only.
  CHECK((status_of(answer) == "508" || status_of(answer) == "502"));
  CHECK(scene.bridge().connection_count() <= 2);
}

TEST_CASE("with web.allow_remote a bridge on all addresses knows itself by each of them") {
  Scene scene;
  scene.start(
      config(unchecked("hello", 5380), R"({"listen": "0.0.0.0:5380", "allow_remote": true})"));
  CHECK(status_of(scene.ask(get("hello.localhost"))) == "508");
}

TEST_CASE("an instance that does not answer costs kConnectTime while another one is left") {
  Scene scene;
  for (const std::uint16_t port : {std::uint16_t{9001}, std::uint16_t{9002}})
    scene.a.host().set_fault(port, {.kind = sim::Fault::Kind::black_hole});
  scene.start(
      config(unchecked("web", 9001) + "," + unchecked("web", 9002) + "," + unchecked("web", 8081)));
  // Each of them may be the first one.
  for (int i = 0; i < 3; ++i) {
    Client client = scene.client();
    client.send(get("web.localhost"));
    scene.world.advance(2 * bridge::kConnectTime + 100ms);
    CHECK(body_of(client.take()) == "8081");
  }
}

TEST_CASE("of a service with very many instances, kLinesMax are listed") {
  Scene scene;
  std::string services;
  for (int i = 0; i < 40; ++i)
    services += (i == 0 ? "" : ",") + checked("h" + std::to_string(i), 9001 + i);
  scene.start(config(services));
  const std::string answer = scene.ask(get("hello.localhost", "/", "Accept: application/json\r\n"));
  CHECK(status_of(answer) == "503");
  std::size_t lines = 0;
  for (std::size_t at = answer.find("\"id\""); at != answer.npos;
       at = answer.find("\"id\"", at + 1))
    ++lines;
  CHECK(lines == bridge::kLinesMax);
}

// --- Limits -----------------------------------------------------------------------------------

TEST_CASE("one client of the LAN gets kConnectionsPerClient connections") {
  Scene scene;
  scene.start(config(checked("h1", 8081), R"({"listen": "0.0.0.0:5380", "allow_remote": true})"));
  const Endpoint far = *Endpoint::parse("10.0.0.1:5380");
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < bridge::kConnectionsPerClient; ++i)
    clients.push_back(std::make_unique<Client>(scene.world, scene.b.host().env(), far));
  Client one_more(scene.world, scene.b.host().env(), far);
  CHECK(status_of(one_more.ask(get("hello.localhost"))) == "503");
  CHECK(body_of(scene.ask(get("hello.localhost"))) == "8081");
  clients.front()->close();
  scene.world.advance(bridge::kLinger + 1s);
  Client again(scene.world, scene.b.host().env(), far);
  CHECK(status_of(again.ask(get("hello.localhost"))) == "200");
}

/// A bridge for few connections, at a port of its own.
struct SmallBridge final : Listener::Sink {
  static constexpr std::size_t kMost = 4;
  explicit SmallBridge(Scene& scene)
      : host(scene.a.host()),
        bridge(host.env(), scene.a.agent(), copy_relays(host.env()), {.connections_max = kMost}),
        listener(host.env().network.listen({.on = port}, *this).value()) {}
  void on_accept(std::unique_ptr<Stream> stream) override {
    bridge.accept(std::move(stream), bridge::Entrance::http);
  }
  std::vector<std::unique_ptr<Client>> clients(Scene& scene, std::size_t count) {
    std::vector<std::unique_ptr<Client>> made;
    for (std::size_t i = 0; i < count; ++i)
      made.push_back(std::make_unique<Client>(scene.world, host.env(), port));
    return made;
  }

  const Endpoint port = *Endpoint::parse("127.0.0.1:5381");
  sim::Host& host;
  bridge::Bridge bridge;
  std::unique_ptr<Listener> listener;
};

TEST_CASE("beyond the limit connections are refused, and beyond kRefusedMax closed") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  CHECK(bridge::Options{}.connections_max == bridge::kConnectionsMax);
  SmallBridge small(scene);
  auto used = small.clients(scene, SmallBridge::kMost);
  for (const auto& client : used)
    CHECK(body_of(client->ask(get("hello.localhost"))) == "8081");
  auto more = small.clients(scene, bridge::kRefusedMax + 1);
  scene.world.advance(10ms);
  CHECK(small.bridge.connection_count() == SmallBridge::kMost + bridge::kRefusedMax);
  CHECK(has(more.front()->take(), "the bridge has 4 connections, and takes no more"));
  CHECK(more.back()->ended());
  CHECK(more.back()->take().empty());
  CHECK(body_of(used.front()->ask(get("hello.localhost"))) == "8081");
  used.clear();
  more.clear();
  scene.world.advance(1s);
  CHECK(small.bridge.connection_count() == 0);
}

TEST_CASE("connections that send no head, or half of one, keep no other client out") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  SmallBridge small(scene);
  auto silent = small.clients(scene, 3 * SmallBridge::kMost);
  for (const auto& client : silent)
    client->send("GET / HTTP/1.1\r\nX: ");
  scene.world.advance(10ms);
  CHECK(small.bridge.connection_count() == SmallBridge::kMost);
  auto used = small.clients(scene, SmallBridge::kMost);
  for (const auto& client : used)
    CHECK(body_of(client->ask(get("hello.localhost"))) == "8081");
  CHECK(std::ranges::all_of(silent, [](const auto& client) { return client->ended(); }));
  CHECK(small.bridge.counters().refused[5] == 3 * SmallBridge::kMost);
}

TEST_CASE("a connection without a byte for kIdleTime is closed, one with a byte now and then not") {
  Scene scene;
  scene.start(config(unchecked("hello", 8081)));
  Client idle = scene.client(), busy = scene.client();
  idle.ask(get("hello.localhost"));
  busy.ask(get("hello.localhost"));
  for (Duration passed{}; passed < bridge::kIdleTime + 2 * bridge::kIdleLook; passed += 30min) {
    scene.world.advance(30min);
    busy.ask(get("hello.localhost"));
  }
  CHECK(idle.ended());
  CHECK_FALSE(busy.ended());
  CHECK(scene.counters().idle == 1);
}

TEST_CASE("what is remembered of names and of failures is bounded") {
  Scene scene;
  scene.start(config(unchecked("web", 8081) + "," + unchecked("web", 8082)));
  bridge::Targets targets(scene.a.host().env(), scene.a.agent(), registry::Strategy::round_robin,
                          registry::Locality::prefer);
  const auto next = [&] { return targets.next("web", {}, {}).value().endpoint; };
  const Endpoint failed = next();
  targets.shun(failed);
  CHECK(next() != failed);
  CHECK(next() != failed);
  for (std::size_t i = 0; i < bridge::kShunnedMax; ++i)
    targets.shun({*IpAddress::parse("10.9.9.9"), static_cast<std::uint16_t>(1 + i)});
  const Endpoint first = next(), second = next();
  CHECK((first == failed || second == failed));
  for (std::size_t i = 0; i <= bridge::kNamesKeptMax; ++i)
    CHECK_FALSE(targets.next("other-" + std::to_string(i), {}, {}));
  CHECK(targets.next("web", {}, {}));
}

TEST_CASE("a port that another program has is tried again, less and less often") {
  Scene scene;
  std::optional<sim::HttpServer> other(std::in_place, scene.a.host().env(), std::uint16_t{5380});
  scene.start(config(checked("h1", 8081)));
  CHECK(scene.a.host().log().count("web_listen_failed") == 1);
  scene.world.advance(10min);
  CHECK(scene.a.host().log().count("web_listen_failed") == 1);
  other.reset();
  scene.world.advance(kWebRetryMax);
  CHECK(scene.a.host().log().count("web_listening") == 1);
  CHECK(body_of(scene.ask(get("hello.localhost"))) == "8081");
}

TEST_CASE("a port is taken over soon after another agent of the host has ended") {
  Scene scene;
  std::optional<sim::HttpServer> other(std::in_place, scene.a.host().env(), std::uint16_t{5380});
  scene.start(config(checked("h1", 8081)));
  scene.world.advance(10min);
  registry::Instance instance = *scene.a.agent().registry().instances("hello").front();
  const auto leave = [&](registry::Source source) {
    instance.source = source;
    registry::Changes changes;
    changes.list.push_back(
        {.before = std::make_shared<const registry::Instance>(instance), .after = nullptr});
    scene.a.agent().web()->on_changes(changes);
  };
  leave(registry::Source::own);
  other.reset();
  scene.world.advance(1s);
  CHECK(scene.a.host().log().count("web_listening") == 0);
  leave(registry::Source::host);
  scene.world.advance(kWebTakeOver);
  CHECK(scene.a.host().log().count("web_listening") == 1);
}

TEST_CASE("the bridge is off by [], and an address of the LAN needs web.allow_remote") {
  Scene scene;
  CHECK(has(scene.a.start(config("", R"({"listen": "10.0.0.1:5380"})")),
            "expected a loopback address"));
  REQUIRE(scene.a.start(config("", R"({"listen": []})")) == "");
  CHECK(scene.a.agent().web() == nullptr);
}

TEST_CASE("localhost is the page, with the bytes that were read already") {
  Scene scene;
  scene.start(config(checked("h1", 8081)));
  CHECK(status_of(scene.ask(get("localhost:5380"))) == "404");
  std::string seen;
  scene.a.agent().web()->bridge().set_page(
      [&](std::unique_ptr<Stream>, Bytes read) { seen = as_text(read); });
  scene.ask(get("127.0.0.1:5380", "/x"));
  CHECK(seen == get("127.0.0.1:5380", "/x"));
  CHECK(scene.counters().pages == 2);
}

}  // namespace
}  // namespace outrider::test
