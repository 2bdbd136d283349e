// SPDX-License-Identifier: Apache-2.0
// From paths to functions, by tables. A row holds everything that is known of a route: how it is
// matched, what answers it, and what documents say about it.
//
//   constexpr Route<Shop> kRoutes[] = {
//       {"GET", "/orders/{id}", show_order, Effect::reads, "Show an order"},
//       {"PUT", "/orders/{id}", put_order, Effect::changes, "Place or change an order"},
//   };
//   router.add(kRoutes, refuse_other_parameters);
//
// A pattern is a path. A last segment in braces stands for one or more segments, since ids may
// contain slashes. The first row that fits the path decides, together with all rows of the same
// pattern: the one of the method answers. If no row fits the path, the answer is 404; if none fits
// the method, 405 with the methods of the pattern in Allow.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http/answer.h"
#include "base/http/server.h"

namespace outrider::http {

/// One request on its way to an answer. The request is valid during the call only; the exchange
/// may be kept.
struct Call {
  const ServerRequest& request;
  std::string_view rest;  // what the braces of the pattern stand for, decoded; else empty
  Exchange exchange;
};

/// What a request does to the state behind the API.
enum class Effect : std::uint8_t { reads, changes };

enum class ParameterForm : std::uint8_t {
  text,
  flag,  // see flag_of()
  list,  // may be repeated
};

/// A parameter of the query.
struct Parameter {
  std::string_view name, summary;
  ParameterForm form = ParameterForm::text;
};

inline constexpr std::span<const Parameter> kNoParameters;

template <class Context>
struct Route {
  std::string_view method;
  std::string_view pattern;
  void (*answer)(Context&, Call);
  Effect effect = Effect::reads;
  std::string_view summary;  // one line, without a full stop
  std::span<const Parameter> parameters = {};
  std::string_view body = {};  // what the request's body is; empty: none is taken
  /// What a document calls the forms of the answer and of the body: names of schemas, or a media
  /// type; empty: not stated.
  std::string_view answer_form = {}, body_form = {};
};

/// A flag's value in the query: on if there is none, or 1 or true; off if 0 or false. Nothing for
/// any other.
std::optional<bool> flag_of(std::string_view value);

/// Answers a request before its function does, if the function would ignore a part of the query.
template <class Context>
using Refuse = std::optional<Answer> (*)(Context&, const ServerRequest&, const Route<Context>&);

/// The part of `path` that the braces of `pattern` stand for, empty if it has none; nothing if the
/// path does not fit.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path);
/// `pattern` up to its braces.
std::string_view fixed_part(std::string_view pattern);
/// A sentence for a 400 if the query has a parameter that is neither in `known` nor in `others`, or
/// one of another form.
std::optional<std::string> wrong_parameter(const Target& target, std::span<const Parameter> known,
                                           std::span<const Parameter> others = {});
/// 400 with that sentence, or for a body where the route takes none: it may say what was meant to
/// narrow the request. For Router::add.
template <class Context>
std::optional<Answer> refuse_other_parameters(Context&, const ServerRequest& request,
                                              const Route<Context>& route) {
  if (const auto why = wrong_parameter(request.target, route.parameters))
    return error_answer(400, *why);
  if (route.body.empty() && !request.body.empty())
    return error_answer(400, "this path takes no body; its parameters are in the query");
  return std::nullopt;
}
/// 404; `documentation` says where the paths are listed.
Answer unknown_path(std::string_view documentation);
/// 405, with each of the methods once in Allow.
Answer method_not_allowed(std::span<const std::string_view> methods);

template <class Context>
class Router {
 public:
  using Table = std::span<const Route<Context>>;

  /// `context` is passed to every function; it and `documentation` outlive the router.
  Router(Context& context, std::string_view documentation)
      : context_(context), documentation_(documentation) {}

  /// `prepare` is given the exchange of each request that changes something, before its function.
  void before_changes(std::function<void(Exchange&)> prepare) {
    before_change_ = std::move(prepare);
  }

  /// The table is not copied. `refuse` may be null: parameters that no row has are ignored.
  void add(Table table, Refuse<Context> refuse = nullptr) {
    tables_.push_back(table);
    refuse_.push_back(refuse);
  }
  const std::vector<Table>& tables() const { return tables_; }

  /// Calls the function of the route, or answers 404 or 405. HEAD is answered as GET is, except
  /// where GET changes something.
  void route(const ServerRequest& request, Exchange exchange) const {
    const bool head = request.method == "HEAD";
    const std::string_view method = head ? "GET" : std::string_view(request.method);
    std::vector<std::string_view> methods;
    std::optional<std::string_view> pattern;  // of the first row that fits the path
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      for (const Route<Context>& row : tables_[i]) {
        if (pattern && row.pattern != *pattern) continue;
        const auto rest = match(row.pattern, request.path);
        if (!rest) continue;
        pattern = row.pattern;
        if (row.method == method && !(head && row.effect == Effect::changes)) {
          if (refuse_[i] != nullptr)
            if (auto refusal = refuse_[i](context_, request, row))
              return exchange.answer(std::move(*refusal));
          if (row.effect == Effect::changes && before_change_) before_change_(exchange);
          return row.answer(context_, {request, *rest, std::move(exchange)});
        }
        methods.push_back(row.method);
      }
    }
    exchange.answer(methods.empty() ? unknown_path(documentation_) : method_not_allowed(methods));
  }

  /// Whether there is a route for this path, with whatever method.
  bool knows(std::string_view path) const {
    for (const Table& table : tables_)
      for (const Route<Context>& row : table)
        if (match(row.pattern, path)) return true;
    return false;
  }

  /// Beginnings of the paths where even GET changes something, for the guard.
  std::vector<std::string> changing_prefixes() const {
    std::vector<std::string> prefixes;
    for (const Table& table : tables_)
      for (const Route<Context>& row : table)
        if (row.method == "GET" && row.effect == Effect::changes)
          prefixes.emplace_back(fixed_part(row.pattern));
    return prefixes;
  }

 private:
  Context& context_;
  std::string_view documentation_;
  std::vector<Table> tables_;
  std::vector<Refuse<Context>> refuse_;  // of each table
  std::function<void(Exchange&)> before_change_;
};

}  // namespace outrider::http
