// SPDX-License-Identifier: Apache-2.0
// Hashes of FARP. The specification has no rule of canonical form; the reference library hashes
// what Go's encoding/json writes for a decoded document, so that is what we write: keys sorted by
// bytes, no blanks, '<' '>' '&' U+2028 U+2029 as \u escapes, every number through a double. Other
// languages hash other bytes: a mismatch is a warning to us, never a refusal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace outrider::farp {

/// A document as Go's json.Marshal writes it after json.Unmarshal into `any`.
std::string go_canonical(const json::Value& document);

/// A finite double as Go writes it: shortest digits, 'e' form below 1e-6 and from 1e21 on.
std::string go_number(double number);

/// 64 lower-case hex digits of SHA-256 (FIPS 180-4).
std::string sha256_hex(std::string_view bytes);

/// Hash of one schema: sha256_hex(go_canonical(schema)).
std::string schema_hash(const json::Value& schema);

struct TypedHash {
  std::string type;
  std::string hash;
};
/// Checksum of a manifest: SHA-256 over the hashes joined in the order of their types; empty
/// without schemas.
std::string manifest_checksum(std::vector<TypedHash> hashes);

}  // namespace outrider::farp
