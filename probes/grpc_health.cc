// SPDX-License-Identifier: Apache-2.0
#include "probes/grpc_health.h"

#include <array>

#include "base/text.h"

namespace outrider::probes {
namespace {

constexpr std::size_t kPrefixBytes = 5;
constexpr std::uint8_t kServiceTag = 1U << 3 | 2U;  // field 1, length-delimited
constexpr std::uint64_t kStatusTag = 1U << 3 | 0U;  // field 1, varint

void put_varint(ByteWriter& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.u8(static_cast<std::uint8_t>(value | 0x80));
  out.u8(static_cast<std::uint8_t>(value));
}

std::uint64_t varint(ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t octet = in.u8();
    value |= static_cast<std::uint64_t>(octet & 0x7f) << shift;
    if ((octet & 0x80) == 0) return value;
  }
  in.fail();
  return 0;
}

void skip_field(ByteReader& in, std::uint64_t wire_type) {
  switch (wire_type) {
    case 0:
      varint(in);
      break;
    case 1:
      in.skip(8);
      break;
    case 2: {
      const std::uint64_t length = varint(in);
      if (length > in.left())
        in.fail();
      else
        in.skip(static_cast<std::size_t>(length));
      break;
    }
    case 5:
      in.skip(4);
      break;
    default:  // of the wire format: groups, deprecated for decades
      in.fail();
      break;
  }
}

const char* serving_word(int status) {
  static constexpr std::array<const char*, 4> kWords{"UNKNOWN", "SERVING", "NOT_SERVING",
                                                     "SERVICE_UNKNOWN"};
  const auto index = static_cast<std::size_t>(status);
  return index < kWords.size() ? kWords[index] : "a status not in the protocol";
}

}  // namespace

std::string grpc_health_request(std::string_view service) {
  std::array<std::uint8_t, kPrefixBytes + 11> head{};
  ByteWriter message(MutableBytes(head).subspan(kPrefixBytes));
  if (!service.empty()) {
    message.u8(kServiceTag);
    put_varint(message, service.size());
  }
  ByteWriter prefix(MutableBytes(head).first(kPrefixBytes));
  prefix.u8(0);
  prefix.u32(static_cast<std::uint32_t>(message.size() + service.size()));
  std::string framed(as_text(prefix.written()));
  framed.append(as_text(message.written())).append(service);
  return framed;
}

std::optional<int> grpc_serving_status(Bytes framed) {
  ByteReader in(framed);
  const std::uint8_t compressed = in.u8();
  const std::uint32_t length = in.u32();
  if (!in.ok() || compressed != 0 || length != in.left()) return std::nullopt;
  std::uint64_t status = 0;
  while (in.ok() && in.left() > 0) {
    const std::uint64_t tag = varint(in);
    if (tag == kStatusTag)
      status = varint(in);
    else
      skip_field(in, tag & 7);
  }
  if (!in.ok() || status > 0x7fff'ffff) return std::nullopt;
  return static_cast<int>(status);
}

Outcome judge_grpc(int http_status, std::optional<std::string_view> grpc_status,
                   std::string_view grpc_message, Bytes framed) {
  Outcome outcome;
  if (http_status != 200 || !grpc_status) {
    outcome.kind = OutcomeKind::fail_protocol;
    outcome.output = "not a gRPC server: HTTP " + std::to_string(http_status) +
                     (grpc_status ? "" : ", no grpc-status");
    return outcome;
  }
  const int code = parse_number<int>(*grpc_status).value_or(-1);
  if (code < 0) {
    outcome.kind = OutcomeKind::fail_protocol;
    outcome.output = "grpc-status is not a number";
    return outcome;
  }
  if (code != 0) {
    // 5 NOT_FOUND: no such service; 12 UNIMPLEMENTED: a gRPC server without health checks.
    outcome.kind = OutcomeKind::fail_status;
    outcome.output = "grpc-status " + std::to_string(code);
    // PROTOCOL-HTTP2.md: it is percent-encoded, and malformed escapes stay as they are.
    if (!grpc_message.empty()) outcome.output.append(": ").append(percent_decode(grpc_message));
    return outcome;
  }
  const std::optional<int> serving = grpc_serving_status(framed);
  if (!serving) {
    outcome.kind = OutcomeKind::fail_protocol;
    outcome.output = "not a HealthCheckResponse";
    return outcome;
  }
  outcome.status = *serving;
  outcome.kind = *serving == kServing ? OutcomeKind::pass : OutcomeKind::fail_status;
  outcome.output = serving_word(*serving);
  return outcome;
}

}  // namespace outrider::probes
