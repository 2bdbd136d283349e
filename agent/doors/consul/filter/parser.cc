// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>
#include <utility>

#include "agent/doors/consul/consul.h"
#include "agent/doors/consul/filter/lexer.h"
#include "agent/doors/consul/filter/tree.h"
#include "base/assert.h"
#include "base/text.h"

namespace outrider::doors::consul {
namespace {

using Node = Filter::Node;
using NodePtr = std::unique_ptr<Node>;

/// What a selector may begin with: the row, or a name that a collection has bound.
struct Scope {
  std::string name;  // empty for the row
  std::vector<Field> fields;
  FieldType type = FieldType::objects;  // of a bound name that is no object
};

bool is_allowed(Operator op, FieldType type) {
  switch (type) {
    case FieldType::text:
      return op != Operator::is_empty;
    case FieldType::number:
    case FieldType::flag:
      return op == Operator::equals;
    case FieldType::texts:
    case FieldType::map:
      return op == Operator::in || op == Operator::is_empty;
    case FieldType::objects:
      return op == Operator::is_empty;
  }
  OUTRIDER_UNREACHABLE();
}

const char* operators_of(FieldType type) {
  switch (type) {
    case FieldType::text:
      return "==, !=, in, contains or matches";
    case FieldType::number:
    case FieldType::flag:
      return "== or !=";
    case FieldType::texts:
    case FieldType::map:
      return "in, contains or is empty";
    case FieldType::objects:
      return "is empty, or all and any";
  }
  OUTRIDER_UNREACHABLE();
}

class Parser {
 public:
  Parser(std::string_view text, Rows rows) : lexer_(text) {
    scopes_.push_back({{}, fields_of(rows), FieldType::objects});
    advance();
  }

  Result<NodePtr, std::string> parse() {
    NodePtr root = expression(0);
    if (token_.kind != Token::Kind::end) fail("expected \"and\", \"or\" or the end");
    if (!why_.empty()) return failure(std::move(why_));
    return root;
  }

 private:
  using Kind = Token::Kind;

  void advance() {
    auto token = lexer_.next();
    if (token) {
      token_ = std::move(*token);
    } else {
      if (why_.empty()) why_ = token.error();
      token_ = {.position = token_.position};  // the end, for those who go on
    }
  }
  void fail(std::string_view why) { fail_at(token_.position, why); }
  void fail_at(std::size_t position, std::string_view why) {
    if (why_.empty()) why_ = at_position(position, why);
  }
  bool is_word(std::string_view word) const {
    return token_.kind == Kind::selector && token_.parts.size() == 1 && token_.text == word;
  }
  bool take_word(std::string_view word) {
    if (!is_word(word)) return false;
    advance();
    return true;
  }
  void expect(Kind kind, std::string_view what) {
    if (token_.kind != kind) fail("expected " + std::string(what));
    advance();
  }

  NodePtr group(Node::Kind kind, std::string_view word, unsigned depth) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    do {
      node->children.push_back(kind == Node::Kind::any_of ? group(Node::Kind::all_of, "and", depth)
                                                          : factor(depth));
    } while (why_.empty() && take_word(word));
    return node;
  }
  NodePtr expression(unsigned depth) { return group(Node::Kind::any_of, "or", depth); }

  NodePtr factor(unsigned depth) {
    if (depth > kFilterDepthMax) {
      fail("nested too deep");
      return std::make_unique<Node>();
    }
    if (take_word("not")) {
      auto node = std::make_unique<Node>();
      node->kind = Node::Kind::negation;
      node->children.push_back(factor(depth + 1));
      return node;
    }
    if (token_.kind == Kind::open) {
      advance();
      NodePtr inner = expression(depth + 1);
      expect(Kind::close, "')'");
      return inner;
    }
    return match(depth);
  }

  NodePtr match(unsigned depth) {
    auto node = std::make_unique<Node>();
    const Token left = token_;
    if (left.kind != Kind::selector && left.kind != Kind::string && left.kind != Kind::number) {
      fail("expected a comparison");
      return node;
    }
    advance();
    const bool quantified = left.parts.size() == 1 && (left.text == "all" || left.text == "any");
    if (quantified && token_.kind == Kind::selector && !is_word("in") && !is_word("not") &&
        !is_word("contains") && !is_word("matches") && !is_word("is")) {
      node->kind = left.text == "all" ? Node::Kind::for_all : Node::Kind::for_any;
      collection(*node, depth);
      return node;
    }
    comparison(node->match, left);
    return node;
  }

  void comparison(Match& match, const Token& left) {
    const std::size_t at = token_.position;
    if (token_.kind == Kind::equal || token_.kind == Kind::unequal) {
      match.negated = token_.kind == Kind::unequal;
      advance();
      return compare(match, Operator::equals, left, at);
    }
    if (take_word("is")) {
      match.negated = take_word("not");
      if (!take_word("empty")) fail("expected \"empty\"");
      return select(match, Operator::is_empty, left, at);
    }
    match.negated = take_word("not");
    if (take_word("contains")) return compare(match, Operator::in, left, at);
    if (take_word("matches")) return compare(match, Operator::matches, left, at);
    if (!take_word("in")) return fail("expected ==, !=, in, contains, matches or is");
    const Token selector = token_;
    if (selector.kind != Kind::selector) return fail("expected a selector after \"in\"");
    advance();
    match.value = left.text;
    select(match, Operator::in, selector, at);
  }

