// SPDX-License-Identifier: Apache-2.0
// A read-only view over the bytes of one DNS message. Parsing the question allocates nothing, so
// that a stub server can answer from it; records are read one after another on demand.
//
//   auto view = MessageView::parse(bytes);          // header and first question checked
//   for (auto records = view->records(); auto record = records.next();) …
//   if (records.failed()) …                         // malformed from there on
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/wire/edns.h"
#include "dns/wire/record.h"

namespace outrider::dns {

enum class WireError : std::uint8_t {
  short_header,    // fewer than 12 octets: not even an id to answer to
  bad_question,    // the question section does not parse
  bad_record,      // a record does not parse
  bad_name,        // pointer loop, forward pointer, too many hops, too long
  bad_rdata,       // RDATA does not fit its type or its length
  trailing_bytes,  // octets after the last record
};
const char* to_string(WireError error);

enum class Section : std::uint8_t { answer, authority, additional };

struct SectionRecord {
  Section section = Section::answer;
  Record record;
  std::size_t offset = 0;      // of the owner name in the message
  std::size_t ttl_offset = 0;  // of the TTL field
};

class MessageView;

/// Walks the records of all three sections in order.
class RecordCursor {
 public:
  /// The next record, or nothing at the end and at the first malformed one. OPT records come with
  /// RawData like any unknown type; see MessageView::edns().
  std::optional<SectionRecord> next();
  /// From here on, records whose RDATA is damaged but whose length is right are left out instead of
  /// ending the walk: multicast peers with a broken NSEC still have addresses.
  void skip_bad_rdata() { skip_bad_rdata_ = true; }
  bool failed() const { return failed_; }
  WireError error() const { return error_; }
  /// Where the reader is: after the last record if all of them were read.
  std::size_t position() const { return reader_.position(); }

 private:
  friend class MessageView;
  RecordCursor(ByteReader reader, const Header& header);
  std::optional<SectionRecord> read(bool* skipped);
  ByteReader reader_;
  std::uint32_t left_[3];
  WireError error_ = WireError::bad_record;
  bool failed_ = false;
  bool skip_bad_rdata_ = false;
};

class MessageView {
 public:
  /// Checks the header and that all questions parse. The bytes must outlive the view.
  static Result<MessageView, WireError> parse(Bytes bytes);
  /// The header alone, for messages whose question is broken: nothing below 12 octets.
  static std::optional<Header> parse_header(Bytes bytes);

  const Header& header() const { return header_; }
  Bytes bytes() const { return bytes_; }

  /// The first question; only if header().questions >= 1.
  const Question& question() const { return question_; }
  /// All of them; allocates.
  std::vector<Question> questions() const;
  /// The bytes of the first question as sent (name, type, class), to echo; case kept.
  Bytes question_wire() const;

  RecordCursor records() const;
  /// Walks all records to find the OPT record, allocates nothing and does not look into RDATA.
  /// nullopt if there is none; an error if records do not frame, if octets are left over, if there
  /// are two OPT, or if it is not in Additional or not at the root (RFC 6891 §6.1.1).
  Result<std::optional<Edns>, WireError> edns() const;

 private:
  Bytes bytes_;
  Header header_;
  Question question_;
  std::size_t question_end_ = kHeaderBytes;   // after the first question
  std::size_t records_begin_ = kHeaderBytes;  // after the last question
};

}  // namespace outrider::dns
