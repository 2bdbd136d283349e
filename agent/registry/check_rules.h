// SPDX-License-Identifier: Apache-2.0
// What the rows of a check cannot say each for itself. A check that is accepted and then not
// probed, or not looked at as it was meant, would keep its service out of everything, or in.
#pragma once

#include <optional>
#include <string_view>

#include "agent/registry/model.h"

namespace outrider::registry {

/// RFC 9110 §5.6.2: the name of a method or of a header field.
bool is_token(std::string_view text);
/// What a Host header is made of: "web.test:8080", "[::1]".
bool is_authority(std::string_view text);

/// The "checks" of completed rows; a check without an id gets one from its kind.
Result<std::vector<CheckSpec>, SpecError> read_checks(const json::Value& rows,
                                                      std::string_view path);

/// The one kind that the rows name; an error if they name none or several.
Result<CheckKindFacts, SpecError> kind_given(const json::Value& rows, std::string_view path);
/// An error for a key that has no effect on checks of this kind.
std::optional<SpecError> wrong_for_kind(CheckKind kind, const json::Value& rows,
                                        std::string_view path);
std::optional<SpecError> wrong_tls(const TlsOptions& tls, std::string_view path);

}  // namespace outrider::registry
