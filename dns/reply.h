// SPDX-License-Identifier: Apache-2.0
// One reply of the stub server, written straight into a buffer: header, the question as it came,
// records whose owners are pointers, OPT. Records go in whole or not at all.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "dns/limits.h"
#include "dns/query.h"
#include "dns/wire/message_view.h"

namespace outrider::dns {

enum class Transport : std::uint8_t { udp, tcp };

/// How large a reply to this query may be (RFC 1035 §4.2.1, RFC 6891 §6.2.5).
std::size_t reply_limit(const Query& query, Transport transport);

/// The position of an owner name in the message, for a compression pointer.
using NamePlace = std::size_t;
inline constexpr NamePlace kQuestionName = kHeaderBytes;

class Reply {
 public:
  /// The buffer holds at least `limit` octets. Query and buffer outlive the reply.
  Reply(MutableBytes buffer, const Query& query, std::size_t limit);

  /// Why the answer is what it is (RFC 8914), if the client speaks EDNS and there is room left in
  /// the end. The text must live until finish().
  void set_extended_error(ExtendedError code, std::string_view text);

  /// Begins a record; RDATA is then written through `out`, and end() keeps all of it or nothing.
  ByteWriter& begin(NamePlace owner, RrType type, RrClass rr_class, Ttl ttl);
  bool end(Section section);
  /// The same in one step.
  bool add(Section section, NamePlace owner, RrType type, RrClass rr_class, Ttl ttl, Bytes rdata);

  std::size_t size() const { return out_.size(); }
  bool has(Section section) const { return counts_[static_cast<std::size_t>(section)] > 0; }

  bool authoritative = false;
  bool truncated = false;
  bool recursion_available = false;
  Rcode rcode = Rcode::noerror;

  Bytes finish();

 private:
  const Query& query_;
  ByteWriter out_;
  std::size_t reserved_;
  std::size_t begun_ = 0;  // where the open record starts
  std::size_t rdata_ = 0;
  std::uint16_t counts_[3] = {};
  std::optional<Explanation> why_;
};

}  // namespace outrider::dns
