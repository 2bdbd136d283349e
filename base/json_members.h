// SPDX-License-Identifier: Apache-2.0
// Members of objects that come from other programs and earlier versions: what is missing or of
// another type reads as empty. What users write is read by rows instead (agent/registry/rows.h),
// which say what is wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace outrider::json {

/// "", 0, false or an empty list if `object` has no such member of that type, or is no object. The
/// list is that of `object`, for as long as it lives.
std::string text_at(const Value& object, std::string_view key);
std::int64_t number_at(const Value& object, std::string_view key);
bool flag_at(const Value& object, std::string_view key);
const Array& list_at(const Value& object, std::string_view key);

}  // namespace outrider::json
