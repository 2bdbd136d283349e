// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/record.h"

#include <algorithm>

#include "dns/wire/rdata.h"

namespace outrider::dns {
namespace {

std::optional<Rdata> read_address(ByteReader& reader, std::size_t size) {
  const Bytes bytes = reader.take(size);
  if (!reader.ok()) return std::nullopt;
  const IpAddress address = IpAddress::from_bytes(bytes);
  // An IPv4-mapped AAAA turns into IPv4 in our form; it stays bytes so that it stays an AAAA.
  if (address.bytes().size() != size) return RawData{{bytes.begin(), bytes.end()}};
  return AddressData{address};
}

std::optional<Rdata> read_name_data(ByteReader& reader) {
  const auto name = Name::read(reader, kHeaderBytes);
  if (!name) return std::nullopt;
  return NameData{*name};
}

std::optional<Rdata> read_srv(ByteReader& reader) {
  SrvData srv;
  srv.priority = reader.u16();
  srv.weight = reader.u16();
  srv.port = reader.u16();
  const auto target = Name::read(reader, kHeaderBytes);
  if (!target) return std::nullopt;
  srv.target = *target;
  return srv;
}

std::optional<Rdata> read_txt(ByteReader& reader, std::size_t end) {
  TxtData txt;
  while (reader.ok() && reader.position() < end) {
    const std::string_view text = as_text(reader.take(reader.u8()));
    if (reader.position() > end) return std::nullopt;
    txt.strings.emplace_back(text);
  }
  if (txt.strings.empty()) txt.strings.emplace_back();  // RFC 6763 §6.1
  return txt;
}

std::optional<Rdata> read_soa(ByteReader& reader) {
  SoaData soa;
  const auto mname = Name::read(reader, kHeaderBytes);
  const auto rname = Name::read(reader, kHeaderBytes);
  if (!mname || !rname) return std::nullopt;
  soa.mname = *mname;
  soa.rname = *rname;
  for (std::uint32_t* number : {&soa.serial, &soa.refresh, &soa.retry, &soa.expire, &soa.minimum})
    *number = reader.u32();
  return soa;
}

/// RFC 4034 §4.1.2: windows ascending, 1 to 32 octets each.
std::optional<Rdata> read_nsec(ByteReader& reader, std::size_t end) {
  NsecData nsec;
  const auto next = Name::read(reader, kHeaderBytes);
  if (!next) return std::nullopt;
  nsec.next = *next;
  int last_window = -1;
  while (reader.ok() && reader.position() < end) {
    const int window = reader.u8();
    const std::size_t size = reader.u8();
    const Bytes map = reader.take(size);
    if (!reader.ok() || window <= last_window || size == 0 || size > 32) return std::nullopt;
    last_window = window;
    for (unsigned bit = 0; bit < size * 8; ++bit)
      if ((map[bit / 8] & 0x80U >> bit % 8) != 0)
        nsec.types.push_back(static_cast<RrType>(static_cast<unsigned>(window) << 8 | bit));
  }
  return nsec;
}

/// Types of old RFCs whose RDATA may hold compressed names (RFC 3597 §4, RFC 1035 §3.3, RFC 1183):
/// '2' two octets, 'n' a name. They become RawData with the names written out.
std::string_view layout_of(RrType type) {
  switch (static_cast<unsigned>(type)) {
    case 3:  // MD
    case 4:  // MF
    case 7:  // MB
    case 8:  // MG
    case 9:  // MR
      return "n";
    case 14:  // MINFO
    case 17:  // RP
      return "nn";
    case 15:  // MX
    case 18:  // AFSDB
    case 21:  // RT
    case 36:  // KX
      return "2n";
    case 26:  // PX
      return "2nn";
  }
  return "";
}

std::optional<Rdata> read_layout(ByteReader& reader, std::string_view layout) {
  RawData raw;
  for (const char part : layout) {
    Bytes bytes;
    std::optional<Name> name;
    if (part == 'n') {
      name = Name::read(reader, kHeaderBytes);
      if (!name) return std::nullopt;
      bytes = name->wire();
    } else {
      bytes = reader.take(2);
    }
    raw.bytes.insert(raw.bytes.end(), bytes.begin(), bytes.end());
  }
  return raw;
}

std::optional<Rdata> read_raw(ByteReader& reader, std::size_t length) {
  const Bytes bytes = reader.take(length);
  return RawData{{bytes.begin(), bytes.end()}};
}

std::optional<Rdata> read_typed(ByteReader& reader, RrType type, RrClass rr_class,
                                std::size_t length) {
  const std::size_t end = reader.position() + length;
  const bool internet = rr_class == RrClass::in;
  switch (type) {
    case RrType::a:
      return internet ? read_address(reader, 4) : read_raw(reader, length);
    case RrType::aaaa:
      return internet ? read_address(reader, 16) : read_raw(reader, length);
    case RrType::srv:
      return internet ? read_srv(reader) : read_raw(reader, length);
    case RrType::ns:
    case RrType::cname:
    case RrType::ptr:
    case RrType::dname:
      return read_name_data(reader);
    case RrType::soa:
      return read_soa(reader);
    case RrType::txt:
      return read_txt(reader, end);
    case RrType::nsec:
      return read_nsec(reader, end);
    case RrType::hinfo:
    case RrType::mx:
    case RrType::opt:
    case RrType::ds:
    case RrType::rrsig:
    case RrType::dnskey:
    case RrType::svcb:
    case RrType::https:
    case RrType::ixfr:
    case RrType::axfr:
    case RrType::any:
      break;
  }
  const std::string_view layout = layout_of(type);
  return layout.empty() ? read_raw(reader, length) : read_layout(reader, layout);
}

struct VectorOut {
  std::vector<std::uint8_t> bytes;
  void u8(std::uint8_t value) { bytes.push_back(value); }
  void u16(std::uint16_t value) {
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value));
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value));
  }
  void put(Bytes more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  void name(const Name& name) { put(name.wire()); }
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto octet = static_cast<std::uint8_t>(c);
    if (octet < 0x20 || octet >= 0x7f) {
      out += {'\\', static_cast<char>('0' + octet / 100), static_cast<char>('0' + octet / 10 % 10),
              static_cast<char>('0' + octet % 10)};
    } else {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  return out + '"';
}

struct RdataText {
  std::string operator()(const AddressData& d) const { return d.address.to_string(); }
  std::string operator()(const NameData& d) const { return d.name.to_string(); }
  std::string operator()(const SrvData& d) const {
    return std::to_string(d.priority) + ' ' + std::to_string(d.weight) + ' ' +
           std::to_string(d.port) + ' ' + d.target.to_string();
  }
  std::string operator()(const TxtData& d) const {
    std::string text;
    for (const std::string& string : d.strings)
      text += (text.empty() ? "" : " ") + quoted(string);
    return text.empty() ? "\"\"" : text;
  }
  std::string operator()(const SoaData& d) const {
    std::string text = d.mname.to_string() + ' ' + d.rname.to_string();
    for (const std::uint32_t number : {d.serial, d.refresh, d.retry, d.expire, d.minimum})
      text += ' ' + std::to_string(number);
    return text;
  }
  std::string operator()(const NsecData& d) const {
    std::string text = d.next.to_string();
    for (const RrType type : d.types)
      text += ' ' + to_string(type);
    return text;
  }
  std::string operator()(const RawData& d) const {  // RFC 3597 §5
    constexpr char kHex[] = "0123456789abcdef";
    std::string text = "\\# " + std::to_string(d.bytes.size());
    if (!d.bytes.empty()) text.push_back(' ');
    for (const std::uint8_t octet : d.bytes)
      text += {kHex[octet >> 4], kHex[octet & 15]};
    return text;
  }
};

std::string class_text(RrClass rr_class) {
  switch (rr_class) {
    case RrClass::in:
      return "IN";
    case RrClass::ch:
      return "CH";
    case RrClass::none:
      return "NONE";
    case RrClass::any:
      return "ANY";
  }
  return "CLASS" + std::to_string(static_cast<unsigned>(rr_class));  // an open enum
}

}  // namespace

std::optional<Rdata> read_rdata(ByteReader& reader, RrType type, RrClass rr_class,
                                std::size_t length) {
  if (length <= reader.left()) {
    const std::size_t end = reader.position() + length;
    auto data = read_typed(reader, type, rr_class, length);
    if (data && reader.ok() && reader.position() == end) return data;
  }
  reader.fail();
  return std::nullopt;
}

std::vector<std::uint8_t> rdata_wire(const Rdata& data) {
  VectorOut out;
  encode_rdata(data, out);
  return std::move(out.bytes);
}

bool Record::same_as(const Record& other) const {
  return type == other.type && rr_class == other.rr_class && name == other.name &&
         data == other.data;
}

std::string to_string(const Record& record) {
  return record.name.to_string() + ' ' + std::to_string(record.ttl) + ' ' +
         class_text(record.rr_class) + ' ' + to_string(record.type) + ' ' +
         std::visit(RdataText{}, record.data);
}

}  // namespace outrider::dns
