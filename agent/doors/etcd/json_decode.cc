// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>
#include <vector>

#include "agent/doors/etcd/json.h"
#include "base/base64.h"
#include "base/json_repeated.h"
#include "base/text.h"

namespace outrider::doors::etcd {
namespace {

using json::Value;

/// "range_end", "rangeEnd" and "RangeEnd" are one name.
std::string flat(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_') out += lower(c);
  return out;
}

/// The members of one message, each asked for once; what is left over is refused.
class Members {
 public:
  Members(const Value& object, std::string& wrong) : object_(object), wrong_(wrong) {
    if (object.as_object() == nullptr) fail("expected an object, got " + type_of(object));
  }
  ~Members() {
    if (object_.as_object() == nullptr) return;
    for (const auto& [name, value] : *object_.as_object())
      if (std::ranges::find(asked_, flat(name)) == asked_.end())
        fail("unknown field \"" + name + '"');
  }
  Members(const Members&) = delete;

  /// Null if it is not there, or null.
  const Value* find(std::string_view name) {
    asked_.push_back(flat(name));
    if (object_.as_object() == nullptr) return nullptr;
    for (const auto& [key, value] : *object_.as_object())
      if (flat(key) == asked_.back() && !value.is_null()) return &value;
    return nullptr;
  }
  std::string octets(std::string_view name) {
    const Value* const value = find(name);
    if (value == nullptr) return {};
    auto decoded = value->as_string() != nullptr ? base64_decode(*value->as_string())
                                                 : std::optional<std::string>();
    if (!decoded) fail(std::string(name) + ": expected octets in base64");
    return decoded.value_or("");
  }
  std::string text(std::string_view name) {
    const Value* const value = find(name);
    if (value == nullptr) return {};
    if (value->as_string() != nullptr) return *value->as_string();
    fail(std::string(name) + ": expected a string, got " + type_of(*value));
    return {};
  }
  std::int64_t number(std::string_view name) {
    const Value* const value = find(name);
    if (value == nullptr) return 0;
    if (value->as_int() != nullptr) return *value->as_int();
    if (value->as_string() != nullptr)
      if (const auto number = parse_number<std::int64_t>(*value->as_string())) return *number;
    fail(std::string(name) + ": expected a number of 64 bits; beyond 2^53, as a string");
    return 0;
  }
  bool flag(std::string_view name) {
    const Value* const value = find(name);
    if (value == nullptr) return false;
    if (value->as_bool() != nullptr) return *value->as_bool();
    fail(std::string(name) + ": expected true or false, got " + type_of(*value));
    return false;
  }
  /// By name or number.
  template <class Enum>
  Enum choice(std::string_view name, std::span<const std::string_view> names) {
    const Value* const value = find(name);
    return value == nullptr ? Enum{} : choice_of<Enum>(*value, name, names);
  }
  template <class Enum>
  Enum choice_of(const Value& value, std::string_view name,
                 std::span<const std::string_view> names) {
    if (const std::int64_t* const number = value.as_int();
        number != nullptr && *number >= 0 && *number < static_cast<std::int64_t>(names.size()))
      return static_cast<Enum>(*number);
    if (const std::string* const text = value.as_string()) {
      const auto found = std::ranges::find(names, *text);
      if (found != names.end()) return static_cast<Enum>(found - names.begin());
    }
    fail(std::string(name) + ": expected one of " + join(names, ", "));
    return Enum{};
  }
  const json::Array& list(std::string_view name) {
    static const json::Array kNone;
    const Value* const value = find(name);
    if (value == nullptr) return kNone;
    if (value->as_array() != nullptr) return *value->as_array();
    fail(std::string(name) + ": expected an array, got " + type_of(*value));
    return kNone;
  }
  void fail(std::string why) {
    if (wrong_.empty()) wrong_ = std::move(why);
  }

 private:
  static std::string type_of(const Value& value) { return value.type_name(); }

