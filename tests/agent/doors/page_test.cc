// SPDX-License-Identifier: Apache-2.0
// The status page as the server sends it: who gets it, its tables without JavaScript, its policy;
// and the routes that exist for it.
#include "agent/doors/page/page.h"

#include <doctest/doctest.h>

#include "agent/doors/page/html.h"
#include "agent/doors/page_html.h"
#include "base/qr.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kBrowser = "text/html,application/xhtml+xml,*/*;q=0.8";

std::string ask_as(ApiFixture& f, std::string_view accept, std::string_view target,
                   std::string_view method = "GET") {
  return Client(f.world).ask(http::write_request(method, target, "localhost",
                                                 {{"Accept", std::string(accept)}}, {}, true));
}
std::string page_of(ApiFixture& f, std::string_view target) {
  const std::string answer = ask_as(f, kBrowser, target);
  CHECK(status_of(answer) == "200");
  return body_of(answer);
}
/// The part that is shown without JavaScript.
std::string tables_of(const std::string& page) {
  const std::size_t begin = page.find("<noscript>"), end = page.find("</noscript>");
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  return page.substr(begin, end - begin);
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a browser gets the page, programs get JSON, from the same path") {
  ApiFixture f;
  CHECK(has(page_of(f, "/"), "<!doctype html>"));
  CHECK(has(body_of(ask_as(f, "*/*", "/")), "\"openapi\""));
  CHECK(has(body_of(ask_as(f, "application/json", "/")), "\"openapi\""));
  CHECK(has(body_of(ask_as(f, "application/json, text/html;q=0.5", "/")), "\"openapi\""));
  CHECK(has(body_of(ask_as(f, "text/html;q=0, */*", "/")), "\"openapi\""));
  CHECK(has(body_of(ask_as(f, "application/json;q=0.9, text/html", "/")), "<!doctype html>"));
  for (const std::string accept : {kBrowser, "*/*"})
    CHECK(has(ask_as(f, accept, "/"), "Vary: Accept"));
  CHECK(status_of(ask_as(f, kBrowser, "/", "HEAD")) == "200");
  CHECK(status_of(ask_as(f, kBrowser, "/", "PUT")) == "405");
}

TEST_CASE("a name is a page for browsers, and never hides a path of the API") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":80})");
  CHECK(has(page_of(f, "/hello"), "<!doctype html>"));
  CHECK(has(page_of(f, "/nobody"), "<!doctype html>"));
  CHECK(status_of(ask_as(f, "*/*", "/nobody")) == "404");
  CHECK(status_of(ask_as(f, kBrowser, "/hello", "PUT")) == "404");
  CHECK(status_of(ask_as(f, kBrowser, "/hello/more")) == "404");
  CHECK(status_of(ask_as(f, kBrowser, "/v1/outrider/nothing")) == "404");
  CHECK(body_of(ask_as(f, kBrowser, "/healthz")) == "ok\n");
  CHECK(has(ask_as(f, kBrowser, "/v1/outrider/status"), "application/json"));
}

TEST_CASE("a name is the words of why to curl, and their JSON to programs that ask for it") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503: \x1b[2J");
  f.agent.see("web", "web-2", "192.168.1.20", 90);
  const std::string answer = ask_as(f, "*/*", "/web");
  CHECK(status_of(answer) == "200");
  CHECK(has(answer, "text/plain"));
  CHECK(has(answer, "Vary: Accept"));
  const std::string text = body_of(answer);
  CHECK(text.starts_with("web.svc answers with 1 of 2 known instances.\n"));
  CHECK(has(text, "\n  web-1  192.168.1.10:81  not in the answer: critical for "));
  CHECK(has(text, "HTTP 503: \\x1b[2J\n"));
  CHECK(has(text, "\n  web-2  192.168.1.20:90  in the answer: announced as healthy\n"));
  const std::string json = ask_as(f, "application/json", "/web");
  CHECK(has(json, "Content-Type: application/json"));
  CHECK(body_of(json).starts_with(R"({"service":"web","known":true,)"));
  CHECK(status_of(ask_as(f, "*/*", "/web", "PUT")) == "404");
}

