// SPDX-License-Identifier: Apache-2.0
#include "base/json_members.h"

namespace outrider::json {

std::string text_at(const Value& object, std::string_view key) {
  const Value* const member = object.find(key);
  const std::string* const text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::int64_t number_at(const Value& object, std::string_view key) {
  const Value* const member = object.find(key);
  const std::int64_t* const number = member != nullptr ? member->as_int() : nullptr;
  return number != nullptr ? *number : 0;
}

bool flag_at(const Value& object, std::string_view key) {
  const Value* const member = object.find(key);
  const bool* const flag = member != nullptr ? member->as_bool() : nullptr;
  return flag != nullptr && *flag;
}

const Array& list_at(const Value& object, std::string_view key) {
  static const Array kNone;
  const Value* const member = object.find(key);
  const Array* const list = member != nullptr ? member->as_array() : nullptr;
  return list != nullptr ? *list : kNone;
}

}  // namespace outrider::json
