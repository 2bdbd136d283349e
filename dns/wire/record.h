// SPDX-License-Identifier: Apache-2.0
// Resource records as values, one struct per type that we understand; other types are kept as bytes
// (RFC 3597). To add a type: a struct here, one row in record.cc's table, a vector in
// tests/vectors.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "dns/wire/name.h"
#include "dns/wire/types.h"

namespace outrider::dns {

/// A and AAAA; the family says which.
struct AddressData {
  IpAddress address;
  bool operator==(const AddressData&) const = default;
};
/// PTR, NS, CNAME and DNAME; Record::type says which.
struct NameData {
  Name name;
  bool operator==(const NameData&) const = default;
};
struct SrvData {  // RFC 2782
  std::uint16_t priority = 0, weight = 0, port = 0;
  Name target;
  bool operator==(const SrvData&) const = default;
};
struct TxtData {  // RFC 1035 §3.3.14; each string 0–255 octets; RFC 6763 §6.1: none is one empty
                  // one
  std::vector<std::string> strings;
  bool operator==(const TxtData&) const = default;
};
struct SoaData {
  Name mname, rname;
  std::uint32_t serial = 0, refresh = 0, retry = 0, expire = 0, minimum = 0;
  bool operator==(const SoaData&) const = default;
};
struct NsecData {  // RFC 4034 §4; RFC 6762 §6.1 uses only window 0
  Name next;
  std::vector<RrType> types;  // ascending
  bool operator==(const NsecData&) const = default;
};
/// RDATA as it was on the wire. Never holds compressed names of types that we understand.
struct RawData {
  std::vector<std::uint8_t> bytes;
  bool operator==(const RawData&) const = default;
};
using Rdata = std::variant<AddressData, NameData, SrvData, TxtData, SoaData, NsecData, RawData>;

struct Record {
  Name name;
  RrType type = RrType::a;
  RrClass rr_class = RrClass::in;  // without the mDNS top bit
  bool cache_flush = false;        // RFC 6762 §10.2
  Ttl ttl = 0;
  Rdata data;

  /// Name (case-blind), type, class and rdata agree; TTL and cache-flush are not looked at. Names
  /// in rdata compare case-blind.
  bool same_as(const Record& other) const;
};

struct Question {
  Name name;
  RrType type = RrType::a;
  RrClass rr_class = RrClass::in;  // without the mDNS top bit
  bool unicast_response = false;   // RFC 6762 §5.4

  bool operator==(const Question&) const = default;
};

/// The uncompressed RDATA octets: what RFC 6762 §8.2 compares in a tie-break, byte by byte.
std::vector<std::uint8_t> rdata_wire(const Rdata& data);

/// For people: `hello.svc. 5 IN A 10.0.0.1`.
std::string to_string(const Record& record);

}  // namespace outrider::dns