TEST_CASE("the lines of text have a limit, and say how many they leave out") {
  ApiFixture f;
  for (std::size_t i = 0; i <= page::kStaticInstancesMax; ++i)
    f.agent.see("web", "web-" + std::to_string(i), "192.168.1.20",
                static_cast<std::uint16_t>(1'000 + i));
  CHECK(body_of(ask_as(f, "*/*", "/web")).ends_with("\n  and 1 more instance\n"));
}

TEST_CASE("its policy allows its own script and style, and nothing of anyone else") {
  ApiFixture f;
  const std::string answer = ask_as(f, kBrowser, "/");
  const std::string head = answer.substr(0, answer.find("\r\n\r\n"));
  CHECK(has(head, "Content-Type: text/html; charset=utf-8"));
  CHECK(has(head, "Content-Security-Policy: default-src 'self'; script-src 'sha256-"));
  CHECK(has(head, "; style-src 'sha256-"));
  CHECK(has(head, "frame-ancestors 'none'"));
  CHECK_FALSE(has(head, "unsafe"));
  CHECK(has(head, "X-Frame-Options: DENY"));
  CHECK(has(head, "X-Content-Type-Options: nosniff"));
  CHECK(has(head, "Referrer-Policy: no-referrer"));
  CHECK(has(head, "Cache-Control: no-store"));
}

TEST_CASE("the page is one file of at most 60 kB that makes no markup and loads nothing") {
  const std::string page(page::kPage);
  CHECK(page.size() <= 60'000);
  for (const std::string what :
       {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " src=\"http",
        "@import", "url(", "<link rel=\"stylesheet", " onclick=", "localStorage"})
    CHECK_MESSAGE(!has(page, what), what);
}

TEST_CASE("without JavaScript: what fails comes first, with the reason and the count") {
  ApiFixture f;
  CHECK(has(tables_of(page_of(f, "/")), "No service is known yet."));
  f.put(R"({"name":"fine","id":"fine-1","port":80})");
  CHECK(has(tables_of(page_of(f, "/")), "All of 1 service is served."));
  CHECK(has(tables_of(page_of(f, "/")), "<td>no check</td>"));
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.put(R"({"name":"half","id":"half-1","port":82,"checks":[{"http":"/"}]})");
  f.put(R"({"name":"half","id":"half-2","port":83})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503: no <db>\nmore");
  f.agent.set_check("half-1", "http", CheckHealth::critical, "HTTP 500");
  const std::string tables = tables_of(page_of(f, "/"));
  CHECK(has(tables, "1 service of 3 is not served."));
  const std::size_t web = tables.find(">web</a>"), half = tables.find(">half</a>"),
                    fine = tables.find(">fine</a>");
  CHECK(web < half);
  CHECK(half < fine);
  CHECK(fine != std::string::npos);
  CHECK(has(tables,
            "<td class=bad>NOT SERVED</td><td><a href=\"/?service=web\">web</a></td>"
            "<td>0 of 1</td>"));
  CHECK(has(tables, "web-1: critical, HTTP 503: no &lt;db&gt;</td>"));
  CHECK(has(tables, "<td>1 of 2</td>"));
  f.agent.set_check("half-1", "http", CheckHealth::passing, "");
  CHECK(has(tables_of(page_of(f, "/")), "<td>no check of 1 of 2</td>"));
  ApiFixture other;
  other.agent.see("far", "far-1", "192.168.1.20", 90);
  CHECK_FALSE(has(tables_of(page_of(other, "/")), "no check"));
}

TEST_CASE("what has been critical for too long still fails on the page and in the list") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.put(R"({"name":"fine","id":"fine-1","port":80})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503");
  f.world.advance(61s);
  f.agent.expire();
  REQUIRE(f.agent.registry().instances("web").empty());
  const std::string tables = tables_of(page_of(f, "/"));
  CHECK(has(tables, "1 service of 2 is not served."));
  CHECK(has(tables, "<td>0 of 1</td>"));
  CHECK(has(tables, "web-1: critical, HTTP 503</td>"));
  CHECK(has(body_of(ask_as(f, "*/*", "/web")), "critical for more than 1m, check http: HTTP 503"));
  const json::Value services = f.get("/v1/outrider/services");
  CHECK(at(services, "services/1/name") == "web");
  CHECK(at(services, "services/1/instances") == "0");
  CHECK(at(services, "services/1/dropped") == "1");
}

TEST_CASE("watch: what is critical for too long is removed, and marked while it is registered") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503");
  Client all(f.world);
  all.ask(ApiFixture::request("GET", "/v1/outrider/watch"));
  f.world.advance(61s);
  f.agent.expire();
  f.world.advance(1ms);
  CHECK(all.take().find(R"("kind":"removed","dropped":true,"instance":{"id":"web-1")") !=
        std::string::npos);
  Client other(f.world);
  std::string text = other.ask(ApiFixture::request("GET", "/v1/outrider/watch/web"));
  CHECK(text.find(R"("instances":[],"dropped":[{"id":"web-1")") != std::string::npos);
  Client elsewhere(f.world);
  text = elsewhere.ask(ApiFixture::request("GET", "/v1/outrider/watch/other"));
  CHECK(text.find("web-1") == std::string::npos);
  f.ask("PUT", "/v1/outrider/deregister/web-1");
  CHECK(all.take().find(R"("changes":[],"ended":[{"id":"web-1")") != std::string::npos);
  CHECK(elsewhere.take().empty());
}

TEST_CASE("without JavaScript: a service with what DNS answers, in the words of why") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503");
  f.agent.see("web", "web-2", "192.168.1.20", 90);
  const std::string tables = tables_of(page_of(f, "/web"));
  CHECK(has(tables_of(page_of(f, "/?service=web")), "web.svc answers with 1 of 2"));
  CHECK(has(tables, "web.svc answers with 1 of 2 known instances."));
  CHECK(has(tables, "<td>web.svc</td><td>NOERROR</td><td>5s</td><td>192.168.1.20</td>"));
  CHECK(has(tables, "<td>not in the answer: critical for "));
  CHECK(has(tables, "check http: HTTP 503</td>"));
  CHECK(
      has(tables, "<td>in the answer: announced as healthy</td><td>192.168.1.20</td><td>90</td>"));
  CHECK(has(tables_of(page_of(f, "/wep")), "Did you mean web?"));
}

