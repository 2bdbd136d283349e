// SPDX-License-Identifier: Apache-2.0
// Routes: matching of patterns, and what is answered where none fits.
#include "base/http/router.h"

#include <doctest/doctest.h>

#include "tests/base/http/client.h"

using namespace outrider;
using namespace outrider::http;
using outrider::test::body_of;
using outrider::test::status_of;

namespace {

/// A shop that answers with what it did.
struct Shop final : Handler {
  Shop();
  void on_request(const ServerRequest& request, Exchange exchange) override {
    router.route(request, std::move(exchange));
  }
  Router<Shop> router{*this, "shop(8)"};
  int cancelled = 0;
};

void list_orders(Shop&, Call call) {
  call.exchange.answer(text_answer(200, "all"));
}
void show_order(Shop&, Call call) {
  call.exchange.answer(text_answer(200, "order " + std::string(call.rest)));
}
void cancel_order(Shop& shop, Call call) {
  ++shop.cancelled;
  call.exchange.answer(text_answer(200, "cancelled " + std::string(call.rest)));
}

constexpr Route<Shop> kReading[] = {
    {"GET", "/orders", list_orders, Effect::reads, "List orders"},
};
constexpr Parameter kFilters[] = {
    {"name", "only orders of this customer"},
    {"open", "only open orders", ParameterForm::flag},
    {"tag", "only orders with this tag", ParameterForm::list},
};
constexpr Route<Shop> kStrict[] = {
    {"GET", "/open/orders", list_orders, Effect::reads, "List orders", kFilters},
    {"PUT", "/open/close", list_orders, Effect::changes, "Close the shop"},
};
constexpr Route<Shop> kRoutes[] = {
    {"PUT", "/orders/close", list_orders, Effect::changes, "Close the shop"},
    {"PUT", "/orders/cancel/{id}", cancel_order, Effect::changes, "Cancel an order"},
    {"GET", "/orders/cancel/{id}", cancel_order, Effect::changes, "Cancel an order"},
    {"GET", "/orders/{id}", show_order, Effect::reads, "Show an order"},
};

Shop::Shop() {
  router.add(kReading);
  router.add(kRoutes);
  router.add(kStrict, refuse_other_parameters);
}

struct Fixture {
  sim::World world{3};
  Shop shop;
  std::unique_ptr<Server> server;

  Fixture() {
    ServerOptions options;
    options.on = test::kSocket;
    server = std::make_unique<Server>(world.env(), options, shop);
    REQUIRE(server->start().has_value());
  }
  ~Fixture() {
    server.reset();
    world.settle();
  }
  std::string ask(std::string_view method, std::string_view path) {
    return test::Client(world).ask(write_request(method, path, "shop", {}, {}, true));
  }
};

}  // namespace

TEST_CASE("a pattern fits its path, or one with something in place of the braces") {
  CHECK(match("/orders", "/orders") == "");
  CHECK_FALSE(match("/orders", "/orders/").has_value());
  CHECK_FALSE(match("/orders", "/order").has_value());
  CHECK(match("/orders/{id}", "/orders/7") == "7");
  CHECK(match("/orders/{id}", "/orders/7/lines/2") == "7/lines/2");
  CHECK_FALSE(match("/orders/{id}", "/orders/").has_value());
  CHECK_FALSE(match("/orders/{id}", "/orders").has_value());
}

TEST_CASE("the first row that fits path and method answers") {
  Fixture f;
  CHECK(body_of(f.ask("GET", "/orders")) == "all");
  CHECK(body_of(f.ask("GET", "/orders/a/b")) == "order a/b");
  CHECK(body_of(f.ask("PUT", "/orders/cancel/7")) == "cancelled 7");
  CHECK(body_of(f.ask("GET", "/orders/cancel/7")) == "cancelled 7");
  CHECK(status_of(f.ask("HEAD", "/orders/a")) == "200");
}

TEST_CASE("an unknown path is 404 and says where the paths are listed") {
  Fixture f;
  const std::string answer = f.ask("GET", "/baskets");
  CHECK(status_of(answer) == "404");
  CHECK(body_of(answer) == "{\"error\":\"unknown path; see shop(8)\"}\n");
}

TEST_CASE("another method is 405, with each method of the path once in Allow") {
  Fixture f;
  std::string answer = f.ask("PUT", "/orders");
  CHECK(status_of(answer) == "405");
  CHECK(answer.find("Allow: GET\r\n") != std::string::npos);
  CHECK(body_of(answer) == "{\"error\":\"method not allowed; use GET\"}\n");

  answer = f.ask("POST", "/orders/cancel/7");  // three rows fit the path
  CHECK(status_of(answer) == "405");
  CHECK(answer.find("Allow: PUT, GET\r\n") != std::string::npos);
  CHECK(body_of(answer) == "{\"error\":\"method not allowed; use PUT or GET\"}\n");
}

TEST_CASE("a path that a row fits exactly is never taken for the id of a later row") {
  Fixture f;
  const std::string answer = f.ask("GET", "/orders/close");
  CHECK(status_of(answer) == "405");
  CHECK(answer.find("Allow: PUT\r\n") != std::string::npos);
  CHECK(body_of(f.ask("PUT", "/orders/close")) == "all");
}

TEST_CASE("HEAD changes nothing where GET does") {
  Fixture f;
  const std::string answer = f.ask("HEAD", "/orders/cancel/7");
  CHECK(status_of(answer) == "405");
  CHECK(answer.find("Allow: PUT, GET\r\n") != std::string::npos);
  CHECK(f.shop.cancelled == 0);
  CHECK(f.shop.router.changing_prefixes() == std::vector<std::string>{"/orders/cancel/"});
}

TEST_CASE("a table that refuses other parameters names the nearest one") {
  Fixture f;
  for (const char* query : {"", "?name=a", "?open", "?open=true&tag=a&tag=b", "?open=0&token=x"}) {
    CAPTURE(query);
    CHECK(status_of(f.ask("GET", std::string("/open/orders") + query)) == "200");
  }
  const std::pair<const char*, const char*> refused[] = {
      {"/open/orders?tags=v1", R"(unknown parameter \"tags\"; did you mean \"tag\"?)"},
      {"/open/orders?Name=a", R"(unknown parameter \"Name\"; did you mean \"name\"?)"},
      {"/open/orders?colour=red",
       R"(unknown parameter \"colour\"; this path takes name, open and tag)"},
      {"/open/orders?open=maybe", R"(open must be true or false, not \"maybe\")"},
      {"/open/orders?name=a&name=b", "name may be given only once"},
  };
  for (const auto& [path, why] : refused) {
    CAPTURE(path);
    const std::string answer = f.ask("GET", path);
    CHECK(status_of(answer) == "400");
    CHECK(body_of(answer) == std::string("{\"error\":\"") + why + "\"}\n");
  }
  CHECK(body_of(f.ask("PUT", "/open/close?now")) ==
        "{\"error\":\"unknown parameter \\\"now\\\"; this path takes none\"}\n");
  const std::string answer = test::Client(f.world).ask(
      write_request("PUT", "/open/close", "shop", {}, "{\"only\":\"the door\"}", true));
  CHECK(status_of(answer) == "400");
  CHECK(body_of(answer).find("takes no body") != std::string::npos);
  // Other tables may have clients that send more than is understood.
  CHECK(status_of(f.ask("GET", "/orders?colour=red")) == "200");
}
