// SPDX-License-Identifier: Apache-2.0
#include "mdns/avahi/publications.h"

#include <algorithm>

#include "base/text.h"
#include "mdns/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns::avahi {
namespace {

bool marks_address(const Announcement& wanted) {
  return std::any_of(wanted.txt.begin(), wanted.txt.end(), [](const std::string& text) {
    return text.find(kAddressMark) != std::string::npos;
  });
}

/// What the daemon has to probe for again. Priority and weight do not matter: Avahi has no way to
/// set them.
bool differs_beyond_txt(const Announcement& a, const Announcement& b) {
  return a.label != b.label || a.type != b.type || a.subtypes != b.subtypes || a.port != b.port ||
         a.addresses != b.addresses || a.host_only != b.host_only;
}

bool differs_beyond_txt(const ServiceEntry& a, const ServiceEntry& b) {
  ServiceEntry same = a;
  same.txt = b.txt;
  return same != b;
}

}  // namespace

std::optional<PublishError> Publications::check(AnnouncementId id,
                                                const Announcement& wanted) const {
  if (const auto error = mdns::check(wanted)) return error;
  if (!items_.contains(id) && items_.size() >= kGroupsMax) return PublishError::too_many;
  return std::nullopt;
}

void Publications::publish(TimePoint now, AnnouncementId id, const Announcement& wanted) {
  const auto [found, fresh] = items_.try_emplace(id);
  Item& item = found->second;
  const bool again =
      fresh || item.stage == Stage::lost_name || differs_beyond_txt(item.wanted, wanted);
  const bool same_txt = item.wanted.txt == wanted.txt;
  item.wanted = wanted;
  if (again) {
    drop(item);
    item.label.clear();  // it is not in its own way
    item.label = label_for(wanted, wanted.preferred.empty() ? wanted.label : wanted.preferred, 2);
    item.reported.clear();
    item.renames = 0;
    if (open_) make(item, id);
    return;
  }
  if (same_txt || item.object == 0) return;
  renew(item, id);
  run(now);
}

void Publications::withdraw(AnnouncementId id) {
  const auto found = items_.find(id);
  if (found == items_.end()) return;
  drop(found->second);
  items_.erase(found);
}

void Publications::withdraw_all() {
  while (!items_.empty())
    withdraw(items_.begin()->first);
}

void Publications::on_links_changed(TimePoint now, const std::vector<Link>& links) {
  links_ = links;
  if (!open_) return;
  for (auto& [id, item] : items_)
    if (item.stage != Stage::lost_name) renew(item, id);
  run(now);
}

void Publications::open(TimePoint now) {
  open_ = true;
  for (auto& [id, item] : items_)
    if (item.object == 0 && item.stage != Stage::lost_name) make(item, id);
  run(now);
}

void Publications::pause() {
  for (auto& [id, item] : items_)
    if (item.stage != Stage::lost_name) drop(item);
  open_ = false;
}

void Publications::close() {
  open_ = false;
  objects_.clear();
  for (auto& [id, item] : items_) {
    item.object = 0;
    item.txt_changed = false;
    if (item.stage != Stage::lost_name) item.stage = Stage::none;
  }
}

std::vector<const Link*> Publications::links_of(const Announcement& wanted) const {
  std::vector<const Link*> out;
  for (const Link& link : links_)
    if (wanted.host_only ? link.loopback : link.carries_lan) out.push_back(&link);
  return out;
}

/// An entry for each of our links if the TXT contains an address or interfaces were chosen. Else
/// one entry for all interfaces of the daemon, which then follows their changes by itself.
Publications::Group Publications::group_of(const Item& item) const {
  const Announcement& wanted = item.wanted;
  if (wanted.is_name()) return group_of_name(item);
  Group group;
  std::string host;
  if (!wanted.addresses.empty())
    host = host_label(options_.host, options_.cookie, wanted.addresses) + ".local";
  const std::size_t addresses = std::min(wanted.addresses.size(), kOwnAddressesMax);
  const std::size_t each = 1 + addresses;
  std::vector<std::string> subtypes = wanted.subtypes;
  const auto add = [&](std::uint32_t interface, std::vector<std::string> txt) {
    if ((group.services.size() + 1) * (each + subtypes.size()) > kEntriesPerGroupMax) return;
    for (std::size_t i = 0; i < addresses; ++i)
      group.addresses.push_back({interface, host, wanted.addresses[i].with_scope(0)});
    group.services.push_back(
        {interface, item.label, wanted.type, subtypes, host, wanted.port, std::move(txt)});
  };
  const bool mark = marks_address(wanted);
  if (!mark && !wanted.host_only && !options_.only_links) {
    add(0, wanted.txt);
    return group;
  }
  const std::vector<const Link*> links = links_of(wanted);
  // If the daemon has no room for all, links come before subtypes.
  const std::size_t room = kEntriesPerGroupMax / std::max<std::size_t>(links.size(), 1);
  subtypes.resize(std::min(subtypes.size(), room > each ? room - each : 0));
  for (const Link* link : links) {
    const IpAddress address = !wanted.addresses.empty() ? wanted.addresses.front()
                              : wanted.host_only        ? IpAddress::loopback(IpAddress::Family::v4)
                                                        : link->addresses.front();
    add(link->index, mark ? with_address(wanted.txt, address) : wanted.txt);
  }
  return group;
}

