// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <cmath>
#include <limits>

#include <cjson/cJSON.h>
#include <doctest/doctest.h>

#include "base/json_scan.h"
#include "base/random.h"

namespace outrider::json {
namespace {

constexpr std::size_t kAll = kConfigBytesMax;

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

/// Field by field: what cJSON reads is what our own parser reads.
void same_meaning(const cJSON* theirs, const Value& ours) {
  REQUIRE(theirs != nullptr);
  if (ours.is_null()) {
    CHECK(cJSON_IsNull(theirs));
  } else if (const bool* flag = ours.as_bool()) {
    REQUIRE(cJSON_IsBool(theirs));
    CHECK(static_cast<bool>(cJSON_IsTrue(theirs)) == *flag);
  } else if (const std::int64_t* integer = ours.as_int()) {
    REQUIRE(cJSON_IsNumber(theirs));
    CHECK(theirs->valuedouble == static_cast<double>(*integer));
  } else if (const double* number = ours.as_double()) {
    REQUIRE(cJSON_IsNumber(theirs));
    CHECK(theirs->valuedouble == *number);
  } else if (const std::string* text = ours.as_string()) {
    REQUIRE(cJSON_IsString(theirs));
    CHECK(std::string(theirs->valuestring) == *text);
  } else if (const Array* array = ours.as_array()) {
    REQUIRE(cJSON_IsArray(theirs));
    REQUIRE(cJSON_GetArraySize(theirs) == static_cast<int>(array->size()));
    for (std::size_t i = 0; i < array->size(); ++i)
      same_meaning(cJSON_GetArrayItem(theirs, static_cast<int>(i)), (*array)[i]);
  } else {
    const Object& object = *ours.as_object();
    REQUIRE(cJSON_IsObject(theirs));
    REQUIRE(cJSON_GetArraySize(theirs) == static_cast<int>(object.size()));
    for (const auto& [name, value] : object)
      same_meaning(cJSON_GetObjectItem(theirs, name.c_str()), value);
  }
}

/// Every document written in this file goes through here.
Value read_back(const std::string& text) {
  CAPTURE(text);
  auto ours = parse(text, kAll);
  REQUIRE(ours.has_value());
  cJSON* theirs = cJSON_ParseWithOpts(text.c_str(), nullptr, /*require_null_terminated=*/1);
  same_meaning(theirs, *ours);
  cJSON_Delete(theirs);
  return std::move(*ours);
}

TEST_CASE("values of every type are read") {
  const auto root = parse(
      R"( {"a": null, "b": true, "c": -7, "d": 1.5, "e": "x\u00e9\ud83d\ude00", "f": [1, [], {}]})",
      kAll);
  REQUIRE(root.has_value());
  CHECK(root->find("a")->is_null());
  CHECK(*root->find("b")->as_bool());
  CHECK(*root->find("c")->as_int() == -7);
  CHECK(*root->find("d")->as_double() == 1.5);
  CHECK(*root->find("e")->as_string() == "x\xc3\xa9\xf0\x9f\x98\x80");
  CHECK(root->find("f")->as_array()->size() == 3);
  CHECK(root->find("g") == nullptr);
  CHECK(root->find("a")->find("x") == nullptr);
  CHECK(std::string(root->type_name()) == "an object");
  CHECK(std::string(root->find("c")->type_name()) == "an integer");
  CHECK(parse("5", kAll)->as_int() != nullptr);
}

TEST_CASE("what two parsers could read differently is refused, with its path") {
  struct Row {
    std::string text;
    const char* message;
    const char* path;
  };
  const std::vector<Row> rows = {
      {R"({"a":{"port":1,"port":2}})", "duplicate key \"port\"", "a"},
      {R"({"Port":1,"port":2})", "keys \"Port\" and \"port\" differ only by case", ""},
      {R"({"a":[0,{"b":"x\u0000y"}]})", "a NUL character in a string", "a[1].b"},
      {R"({"a\u0000":1})", "a NUL character in a key", ""},
      {R"([9007199254740993])", "an integer beyond ±2^53", "[0]"},
      {R"([-9007199254740993])", "an integer beyond ±2^53", "[0]"},
      {R"([18446744073709551615])", "an integer beyond ±2^53", "[0]"},
      {"[1e999]", "a number out of range", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto result = parse(row.text, kAll);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().message == row.message);
    CHECK(result.error().path == row.path);
  }
  CHECK(*parse("9007199254740992", kAll)->as_int() == std::int64_t{1} << 53);
  CHECK(*parse("-9007199254740992", kAll)->as_int() == -(std::int64_t{1} << 53));
}

TEST_CASE("malformed texts are reported with line and column") {
  struct Row {
    std::string text;
    std::size_t line, column;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"", 1, 1, "expected a value before the end of the text"},
      {"\xef\xbb\xbf{}", 1, 1, "a byte order mark is not allowed"},
      {"{\n  \"a\": 1\n  \"b\": 2\n}", 3, 3, "expected ',' or '}'"},
      {"{\"a\": 1,}", 1, 9, "expected a key, not '}'; remove the comma before it?"},
      {"{\"a\": 1, 2}", 1, 10, "expected a key in double quotes"},
      {"{\"a\": ]}", 1, 7, "expected a value"},
      {"[[],\n]", 2, 1, "expected a value, not ']'; remove the comma before it?"},
      {"[1,2,,]", 1, 6, "expected a value"},
      {"[1 2]", 1, 4, "expected ',' or ']'"},
      {"{\"a\" 1}", 1, 6, "expected ':'"},
      {"{a: 1}", 1, 2, "expected a key in double quotes or '}'"},
      {"{\"a\":1}{\"b\":2}", 1, 8, "nothing may follow the document"},
      {"[\"\xc3\xa9\", x]", 1, 7, "expected a value"},
      {"[\"abc]", 1, 2, "this string does not end"},
      {"[\"a\nb\"]", 1, 4, "a control character in a string must be escaped"},
      {"[\"\xc0\xaf\"]", 1, 3, "not valid UTF-8"},
      {"[\"\\x\"]", 1, 3, "not a valid escape"},
      {"[\"\\ud800\"]", 1, 3, "not a valid escape"},
      {"[01]", 1, 3, "a number may not begin with 0"},
      {"[-]", 1, 3, "expected a digit"},
      {"[1.]", 1, 4, "expected a digit"},
      {"[", 1, 2, "expected a value or ']' before the end of the text"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto result = parse(row.text, kAll);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().message == row.message);
    CHECK(result.error().line == row.line);
    CHECK(result.error().column == row.column);
    CHECK(result.error().path.empty());
  }
}

TEST_CASE("limits are reached and not passed") {
  CHECK(parse(nested(kNestingMax), kAll).has_value());
  const auto deep = parse(nested(kNestingMax + 1), kAll);
  REQUIRE_FALSE(deep.has_value());
  CHECK(deep.error().message == "nested deeper than 32");
  CHECK_FALSE(parse(nested(100'000), kAll).has_value());
  CHECK_FALSE(parse(std::string(100'000, '['), kAll).has_value());

  const std::string text = '"' + std::string(62, 'x') + '"';
  CHECK(parse(text, 64).has_value());
  const auto large = parse(text + ' ', 64);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().message == "larger than 64 bytes");
}

TEST_CASE("the nearest name is the one that was meant") {
  const std::vector<std::string_view> known = {"port", "name", "interval", "checks", "timeout"};
  CHECK(nearest("prot", known) == "port");
  CHECK(nearest("Port", known) == "port");
  CHECK(nearest("intervall", known) == "interval");
  CHECK(nearest("check", known) == "checks");
  CHECK(nearest("zebra", known).empty());
  CHECK(nearest("", known).empty());
  CHECK(nearest(std::string(10'000, 'p'), known).empty());
}

TEST_CASE("the writer places commas and indents") {
  std::string out;
  Writer w(out);
  w.begin_object().member("a", 1).key("b").begin_array().value("x").value(true).null();
  w.end_array().key("c").begin_object().end_object().member("d", 1.5).end_object();
  CHECK(out == R"({"a":1,"b":["x",true,null],"c":{},"d":1.5})");
  read_back(out);

  std::string pretty;
  Writer p(pretty, Writer::Style::indented);
  p.begin_object().member("a", 1).key("b").begin_array().value(2).value(3).end_array();
  p.key("c").begin_array().end_array().end_object();
  CHECK(pretty == "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n  \"c\": []\n}");
  read_back(pretty);
}

TEST_CASE("text is escaped and made valid") {
  std::string out;
  using namespace std::string_view_literals;
  Writer(out).value("q\" b\\ n\n t\t r\r \x01 \x7f nul\0. \xc3\xa9 \xff \xed\xa0\x80 \xc3"sv);
  const Value back = read_back(out);
  CHECK(*back.as_string() ==
        "q\" b\\ n\n t\t r\r \x01 \x7f nul. \xc3\xa9 \xef\xbf\xbd "
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd");
}

TEST_CASE("numbers survive") {
  std::string out;
  Writer w(out);
  w.begin_array();
  w.value(std::int64_t{-9007199254740992}).value(std::uint64_t{9007199254740992});
  w.value(5.0).value(18014398509481984.0).value(0.1).value(-1e-300);
  w.value(std::nan("")).value(std::numeric_limits<double>::infinity());
  w.end_array();
  const Value root = read_back(out);
  const Array& back = *root.as_array();
  CHECK(*back[0].as_int() == -9007199254740992);
  CHECK(*back[2].as_double() == 5.0);
  CHECK(*back[3].as_double() == 18014398509481984.0);
  CHECK(*back[4].as_double() == 0.1);
  CHECK(*back[5].as_double() == -1e-300);
  CHECK(back[6].is_null());
  CHECK(back[7].is_null());
}

TEST_CASE("numbers too small for a double are 0, and those too large are refused") {
  const std::string zeros(400, '0');
  const std::pair<std::string, double> kept[] = {
      {"1e-400", 0},
      {"1e-99999999999999999999", 0},
      {"0." + zeros + "1", 0},
      {"0e999", 0},
      {"0." + zeros + "1e401", 1},
      {"1" + zeros + "e-400", 1},
      {"1.5e+3", 1500.0},
      {"4.9e-324", 0x1p-1074},
      {"1.7976931348623157e308", 0x1.fffffffffffffp1023},
  };
  for (const auto& [text, value] : kept) {
    CAPTURE(text);
    const auto root = parse(text, kAll);
    REQUIRE(root.has_value());
    CHECK(*root->as_double() == value);
  }
  for (const std::string text :
       {"1e400", "-1e400", "1e99999999999999999999", "2e308", "0.1e400", "1e+309"}) {
    CAPTURE(text);
    const auto root = parse(text, kAll);
    REQUIRE(!root.has_value());
    CHECK(root.error().message == "a number out of range");
  }
  CHECK(parse("1" + zeros + ".5", kAll).error().message == "a number out of range");
  CHECK(*parse("-0", kAll)->as_int() == 0);
}

Value random_tree(Random& random, unsigned depth) {
  const auto kind = random.below(depth == 0 ? 5 : 7);
  if (kind == 0) return Value();
  if (kind == 1) return Value(Value::Data(random.below(2) == 0));
  if (kind == 2)
    return Value(Value::Data(static_cast<std::int64_t>(random.below(1U << 30)) - (1 << 29)));
  if (kind == 3) return Value(Value::Data(static_cast<double>(random.below(1000)) / 7));
  if (kind == 4) {
    std::string text;
    for (auto n = random.below(12); n > 0; --n)
      text += static_cast<char>(1 + random.below(127));
    return Value(Value::Data(std::move(text)));
  }
  if (kind == 5) {
    Array array;
    for (auto n = random.below(5); n > 0; --n)
      array.push_back(random_tree(random, depth - 1));
    return Value(Value::Data(std::move(array)));
  }
  Object object;
  for (auto n = random.below(5); n > 0; --n)
    object.emplace_back("k" + std::to_string(n), random_tree(random, depth - 1));
  return Value(Value::Data(std::move(object)));
}

TEST_CASE("whatever is written is read back the same, by us and by cJSON") {
  SeededRandom random(7);
  for (int round = 0; round < 300; ++round) {
    const Value tree = random_tree(random, 5);
    std::string first, second;
    Writer(first, round % 2 == 0 ? Writer::Style::compact : Writer::Style::indented).value(tree);
    Writer(second, round % 2 == 0 ? Writer::Style::compact : Writer::Style::indented)
        .value(read_back(first));
    CHECK(first == second);
  }
}

TEST_CASE("the scanner agrees with the parser on every cut and every changed octet") {
  const std::string good = R"({"a":[1,-2.5e+3,"x\n\u00e9"],"b":{"c":null,"d":false}})";
  REQUIRE_FALSE(find_fault(good).has_value());
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    CAPTURE(cut);
    CHECK(find_fault(good.substr(0, cut)).has_value());
    CHECK_FALSE(parse(good.substr(0, cut), kAll).has_value());
  }
  SeededRandom random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    text[random.below(text.size())] = static_cast<char>(random.below(256));
    const auto result = parse(text, kAll);
    const bool beyond_grammar = !result.has_value() && result.error().line == 0;
    CAPTURE(text);
    CHECK(find_fault(text).has_value() == (!result.has_value() && !beyond_grammar));
  }
}

TEST_CASE("foreign documents are taken as they are, as long as they are JSON") {
  const auto value = parse_foreign(
      R"({"id":1,"ID":2,"id":3,"big":9007199254740993,"huge":18446744073709551615,"nul":"\u0000"})",
      1024);
  REQUIRE(value);
  REQUIRE(value->find("id") != nullptr);
  CHECK(*value->find("id")->as_int() == 3);
  CHECK(*value->find("ID")->as_int() == 2);
  CHECK(*value->find("big")->as_double() == 9007199254740992.0);
  CHECK(value->find("nul")->as_string()->size() == 1);
  CHECK(value->as_object()->size() == 5);

  const auto longer = parse_foreign(
      R"(["18446744073709551616\"", 18446744073709551616, -9223372036854775809, 1e2])", 128);
  REQUIRE(longer);
  const Array& numbers = *longer->as_array();
  CHECK(*numbers[0].as_string() == "18446744073709551616\"");
  CHECK(*numbers[1].as_double() == 0x1p64);
  CHECK(*numbers[2].as_double() == -0x1p63);
  CHECK(*numbers[3].as_double() == 100);
  for (const std::string& beyond : {std::string("1e400"), std::string(400, '9')})
    CHECK(parse_foreign(beyond, 1024).error().message == "a number out of range");

  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(parse_foreign(nested(kForeignNestingMax), 4096));
  CHECK(!parse_foreign(nested(kForeignNestingMax + 1), 4096));
  CHECK(!parse_foreign("{}{}", 1024));
  CHECK(!parse_foreign("[1,]", 1024));
}

}  // namespace
}  // namespace outrider::json
