// SPDX-License-Identifier: Apache-2.0
#include "dns/local_zone.h"

#include <algorithm>
#include <tuple>

#include "dns/wire/rdata.h"
#include "dns/zone_store.h"

namespace outrider::dns {
namespace {

std::uint32_t stored_expiry(TimePoint not_after) {
  if (not_after == TimePoint::max()) return StoredRecord::kNever;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      not_after.time_since_epoch() / StoredRecord::kTick, 0, StoredRecord::kNever - 1));
}

/// A record on its way into a node.
struct Prepared {
  RrType type;
  std::uint8_t rank;
  std::uint32_t weight;
  std::uint32_t expires;
  bool ends_in_origin;
  std::vector<std::uint8_t> rdata;
};

bool compressible_type(RrType type) {  // RFC 3597 §4: the types of RFC 1035 alone
  return type == RrType::ptr || type == RrType::ns;
}

/// RFC 2181 §5: no record twice in a set.
void merge_equal(std::vector<Prepared>& records) {
  std::ranges::sort(records, [](const Prepared& a, const Prepared& b) {
    return std::tie(a.type, a.rdata, a.rank) < std::tie(b.type, b.rdata, b.rank);
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (kept > 0 && records[kept - 1].type == records[i].type &&
        records[kept - 1].rdata == records[i].rdata) {
      records[kept - 1].weight += records[i].weight;
      records[kept - 1].expires = std::max(records[kept - 1].expires, records[i].expires);
    } else {
      if (kept != i) records[kept] = std::move(records[i]);
      ++kept;
    }
  }
  records.resize(kept);
  std::ranges::stable_sort(records, [](const Prepared& a, const Prepared& b) {
    return std::tie(a.type, a.rank) < std::tie(b.type, b.rank);
  });
}

}  // namespace

struct LocalZone::State {
  explicit State(const ZoneOptions& from) : options(from), store(from.hash_seed) {
    options.origin = from.origin.lowercase();
    OUTRIDER_ASSERT(options.origin.wire().size() + 1 + kLabelBytesMax <= kNameBytesMax);
    name_server = *options.origin.child("ns");
  }

  /// The owner in the form of ZoneStore.
  Bytes relative(const Name& lower) const {
    OUTRIDER_ASSERT(lower.is_under(options.origin));
    return lower.wire().first(lower.wire().size() - options.origin.wire().size());
  }

  ZoneNode::Owner make_node(const Name& owner, const std::vector<ZoneRecord>& records,
                            std::string_view why) const {
    const Bytes origin = options.origin.wire();
    std::vector<Prepared> prepared;
    prepared.reserve(records.size());
    for (const ZoneRecord& record : records) {
      auto rdata = rdata_wire(record.data);
      bool ends_in_origin = false;
      if (const auto* name = std::get_if<NameData>(&record.data))
        ends_in_origin = compressible_type(record.type) && name->name.is_under(options.origin) &&
                         origin.size() > 1;
      prepared.push_back({record.type, record.rank, std::max<std::uint32_t>(record.weight, 1),
                          stored_expiry(record.not_after), ends_in_origin, std::move(rdata)});
    }
    merge_equal(prepared);
    if (prepared.size() > kRecordsPerNameMax) prepared.resize(kRecordsPerNameMax);

    std::vector<StoredRecord> stored;
    std::vector<std::uint8_t> rdata;
    stored.reserve(prepared.size());
    for (const Prepared& one : prepared) {
      stored.push_back({one.expires, static_cast<std::uint32_t>(rdata.size()), one.type,
                        static_cast<std::uint16_t>(one.rdata.size()),
                        static_cast<std::uint16_t>(std::min<std::uint32_t>(one.weight, 0xffff)),
                        one.rank, one.ends_in_origin});
      rdata.insert(rdata.end(), one.rdata.begin(), one.rdata.end());
    }
    return ZoneNode::make(relative(owner), stored, why, rdata);
  }

  void put_name_server() {
    std::vector<ZoneRecord> records;
    for (const IpAddress& address : options.name_server)
      if (!address.is_any())
        records.push_back({address.is_v4() ? RrType::a : RrType::aaaa, AddressData{address}});
    store.put(make_node(name_server, records, {}));
  }

  ZoneOptions options;
  ZoneStore store;
  Name name_server;
  bool name_server_is_ours = true;
  std::uint32_t serial = 1;
  Callback<void()> answerable;
};

LocalZone::LocalZone(const ZoneOptions& options) : state_(std::make_unique<State>(options)) {
  state_->name_server_is_ours = !options.name_server.empty();
  if (state_->name_server_is_ours) state_->put_name_server();
}

LocalZone::~LocalZone() = default;
LocalZone::LocalZone(LocalZone&&) noexcept = default;

const Name& LocalZone::origin() const {
  return state_->options.origin;
}

void LocalZone::set(const Name& owner, std::vector<ZoneRecord> records, std::string why,
                    bool stale) {
  const Name lower = owner.lowercase();
  auto node = state_->make_node(lower, records, why);
  node->stale = stale;
  ZoneNode* const placed = node.get();
  const auto former = state_->store.put(std::move(node));
  if (state_->name_server_is_ours && lower == state_->name_server)
    state_->name_server_is_ours = false;
  if (!former || !former->same_content(*placed)) ++state_->serial;
  const bool news =
      !former || !former->set || (former->records().empty() && !placed->records().empty());
  if (news && state_->answerable) state_->answerable();
}

void LocalZone::erase(const Name& owner) {
  const Name lower = owner.lowercase();
  const bool is_name_server = lower == state_->name_server && !state_->options.name_server.empty();
  if (is_name_server && state_->name_server_is_ours) return;
  if (!state_->store.erase(state_->relative(lower))) return;
  ++state_->serial;
  if (is_name_server) {
    state_->put_name_server();
    state_->name_server_is_ours = true;
  }
}

std::size_t LocalZone::name_count() const {
  return state_->store.set_count() - (state_->name_server_is_ours ? 1 : 0);
}

LocalZone::Asked LocalZone::asked(const Name& owner) const {
  const ZoneNode* const node = state_->store.find(state_->relative(owner.lowercase()));
  if (node == nullptr) return {};
  return {node->asked.times, TimePoint(node->asked.last * StoredRecord::kTick), node->asked.by};
}

std::uint32_t LocalZone::serial() const {
  return state_->serial;
}
const ZoneOptions& LocalZone::options() const {
  return state_->options;
}
const ZoneStore& LocalZone::store() const {
  return state_->store;
}
void LocalZone::on_answerable(Callback<void()> callback) {
  state_->answerable = std::move(callback);
}

}  // namespace outrider::dns