  /// What follows the operator of a selector: a value.
  void compare(Match& match, Operator op, const Token& selector, std::size_t at) {
    const Token value = token_;
    if (value.kind != Kind::selector && value.kind != Kind::string && value.kind != Kind::number)
      return fail("expected a value");
    advance();
    match.value = value.text;
    select(match, op, selector, at);
    if (!why_.empty()) return;
    const FieldType type = match.selection.type;
    if (type == FieldType::number) {
      const auto number = parse_number<std::int64_t>(value.text);
      if (!number) return fail_at(value.position, "expected a whole number");
      match.number = *number;
    } else if (type == FieldType::flag) {
      const auto flag = parse_go_bool(value.text);
      if (!flag) return fail_at(value.position, "expected true or false");
      match.flag = *flag;
    }
    if (op != Operator::matches) return;
    auto pattern = Pattern::compile(value.text);
    if (!pattern) return fail_at(value.position, pattern.error());
    match.pattern = std::move(*pattern);
  }

  void select(Match& match, Operator op, const Token& selector, std::size_t at) {
    match.op = op;
    match.selection = resolve(selector);
    const FieldType type = match.selection.type;
    if (!is_allowed(op, type))
      fail_at(at, '"' + selector.text + "\" can be compared with " + operators_of(type));
  }

  /// What the selector means: what the innermost name stands for, or else a field of the row.
  Selection resolve(const Token& selector) {
    if (selector.kind != Kind::selector) {
      fail_at(selector.position, "expected a selector");
      return {};
    }
    std::size_t scope = scopes_.size() - 1;
    while (scope != kRowScope && scopes_[scope].name != selector.parts.front())
      --scope;
    std::span<const std::string> parts = selector.parts;
    if (scope != kRowScope) parts = parts.subspan(1);
    if (parts.empty()) return {.scope = scope, .type = scopes_[scope].type};
    const Field* field = find_field(scopes_[scope].fields, parts);
    if (field == nullptr) {
      fail_at(selector.position, "these rows have no \"" + selector.text + '"');
      return {};
    }
    Selection found{scope, field->path, steps_of(field->path), {}, field->type};
    for (std::string& step : found.steps) {
      found.is_key.push_back(step == "*");
      if (step == "[]") continue;
      step = parts.front();
      parts = parts.subspan(1);
    }
    return found;
  }

  void collection(Node& node, unsigned depth) {
    const Token selector = token_;
    advance();
    node.collection = resolve(selector);
    const FieldType type = node.collection.type;
    if (type != FieldType::texts && type != FieldType::map && type != FieldType::objects)
      return fail_at(selector.position, '"' + selector.text + "\" is not a list");
    if (node.collection.path.find("[]") != std::string::npos)
      return fail_at(selector.position, "a list in a list needs all or any for each of them");
    if (!take_word("as")) return fail("expected \"as\"");
    const std::size_t outside = scopes_.size();
    bind(node);
    expect(Kind::open_brace, "'{'");
    node.children.push_back(expression(depth + 1));
    expect(Kind::close_brace, "'}'");
    scopes_.resize(outside);
  }

  /// One name stands for a list's elements or a map's keys; two for index and element, or key and
  /// value. "_" is a place that is not needed.
  void bind(Node& node) {
    const bool map = node.collection.type == FieldType::map;
    std::vector<std::string> names = {take_name()};
    if (token_.kind == Kind::comma) {
      advance();
      names.push_back(take_name());
    } else {
      names.insert(map ? names.end() : names.begin(), "_");
    }
    const std::vector<Field>& fields = scopes_[node.collection.scope].fields;
    Scope key{names[0], {}, map ? FieldType::text : FieldType::number};
    Scope value{names[1], fields_below(fields, node.collection.path + (map ? ".*." : "[].")),
                FieldType::text};
    if (!value.fields.empty()) value.type = FieldType::objects;
    node.binds_key = key.name != "_";
    node.binds_value = value.name != "_";
    if (node.binds_key) scopes_.push_back(std::move(key));
    if (node.binds_value) scopes_.push_back(std::move(value));
  }

  std::string take_name() {
    if (token_.kind != Kind::selector || token_.parts.size() != 1) fail("expected a name");
    std::string name = token_.text;
    advance();
    return name;
  }

  Lexer lexer_;
  Token token_;
  std::string why_;
  std::vector<Scope> scopes_;
};

}  // namespace

Result<NodePtr, std::string> parse_filter(std::string_view text, Rows rows) {
  return Parser(text, rows).parse();
}

}  // namespace outrider::doors::consul