  const Value& object_;
  std::string& wrong_;
  std::vector<std::string> asked_;
};

constexpr std::string_view kOrders[] = {"NONE", "ASCEND", "DESCEND"};
constexpr std::string_view kSortTargets[] = {"KEY", "VERSION", "CREATE", "MOD", "VALUE"};
constexpr std::string_view kResults[] = {"EQUAL", "GREATER", "LESS", "NOT_EQUAL"};
constexpr std::string_view kTargets[] = {"VERSION", "CREATE", "MOD", "VALUE", "LEASE"};
constexpr std::string_view kFilters[] = {"NOPUT", "NODELETE"};

void read(Members& in, RangeRequest& request) {
  request.key = in.octets("key");
  request.range_end = in.octets("range_end");
  request.limit = in.number("limit");
  request.revision = in.number("revision");
  request.sort_order = in.choice<RangeRequest::Order>("sort_order", kOrders);
  request.sort_target = in.choice<RangeRequest::Target>("sort_target", kSortTargets);
  request.serializable = in.flag("serializable");
  request.keys_only = in.flag("keys_only");
  request.count_only = in.flag("count_only");
  request.min_mod_revision = in.number("min_mod_revision");
  request.max_mod_revision = in.number("max_mod_revision");
  request.min_create_revision = in.number("min_create_revision");
  request.max_create_revision = in.number("max_create_revision");
}

void read(Members& in, PutRequest& request) {
  request.key = in.octets("key");
  request.value = in.octets("value");
  request.lease = in.number("lease");
  request.prev_kv = in.flag("prev_kv");
  request.ignore_value = in.flag("ignore_value");
  request.ignore_lease = in.flag("ignore_lease");
}

void read(Members& in, DeleteRangeRequest& request) {
  request.key = in.octets("key");
  request.range_end = in.octets("range_end");
  request.prev_kv = in.flag("prev_kv");
}

void read(Members& in, Compare& compare) {
  compare.result = in.choice<Compare::Result>("result", kResults);
  compare.target = in.choice<Compare::Target>("target", kTargets);
  compare.key = in.octets("key");
  compare.range_end = in.octets("range_end");
  const std::int64_t numbers[] = {in.number("version"), in.number("create_revision"),
                                  in.number("mod_revision"), in.number("lease")};
  compare.value = in.octets("value");
  switch (compare.target) {
    case Compare::Target::version:
      compare.number = numbers[0];
      return;
    case Compare::Target::create:
      compare.number = numbers[1];
      return;
    case Compare::Target::mod:
      compare.number = numbers[2];
      return;
    case Compare::Target::lease:
      compare.number = numbers[3];
      return;
    case Compare::Target::value:
      return;
  }
}

/// The message in a member; false: there is none.
template <class Request>
bool read_member(Members& in, std::string_view name, Request& request, std::string& wrong) {
  const Value* const value = in.find(name);
  if (value == nullptr) return false;
  Members members(*value, wrong);
  read(members, request);
  return true;
}

void read_ops(const json::Array& list, std::vector<RequestOp>& ops, std::string& wrong) {
  for (const Value& each : list) {
    Members in(each, wrong);
    RangeRequest range;
    PutRequest put;
    DeleteRangeRequest deletion;
    if (read_member(in, "request_range", range, wrong))
      ops.emplace_back(std::move(range));
    else if (read_member(in, "request_put", put, wrong))
      ops.emplace_back(std::move(put));
    else if (read_member(in, "request_delete_range", deletion, wrong))
      ops.emplace_back(std::move(deletion));
    else if (in.find("request_txn") != nullptr)
      ops.emplace_back(NestedTxn());
    else
      in.fail(
          "an operation of a transaction has none of request_range, request_put, "
          "request_delete_range");
  }
}

void read(Members& in, TxnRequest& request, std::string& wrong) {
  for (const Value& each : in.list("compare")) {
    Members members(each, wrong);
    read(members, request.compare.emplace_back());
  }
  read_ops(in.list("success"), request.success, wrong);
  read_ops(in.list("failure"), request.failure, wrong);
}

void read(Members& in, WatchCreateRequest& request) {
  using Filter = WatchCreateRequest::Filter;
  request.key = in.octets("key");
  request.range_end = in.octets("range_end");
  request.start_revision = in.number("start_revision");
  request.progress_notify = in.flag("progress_notify");
  for (const Value& each : in.list("filters"))
    request.filters.push_back(in.choice_of<Filter>(each, "filters", kFilters));
  request.prev_kv = in.flag("prev_kv");
  request.watch_id = in.number("watch_id");
  request.fragment = in.flag("fragment");
}

void read(Members& in, LeaseGrantRequest& request) {
  request.ttl = in.number("TTL");
  request.id = in.number("ID");
}
void read(Members& in, LeaseRevokeRequest& request) {
  request.id = in.number("ID");
}
void read(Members& in, LeaseKeepAliveRequest& request) {
  request.id = in.number("ID");
}
void read(Members& in, LeaseTimeToLiveRequest& request) {
  request.id = in.number("ID");
  request.keys = in.flag("keys");
}
void read(Members& in, MemberListRequest&) {
  (void)in.flag("linearizable");
}
void read(Members& in, AuthenticateRequest& request) {
  request.name = in.text("name");
  request.password = in.text("password");
}
void read(Members&, LeaseLeasesRequest&) {}
void read(Members&, StatusRequest&) {}

/// Ids of leases have 63 bits, and some clients send them as numbers, which JSON parsers keep exact
/// up to 2^53 only: as texts they are read like the others.
std::string quote_long_numbers(std::string_view text) {
  constexpr std::size_t kExactDigits = 15;
  const auto is_part = [](char c) { return (c >= '0' && c <= '9') || c == '-'; };
  std::string out;
  bool in_string = false, escaped = false;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (!in_string && is_part(text[at])) {
      end = std::min(text.size(), text.find_first_not_of("0123456789-", at));
      const bool integer =
          end == text.size() || std::string_view(".eE").find(text[end]) == std::string_view::npos;
      // Behind a point or an exponent it is the end of another number.
      const bool whole =
          at == 0 || std::string_view(".eE+").find(text[at - 1]) == std::string_view::npos;
      if (end - at > kExactDigits && integer && whole) {
        (((out += '"') += text.substr(at, end - at)) += '"');
        at = end;
        continue;
      }
    } else if (in_string) {
      if (text[at] == '"' && !escaped) in_string = false;
      escaped = text[at] == '\\' && !escaped;
    } else if (text[at] == '"') {
      in_string = true;
    }
    out += text.substr(at, end - at);
    at = end;
  }
  return out;
}

template <class Request, class Read>
Result<Request, Error> decode_with(std::string_view text, const Read& read_members) {
  const bool blank = text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  // Each number that is quoted has 16 digits at least.
  const auto value =
      json::parse_repeated(blank ? "{}" : quote_long_numbers(text), kGatewayBodyBytesMax * 9 / 8);
  if (!value) return failure(Error{Code::invalid_argument, value.error().message});
  Request request;
  std::string wrong;
  {
    Members members(*value, wrong);
    read_members(members, request, wrong);
  }
  if (!wrong.empty()) return failure(Error{Code::invalid_argument, std::move(wrong)});
  return request;
}

template <class Request>
Result<Request, Error> decode_plain(std::string_view text) {
  return decode_with<Request>(
      text, [](Members& in, Request& request, std::string&) { read(in, request); });
}

}  // namespace