/// The daemon has no entry for "the addresses of each interface": there is one for each address.
Publications::Group Publications::group_of_name(const Item& item) const {
  const Announcement& wanted = item.wanted;
  Group group;
  for (const Link* link : links_of(wanted)) {
    std::vector<IpAddress> addresses = !wanted.addresses.empty() ? wanted.addresses
                                       : wanted.host_only
                                           ? std::vector{IpAddress::loopback(Family::v4)}
                                           : link->addresses;
    addresses.resize(std::min(
        {addresses.size(), kOwnAddressesMax, kEntriesPerGroupMax - group.addresses.size()}));
    for (const IpAddress& address : addresses)
      group.addresses.push_back({link->index, item.label + ".local", address.with_scope(0)});
  }
  return group;
}

std::string Publications::label_for(const Announcement& wanted, const std::string& first,
                                    unsigned number) const {
  if (!wanted.is_name()) return first;  // the daemon knows of all instances
  return free_label(first, wanted.label, number, [this](const std::string& label) {
    return equal_fold(label, options_.machine) ||
           std::ranges::any_of(items_, [&](const auto& entry) {
             return entry.second.wanted.is_name() && equal_fold(entry.second.label, label);
           });
  });
}

void Publications::make(Item& item, AnnouncementId id) {
  item.group = group_of(item);
  item.stage = Stage::none;
  item.txt_changed = false;
  if (item.group.empty()) return;  // no link: on_links_changed() will create it
  item.object = sender_.next_object();
  item.stage = Stage::registering;
  objects_[item.object] = id;
  sender_.send(PublishGroup{item.object, item.group.addresses, item.group.services});
}

void Publications::drop(Item& item) {
  if (item.object != 0) {
    sender_.send(Free{item.object});
    objects_.erase(item.object);
  }
  item.object = 0;
  item.stage = Stage::none;
  item.txt_changed = false;
}

/// Brings the group up to date: with an update of its TXT if nothing else has changed.
void Publications::renew(Item& item, AnnouncementId id) {
  Group next = group_of(item);
  const Group& now = item.group;
  const bool txt_only =
      item.object != 0 && next.addresses == now.addresses &&
      std::equal(
          next.services.begin(), next.services.end(), now.services.begin(), now.services.end(),
          [](const ServiceEntry& a, const ServiceEntry& b) { return !differs_beyond_txt(a, b); });
  if (!txt_only) {
    drop(item);
    make(item, id);
  } else if (next.services != now.services) {
    item.txt_changed = true;
  }
}

bool Publications::is_own(const ServiceType& type, const std::string& label) const {
  return std::any_of(items_.begin(), items_.end(), [&](const auto& entry) {
    const Item& item = entry.second;
    return item.object != 0 && item.wanted.type.size() == type.size() && item.label == label &&
           type_name(item.wanted.type) == type_name(type);
  });
}

void Publications::on_group(TimePoint now, const GroupChanged& change) {
  const auto found = objects_.find(change.object);
  if (found == objects_.end()) return;
  const AnnouncementId id = found->second;
  Item& item = items_.at(id);
  switch (change.state) {
    case GroupState::registering:
      item.stage = Stage::registering;
      break;
    case GroupState::established:
      item.stage = Stage::established;
      item.txt_free = now + kTxtInterval;
      if (item.reported != item.label) {
        item.reported = item.label;
        events_.push_back({id, Outcome::announced, item.label});
      }
      break;
    case GroupState::collision:
      on_collision(item, id);
      break;
    case GroupState::failed:
      drop(item);
      item.stage = Stage::refused;
      item.retry = now + kGroupRetry;
      events_.push_back({id, Outcome::refused, change.why});
      break;
  }
}

void Publications::on_collision(Item& item, AnnouncementId id) {
  drop(item);
  item.reported.clear();
  if (!item.wanted.is_name()) lost_names_.push_back({item.wanted.type, item.label});
  if (options_.conflict == ConflictPolicy::fail || item.renames >= kRenamesMax) {
    item.stage = Stage::lost_name;
    events_.push_back({id, Outcome::conflict, {}});
    return;
  }
  ++item.renames;
  const unsigned number = item.renames + 1;
  item.label = label_for(item.wanted, next_label(item.wanted.label, number), number + 1);
  make(item, id);
}

void Publications::run(TimePoint now) {
  if (!open_) return;
  for (auto& [id, item] : items_) {
    if (item.stage == Stage::refused && item.retry <= now) make(item, id);
    if (!item.txt_changed || item.stage != Stage::established || item.txt_free > now) continue;
    item.txt_changed = false;
    item.txt_free = now + kTxtInterval;
    item.group = group_of(item);
    sender_.send(UpdateTxt{item.object, item.group.services});
  }
}

std::optional<TimePoint> Publications::next_due() const {
  std::optional<TimePoint> due;
  if (!open_) return due;
  for (const auto& [id, item] : items_) {
    std::optional<TimePoint> at;
    if (item.stage == Stage::refused) at = item.retry;
    if (item.stage == Stage::established && item.txt_changed) at = item.txt_free;
    if (at && (!due || *at < *due)) due = at;
  }
  return due;
}

}  // namespace outrider::mdns::avahi