TEST_CASE("without JavaScript: the HTTPS records of a service that speaks https") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":443,"protocol":"https"})");
  CHECK(has(tables_of(page_of(f, "/web")),
            "<td>1 web.svc port=443, 1 web-1.web.svc port=443 ipv4hint=192.168.1.10</td>"));
}

TEST_CASE("the tables have a limit, and say how many they leave out") {
  ApiFixture f;
  for (std::size_t i = 0; i < page::kStaticServicesMax + 5; ++i)
    f.agent.see("s" + std::to_string(i), "i" + std::to_string(i), "192.168.1.20", 90);
  Client client(f.world);
  client.send(http::write_request("GET", "/", "localhost", {{"Accept", kBrowser}}, {}, true));
  f.world.advance(1s);  // a portion in each turn
  const std::string tables = tables_of(body_of(client.take()));
  CHECK(has(tables, "All of 1,005 services are served."));
  CHECK(has(tables, "and 5 more: <code>outrider services</code>"));
  for (std::size_t i = 0; i < page::kStaticInstancesMax + 3; ++i)
    f.agent.see("many", "m" + std::to_string(i), "192.168.1.20", 90);
  client.send(http::write_request("GET", "/many", "localhost", {{"Accept", kBrowser}}, {}, true));
  f.world.advance(1s);
  CHECK(has(tables_of(body_of(client.take())), "and 3 more: <code>outrider why</code>"));
}