template <>
Result<RangeRequest, Error> decode(std::string_view json) {
  return decode_plain<RangeRequest>(json);
}
template <>
Result<PutRequest, Error> decode(std::string_view json) {
  return decode_plain<PutRequest>(json);
}
template <>
Result<DeleteRangeRequest, Error> decode(std::string_view json) {
  return decode_plain<DeleteRangeRequest>(json);
}
template <>
Result<TxnRequest, Error> decode(std::string_view json) {
  return decode_with<TxnRequest>(
      json, [](Members& in, TxnRequest& request, std::string& wrong) { read(in, request, wrong); });
}
template <>
Result<LeaseGrantRequest, Error> decode(std::string_view json) {
  return decode_plain<LeaseGrantRequest>(json);
}
template <>
Result<LeaseRevokeRequest, Error> decode(std::string_view json) {
  return decode_plain<LeaseRevokeRequest>(json);
}
template <>
Result<LeaseKeepAliveRequest, Error> decode(std::string_view json) {
  return decode_plain<LeaseKeepAliveRequest>(json);
}
template <>
Result<LeaseTimeToLiveRequest, Error> decode(std::string_view json) {
  return decode_plain<LeaseTimeToLiveRequest>(json);
}
template <>
Result<LeaseLeasesRequest, Error> decode(std::string_view json) {
  return decode_plain<LeaseLeasesRequest>(json);
}
template <>
Result<MemberListRequest, Error> decode(std::string_view json) {
  return decode_plain<MemberListRequest>(json);
}
template <>
Result<StatusRequest, Error> decode(std::string_view json) {
  return decode_plain<StatusRequest>(json);
}
template <>
Result<AuthenticateRequest, Error> decode(std::string_view json) {
  return decode_plain<AuthenticateRequest>(json);
}

template <>
Result<WatchRequest, Error> decode(std::string_view json) {
  return decode_with<WatchRequest>(
      json, [](Members& in, WatchRequest& request, std::string& wrong) {
        WatchCreateRequest create;
        WatchCancelRequest cancel;
        if (read_member(in, "create_request", create, wrong)) {
          request = std::move(create);
        } else if (const Value* const value = in.find("cancel_request")) {
          Members members(*value, wrong);
          cancel.watch_id = members.number("watch_id");
          request = cancel;
        } else if (in.find("progress_request") != nullptr) {
          request = WatchProgressRequest();
        } else {
          in.fail("expected one of create_request, cancel_request, progress_request");
        }
      });
}

}  // namespace outrider::doors::etcd
