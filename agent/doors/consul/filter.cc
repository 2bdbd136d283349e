// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/consul/filter.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "agent/doors/consul/consul.h"
#include "agent/registry/served.h"

namespace outrider::doors::consul {

struct Filter::Node {
  enum class Kind : std::uint8_t { all_of, any_of, negation, equals, contains, is_empty };
  Kind kind = Kind::equals;
  std::vector<std::unique_ptr<Node>> children;
  std::string selector, value;
};

namespace {

using Node = Filter::Node;
using NodePtr = std::unique_ptr<Node>;
using registry::HostView;
using registry::Instance;

// --- text to tokens ---------------------------------------------------------------------------

struct Token {
  enum class Kind : std::uint8_t { end, word, value, open, close, equal, unequal, bad };
  Kind kind = Kind::end;
  std::string text;
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || c == '/';
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : left_(text) {}

  Token next() {
    while (!left_.empty() && (left_.front() == ' ' || left_.front() == '\t'))
      left_.remove_prefix(1);
    if (left_.empty()) return {};
    if (left_.starts_with("==")) return take(2, Token::Kind::equal);
    if (left_.starts_with("!=")) return take(2, Token::Kind::unequal);
    if (left_.front() == '(') return take(1, Token::Kind::open);
    if (left_.front() == ')') return take(1, Token::Kind::close);
    if (left_.front() == '"' || left_.front() == '`') return quoted(left_.front());
    return word();
  }

 private:
  Token take(std::size_t size, Token::Kind kind) {
    Token token{kind, std::string(left_.substr(0, size))};
    left_.remove_prefix(size);
    return token;
  }
  /// "…" with backslash escapes, `…` without.
  Token quoted(char quote) {
    Token token{Token::Kind::value, {}};
    for (std::size_t at = 1; at < left_.size(); ++at) {
      if (left_[at] == quote) {
        left_.remove_prefix(at + 1);
        return token;
      }
      if (left_[at] == '\\' && quote == '"' && at + 1 < left_.size()) ++at;
      token.text += left_[at];
    }
    return {Token::Kind::bad, "end of text within quotes"};
  }
  /// Service.Meta["key"] is one word: Service.Meta.key
  Token word() {
    Token token{Token::Kind::word, {}};
    while (!left_.empty()) {
      if (is_word(left_.front())) {
        token.text += left_.front();
        left_.remove_prefix(1);
        continue;
      }
      if (!left_.starts_with("[\"") || token.text.empty()) break;
      left_.remove_prefix(1);
      const Token key = quoted('"');
      if (key.kind == Token::Kind::bad || !left_.starts_with("]"))
        return {Token::Kind::bad, "end of text within brackets"};
      left_.remove_prefix(1);
      token.text += '.' + key.text;
    }
    if (token.text.empty()) return {Token::Kind::bad, std::string(1, left_.front())};
    return token;
  }

  std::string_view left_;
};

// --- what a selector means --------------------------------------------------------------------

/// "Service.Meta.x", "ServiceMeta.x" and "Meta.x" are the same; nothing for an unknown selector.
std::optional<std::string> canonical(std::string_view selector) {
  if (selector == "Node" || selector == "Node.Node") return "Node";
  if (selector == "Checks.Status" || selector == "AggregatedStatus") return "Status";
  if (selector == "Service.Service" || selector == "ServiceName" || selector == "Service")
    return "Service";
  if (selector.starts_with("Service."))
    selector.remove_prefix(8);
  else if (selector.starts_with("Service"))
    selector.remove_prefix(7);
  for (const std::string_view known : {"ID", "Address", "Port", "Tags"})
    if (selector == known) return std::string(known);
  if (selector == "Meta" || selector.starts_with("Meta.")) return std::string(selector);
  return std::nullopt;
}

/// The values of a selector; those of Meta are its keys.
std::vector<std::string> values_of(std::string_view selector, const Instance& instance,
                                   const HostView& host) {
  if (selector == "ID") return {instance.id.text()};
  if (selector == "Service") return {instance.service.text()};
  if (selector == "Address") return {address_of(instance, host)};
  if (selector == "Port") return {std::to_string(instance.port)};
  if (selector == "Node") return {node_of(instance, host)};
  if (selector == "Status") return {status_of(instance)};
  if (selector == "Tags") return tags_of(instance);
  const registry::Metadata meta = meta_of(instance);
  std::vector<std::string> out;
  if (selector == "Meta")
    for (const auto& [key, value] : meta)
      out.push_back(key);
  else if (const auto found = meta.find(std::string(selector.substr(5))); found != meta.end())
    out.push_back(found->second);
  return out;
}

bool is_list(std::string_view selector) {
  return selector == "Tags" || selector == "Meta";
}

bool holds(const Node& node, const Instance& instance, const HostView& host) {
  const auto child_holds = [&](const NodePtr& child) { return holds(*child, instance, host); };
  switch (node.kind) {
    case Node::Kind::all_of:
      return std::all_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::any_of:
      return std::any_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::negation:
      return !child_holds(node.children.front());
    case Node::Kind::equals: {
      const auto values = values_of(node.selector, instance, host);
      return values.size() == 1 && values.front() == node.value;
    }
    case Node::Kind::contains: {
      const auto values = values_of(node.selector, instance, host);
      return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
        return is_list(node.selector) ? value == node.value
                                      : value.find(node.value) != std::string::npos;
      });
    }
    case Node::Kind::is_empty: {
      const auto values = values_of(node.selector, instance, host);
      return std::all_of(values.begin(), values.end(),
                         [](const std::string& value) { return value.empty(); });
    }
  }
  OUTRIDER_UNREACHABLE();
}

