// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/packer.h"

#include <algorithm>
#include <array>

#include "dns/wire/message_builder.h"
#include "mdns/native/limits.h"

namespace outrider::mdns {
namespace {

using dns::MessageBuilder;
using dns::Section;

struct Buffer {
  std::array<std::uint8_t, kPayloadMax> bytes;
};

dns::Flags response_flags() {
  dns::Flags flags;
  flags.response = true;
  flags.authoritative = true;  // §18.4
  return flags;
}

/// Splits `count` items into datagrams: as many per datagram as the estimate allows, fewer if they
/// do not fit. An item that is larger than a frame is sent alone, in IP fragments (§17).
template <class Estimate, class Build>
void pack(std::size_t count, std::size_t limit, Estimate estimate, Build build, Emit& emit) {
  Buffer buffer;
  for (std::size_t first = 0; first < count;) {
    std::size_t taken = 0;
    for (std::size_t bytes = 64; first + taken < count; ++taken) {
      bytes += estimate(first + taken);
      if (bytes > limit && taken > 0) break;
    }
    for (;; --taken) {
      MessageBuilder builder(buffer.bytes, dns::WireProfile::multicast);
      builder.set_limit(taken == 0 ? kPayloadMax : limit);
      if (build(builder, first, std::max<std::size_t>(taken, 1))) {
        emit(builder.finish());
        break;
      }
      if (taken == 0) break;  // larger than anything that may be sent
    }
    first += std::max<std::size_t>(taken, 1);
  }
}

class GroupWriter {
 public:
  GroupWriter(const OwnRecords& own, const Link& link, const ResponseShape& shape)
      : own_(own), link_(link), shape_(shape) {}

  bool write(MessageBuilder& builder, std::span<const Group> groups) {
    builder.set_id(shape_.id);
    builder.set_flags(response_flags());
    for (const dns::Question& question : shape_.questions)
      if (!builder.add_question(question)) return false;
    written_.clear();
    for (const Group& group : groups)
      for (const OwnKey& key : group.answers)
        if (!add(builder, Section::answer, key)) return false;
    for (const Group& group : groups)
      for (const OwnKey& key : group.additionals)
        if (key.kind != OwnKind::nsec && !add(builder, Section::additional, key)) return false;
    for (const Group& group : groups)
      for (const OwnKey& key : group.additionals)
        if (key.kind == OwnKind::nsec && !add(builder, Section::additional, key)) return true;
    return true;
  }

 private:
  bool add(MessageBuilder& builder, Section section, const OwnKey& key) {
    const auto at = std::lower_bound(written_.begin(), written_.end(), key);
    if (at != written_.end() && *at == key) return true;  // no duplicates in a packet
    auto record = own_.record(key, link_);
    if (!record) return true;
    if (shape_.legacy) {
      record->cache_flush = false;
      record->ttl = std::min(record->ttl, kLegacyTtlMax);
    }
    written_.insert(at, key);
    return builder.add(section, *record);
  }

  const OwnRecords& own_;
  const Link& link_;
  const ResponseShape& shape_;
  std::vector<OwnKey> written_;
};

std::size_t estimate_record(const dns::Record& record) {
  return 14 + record.name.label(0).size() + dns::rdata_wire(record.data).size();
}

}  // namespace

void pack_groups(const OwnRecords& own, const Link& link, std::size_t limit,
                 std::span<const Group> groups, const ResponseShape& shape, Emit& emit) {
  GroupWriter writer(own, link, shape);
  const auto estimate = [&](std::size_t i) {
    std::size_t bytes = 0;
    for (const OwnKey& key : groups[i].answers)
      bytes += own.estimate(key);
    for (const OwnKey& key : groups[i].additionals)
      if (key.kind == OwnKind::srv || key.kind == OwnKind::txt) bytes += own.estimate(key);
    return bytes;
  };
  pack(
      groups.size(), limit, estimate,
      [&](MessageBuilder& builder, std::size_t first, std::size_t count) {
        return writer.write(builder, groups.subspan(first, count));
      },
      emit);
}

void pack_records(std::span<const dns::Record> records, std::size_t limit, Emit& emit) {
  pack(
      records.size(), limit, [&](std::size_t i) { return estimate_record(records[i]); },
      [&](MessageBuilder& builder, std::size_t first, std::size_t count) {
        builder.set_flags(response_flags());
        return std::ranges::all_of(records.subspan(first, count), [&](const dns::Record& record) {
          return builder.add(Section::answer, record);
        });
      },
      emit);
}

void pack_probes(std::span<const Proposal> proposals, std::size_t limit, Emit& emit) {
  const auto estimate = [&](std::size_t i) {
    std::size_t bytes = 20 + proposals[i].name.label(0).size();
    for (const dns::Record& record : proposals[i].records)
      bytes += estimate_record(record);
    return bytes;
  };
  const auto build = [&](MessageBuilder& builder, std::size_t first, std::size_t count) {
    const auto part = proposals.subspan(first, count);
    for (const Proposal& proposal : part) {
      // QM although §8.1 recommends QU: unicast to a shared port 5353 reaches only one of its
      // sockets.
      if (!builder.add_question({proposal.name, dns::RrType::any})) return false;
    }
    for (const Proposal& proposal : part) {
      for (dns::Record record : proposal.records) {
        record.cache_flush = false;  // §10.2: never in the authority of a probe
        if (!builder.add(Section::authority, record)) return false;
      }
    }
    return true;
  };
  pack(proposals.size(), limit, estimate, build, emit);
}

void pack_questions(std::span<const AskedQuestion> questions, std::size_t limit,
                    std::size_t packets, Emit& emit) {
  Buffer buffer;
  std::size_t first = 0;
  std::size_t emitted = 0;
  while (first < questions.size()) {
    std::size_t taken = 0;
    for (std::size_t bytes = dns::kHeaderBytes; first + taken < questions.size(); ++taken) {
      const AskedQuestion& asked = questions[first + taken];
      bytes += asked.question.name.wire().size() + 4;
      for (const dns::Record& record : asked.known)
        bytes += estimate_record(record);
      if (bytes > limit && taken > 0) break;
    }
    std::optional<MessageBuilder> builder;
    const auto open = [&] {
      builder.emplace(buffer.bytes, dns::WireProfile::multicast);
      builder->set_limit(limit);
    };
    open();
    for (std::size_t i = first; i < first + taken; ++i)
      if (!builder->add_question(questions[i].question)) taken = i - first;
    if (taken == 0) return;  // not even one question fits: our own limits forbid it
    // Known answers that are left out, because no packet is left or because they fit none, are sent
    // to us again.
    const auto add_known = [&](const dns::Record& record) {
      if (builder->add(Section::answer, record)) return true;
      if (emitted + 1 >= packets) return false;
      dns::Flags flags;
      flags.truncated = true;
      builder->set_flags(flags);
      emit(builder->finish());
      ++emitted;
      open();
      static_cast<void>(builder->add(Section::answer, record));
      return true;
    };
    for (std::size_t i = first; i < first + taken; ++i)
      if (!std::ranges::all_of(questions[i].known, add_known)) break;
    emit(builder->finish());
    ++emitted;
    first += taken;
  }
}

}  // namespace outrider::mdns