TEST_CASE("names and texts of the network are inert in the page") {
  CHECK(page::html_text("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;");
  CHECK(page::html_text("a\"b'c&d") == "a&quot;b&#39;c&amp;d");
  CHECK(page::html_text("\x1b[31mred\x07") == "[U+001B][31mred[U+0007]");
  CHECK(page::html_text("\u202egnp.exe\u2066\u200b\u009b\ufeff") ==
        "[U+202E]gnp.exe[U+2066][U+200B][U+009B][U+FEFF]");
  CHECK(page::html_text("süß 東京 🚀") == "süß 東京 🚀");
  CHECK(page::html_text("\xff\xc3<\xe2\x80") == "\xff\xc3&lt;\xe2\x80");
  CHECK(page::html_text(std::string_view("a\0b", 3)) == "a[U+0000]b");

  ApiFixture f;
  f.agent.see("evil", "<script>alert(1)</script>", "192.168.1.20", 90, registry::Health::critical);
  f.agent.see("evil", "</noscript><img src=x>", "192.168.1.21", 91);
  f.put(R"({"name":"evil","id":"evil-1","port":81,"checks":[{"http":"/"}]})");
  f.agent.set_check("evil-1", "http", CheckHealth::critical, "\x1b]0;x\x07\u202e<b>");
  for (const std::string target : {"/", "/evil", "/%3Cscript%3Ealert(1)%3Cb%3E",
                                   "/?service=%22%3E%3C/noscript%3E%3Cscript%3E"}) {
    const std::string page = page_of(f, target);
    const std::string tables = tables_of(page);
    for (const std::string_view what :
         {"<script>alert", "<img src=x", "<b>", "\x1b", "\x07", "\u202e"})
      CHECK_MESSAGE(!has(page, what), target);
    CHECK(has(page.substr(page.find("</noscript>")), "<script>\n'use strict';"));
    CHECK_FALSE(has(tables, "\"><"));
  }
}

TEST_CASE("the page may change things without asking only where its socket is guarded") {
  ApiFixture f;
  CHECK(has(page_of(f, "/"), "<body data-access=\"open\">"));
  http::ServerOptions options;
  options.on = *Endpoint::parse("127.0.0.1:8500");
  http::Server port(f.world.env(), options, *f.api);
  REQUIRE(port.start().has_value());
  const std::string answer =
      Client(f.world, *Endpoint::parse("127.0.0.1:8500"))
          .ask(http::write_request("GET", "/", "localhost:8500", {{"Accept", kBrowser}}, {}, true));
  CHECK(has(answer, "<body data-access=\"token\">"));
}

TEST_CASE("outcomes, activity and probing now are asked of the agent") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"checks":[{"http":"/"}]})");
  f.agent.see("seen", "seen-1", "192.168.1.20", 90);
  f.agent.report.ticks = {{f.world.wall(), false, "fail_timeout", 2s},
                          {f.world.wall() - 1s, true, "pass", 1500us}};
  f.agent.median = 1500us;
  f.agent.asked_table["web"] = {7, f.world.wall(), *IpAddress::parse("10.0.0.7")};
  const json::Value probes = f.get("/v1/outrider/probes/web-1");
  CHECK(at(probes, "checks/0/median_ms") == "1.5");
  CHECK(at(probes, "checks/0/outcomes/0/kind") == "fail_timeout");
  CHECK(at(probes, "checks/0/outcomes/1/latency_ms") == "1.5");
  CHECK(f.status("GET", "/v1/outrider/probes/nobody") == "404");
  const json::Value activity = f.get("/v1/outrider/activity");
  CHECK(at(activity, "services/0/label") == "seen");
  CHECK(at(activity, "services/0/asked") == "<none>");
  CHECK(at(activity, "services/0/asked_by") == "<none>");
  CHECK(at(activity, "services/0/probe_ms") == "<none>");
  CHECK(at(activity, "services/1/queries") == "7");
  CHECK(at(activity, "services/1/probe_ms") == "1.5");
  CHECK(at(activity, "services/1/asked") != "<none>");
  CHECK(at(activity, "services/1/asked_by") == "10.0.0.7");
  CHECK(f.status("PUT", "/v1/outrider/probe/web-1") == "200");
  CHECK(f.agent.probed == "web-1");
  CHECK(f.status("PUT", "/v1/outrider/probe/nobody") == "404");
}

TEST_CASE("an instance with documents for gateways says where they are") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":81,"farp":{"openapi":"/api.json"}})");
  f.put(R"({"name":"bare","id":"bare-1","port":82})");
  CHECK(at(f.get("/v1/outrider/why/web"), "instances/0/instance/farp/openapi") == "/api.json");
  CHECK(at(f.get("/v1/outrider/why/bare"), "instances/0/instance/farp") == "<none>");
}

TEST_CASE("a QR code of a URL, as an image that can do nothing else") {
  ApiFixture f;
  CHECK(f.status("GET", "/v1/outrider/qr") == "400");
  CHECK(f.status("GET", "/v1/outrider/qr?text=" + std::string(kQrTextBytesMax + 1, 'x')) == "400");
  const std::string answer = f.ask("GET", "/v1/outrider/qr?text=http://192.168.1.10:80/");
  if (!encode_qr("x")) {
    CHECK(status_of(answer) == "501");  // built without the module
    return;
  }
  CHECK(has(answer, "Content-Type: image/svg+xml"));
  CHECK(has(answer, "Content-Security-Policy: default-src 'none'"));
  CHECK(body_of(answer).starts_with("<svg "));
  const auto code = encode_qr("http://192.168.1.10:80/");
  REQUIRE(code.has_value());
  // Three corners have the finder pattern: a dark ring of seven, a light one, a dark core.
  for (const auto& [left, top] :
       {std::pair<std::size_t, std::size_t>{0, 0}, {code->width - 7, 0}, {0, code->width - 7}})
    for (std::size_t i = 0; i < 7; ++i)
      for (std::size_t j = 0; j < 7; ++j) {
        const bool ring = i == 0 || j == 0 || i == 6 || j == 6;
        const bool core = i >= 2 && i <= 4 && j >= 2 && j <= 4;
        CHECK(code->is_dark(left + i, top + j) == (ring || core));
      }
}