// --- tokens to a tree -------------------------------------------------------------------------

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { advance(); }

  Result<NodePtr, std::string> parse() {
    NodePtr root = expression(0);
    if (why_.empty() && token_.kind != Token::Kind::end) fail("unexpected \"" + token_.text + '"');
    if (!why_.empty()) return failure("filter: " + why_);
    return root;
  }

 private:
  void advance() {
    token_ = lexer_.next();
    if (token_.kind == Token::Kind::bad) fail("unexpected " + token_.text);
  }
  void fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
  }
  bool take_word(std::string_view word) {
    if (token_.kind != Token::Kind::word || token_.text != word) return false;
    advance();
    return true;
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
    if (take_word("not")) return negated(factor(depth + 1));
    if (token_.kind == Token::Kind::open) {
      advance();
      NodePtr inner = expression(depth + 1);
      if (token_.kind != Token::Kind::close) fail("expected \")\"");
      advance();
      return inner;
    }
    return comparison();
  }

  static NodePtr negated(NodePtr inner) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::negation;
    node->children.push_back(std::move(inner));
    return node;
  }

  NodePtr comparison() {
    auto node = std::make_unique<Node>();
    const Token left = token_;
    if (left.kind != Token::Kind::word && left.kind != Token::Kind::value) {
      fail("expected a comparison");
      return node;
    }
    advance();
    bool negate = false;
    if (token_.kind == Token::Kind::equal || token_.kind == Token::Kind::unequal) {
      negate = token_.kind == Token::Kind::unequal;
      advance();
      node->kind = Node::Kind::equals;
      select(*node, left.text);
      node->value = take_value();
      if (is_list(node->selector)) fail("== compares single values; use contains or in");
    } else if (take_word("is")) {
      negate = take_word("not");
      if (!take_word("empty")) fail("expected \"empty\"");
      node->kind = Node::Kind::is_empty;
      select(*node, left.text);
    } else {
      negate = take_word("not");
      node->kind = Node::Kind::contains;
      if (take_word("in")) {
        node->value = left.text;
        select(*node, token_.text);
        if (token_.kind != Token::Kind::word) fail("expected a selector after \"in\"");
        advance();
      } else if (take_word("contains")) {
        select(*node, left.text);
        node->value = take_value();
      } else if (token_.text == "matches") {
        fail("\"matches\" is not supported");
      } else {
        fail("expected ==, !=, in, contains or is");
      }
    }
    return negate ? negated(std::move(node)) : std::move(node);
  }

  void select(Node& node, const std::string& selector) {
    if (auto known = canonical(selector))
      node.selector = std::move(*known);
    else
      fail("\"" + selector + "\" is not supported");
  }
  std::string take_value() {
    if (token_.kind != Token::Kind::word && token_.kind != Token::Kind::value)
      fail("expected a value");
    std::string value = token_.text;
    advance();
    return value;
  }

  Lexer lexer_;
  Token token_;
  std::string why_;
};

}  // namespace

Filter::Filter(std::unique_ptr<Node> root) : root_(std::move(root)) {}
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Result<Filter, std::string> Filter::parse(std::string_view text) {
  if (text.find_first_not_of(" \t") == std::string_view::npos) return Filter(nullptr);
  if (text.size() > kFilterBytesMax) return failure(std::string("filter: too long"));
  auto root = Parser(text).parse();
  if (!root) return failure(root.error());
  return Filter(std::move(*root));
}

bool Filter::wants(const Instance& instance, const HostView& host) const {
  return root_ == nullptr || holds(*root_, instance, host);
}

}  // namespace outrider::doors::consul
