// SPDX-License-Identifier: Apache-2.0
#include "tests/mdns/fake_avahi.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace outrider::mdns::fake {

using namespace avahi;

namespace {

/// Where a host sees a service: an interface of his, and the family.
using Place = std::pair<std::uint32_t, Family>;

struct Seen {
  ServiceEntry entry;
  std::string host;
  std::vector<IpAddress> addresses;
  bool local = false, own = false;
};

}  // namespace

class FakeClient final : public Client {
 public:
  FakeClient(Daemon& daemon, Lan& lan) : daemon_(daemon), lan_(lan) {
    lan_.clients.push_back(this);
  }
  ~FakeClient() override {
    std::erase(lan_.clients, this);
    lan_.changed(kRemoteGoodbye);
  }

  void connect(Sink& sink) override {
    sink_ = &sink;
    drop_all();
    commands_.clear();
    events_.clear();
    ++daemon_.connects;
    connected_ = false;
    asked_to_connect_ = true;
    if (!daemon_.hung()) connect_now();
  }
  void connect_now() {
    asked_to_connect_ = false;
    connected_ = daemon_.bus();
    if (!connected_) return say(ConnectionChanged{Connection::failed, "D-Bus: no bus"});
    say(ConnectionChanged{!daemon_.up()       ? Connection::waiting
                          : daemon_.running() ? Connection::running
                                              : Connection::registering,
                          ""});
  }
  bool send(Command command) override {
    if (commands_.size() >= kCommandsMax) return false;
    commands_.push_back(std::move(command));
    later_ = env().after(Duration::zero(), [this] { carry_out(); });
    return true;
  }
  void disconnect(Callback<void()> done) override {
    done_ = std::move(done);
    later_ = env().after(Duration::zero(), [this] { carry_out(); });
  }

  void daemon_says(Connection state) {
    if (!connected_) return;
    if (state == Connection::failed) {
      connected_ = false;
      drop_all();
    }
    say(ConnectionChanged{state, "Daemon connection failed"});
  }
  void carry_out();
  void look();
  bool waits() const { return connected_; }
  Daemon& daemon() { return daemon_; }

 private:
  struct Group {
    PublishGroup published;
    bool established = false;
    Timer probing;
  };
  struct Resolver {
    Resolve wanted;
    std::optional<Resolved> told;
    Timer patience;
  };
  struct HostResolver {
    ResolveHost wanted;
    Timer patience;
  };

  Env& env() { return daemon_.host().env(); }
  void say(Event event) {
    events_.push_back(std::move(event));
    if (!saying_.pending()) saying_ = env().after(kAnswer, [this] { deliver(); });
  }
  void deliver() {
    if (daemon_.hung()) return;
    if (!events_.empty() && sink_ != nullptr) sink_->on_events(std::exchange(events_, {}));
  }
  void drop_all() {
    const bool published = !groups_.empty();
    groups_.clear();
    types_ = 0;
    type_places_.clear();
    browsers_.clear();
    resolvers_.clear();
    hosts_.clear();
    if (published) lan_.changed(kRemoteGoodbye);
  }
  void run(const PublishGroup& command);
  void run(const UpdateTxt& command);
  void run(const BrowseTypes& command) { types_ = command.object; }
  void run(const Browse& command) { browsers_[command.object].type = command.type; }
  void run(const Resolve& command);
  void run(const ResolveHost& command);
  void run(const Free& command);
  bool name_is_taken(const PublishGroup& group);
  bool is_taken(const ServiceEntry& entry) const;
  bool is_taken(const AddressEntry& entry) const;
  std::map<Place, std::vector<Seen>> visible();

  Daemon& daemon_;
  Lan& lan_;
  Sink* sink_ = nullptr;
  bool connected_ = false;
  bool asked_to_connect_ = false;
  std::deque<Command> commands_;
  std::vector<Event> events_;
  Callback<void()> done_;
  Timer later_, saying_;
  std::map<Object, Group> groups_;
  Object types_ = 0;
  std::set<std::pair<ServiceType, Place>> type_places_;
  struct Browser {
    ServiceType type;
    std::map<std::pair<std::string, Place>, bool> seen;
  };
  std::map<Object, Browser> browsers_;
  std::map<Object, Resolver> resolvers_;
  std::map<Object, HostResolver> hosts_;
};

// --- What everybody can see
// -----------------------------------------------------------------------

std::map<Place, std::vector<Seen>> FakeClient::visible() {
  std::map<Place, std::vector<Seen>> out;
  for (const Interface& here : env().network.interfaces()) {
    for (FakeClient* other : lan_.clients) {
      const bool local = &other->daemon_ == &daemon_;
      if ((here.loopback && !local) || !here.up) continue;
      for (const Interface& there : other->env().network.interfaces()) {
        if (there.loopback != here.loopback || (local && there.index != here.index)) continue;
        for (const auto& [object, group] : other->groups_) {
          if (!group.established) continue;
          for (const ServiceEntry& entry : group.published.services) {
            if (entry.interface != 0 && entry.interface != there.index) continue;
            Seen seen{entry, entry.host, {}, local, other == this};
            if (entry.host.empty()) {
              seen.host = other->daemon_.host_name();
              for (const Prefix& prefix : there.addresses)
                if (prefix.address.is_v4()) seen.addresses.push_back(prefix.address);
            }
            for (const AddressEntry& address : group.published.addresses)
              if (address.interface == entry.interface) seen.addresses.push_back(address.address);
            out[{here.index, Family::v4}].push_back(std::move(seen));
          }
        }
      }
    }
  }
  return out;
}

void FakeClient::look() {
  if (!connected_ || !daemon_.up() || daemon_.hung()) return;
  const auto places = visible();
  std::set<std::pair<ServiceType, Place>> types;
  for (const auto& [place, all] : places)
    for (const Seen& seen : all)
      types.insert({seen.entry.type, place});
  if (types_ != 0) {
    for (const auto& [type, place] : types)
      if (!type_places_.contains({type, place}))
        say(TypeChanged{true, place.first, place.second, type});
    for (const auto& [type, place] : type_places_)
      if (!types.contains({type, place})) say(TypeChanged{false, place.first, place.second, type});
    type_places_ = types;
  }
  for (auto& [object, browser] : browsers_) {
    std::map<std::pair<std::string, Place>, bool> now;
    for (const auto& [place, all] : places)
      for (const Seen& seen : all) {
        if (seen.entry.type != browser.type) continue;
        now[{seen.entry.label, place}] = true;
        if (!browser.seen.contains({seen.entry.label, place}))
          say(InstanceChanged{object, true, place.first, place.second, seen.entry.label,
                              browser.type, seen.local, seen.own});
      }
    for (const auto& [key, there] : browser.seen)
      if (!now.contains(key))
        say(InstanceChanged{object, false, key.second.first, key.second.second, key.first,
                            browser.type});
    browser.seen = now;
  }
  for (auto& [object, resolver] : resolvers_) {
    const auto place = places.find({resolver.wanted.interface, resolver.wanted.protocol});
    if (place == places.end()) continue;
    for (const Seen& seen : place->second) {
      if (seen.entry.label != resolver.wanted.label || seen.entry.type != resolver.wanted.type ||
          seen.addresses.empty())
        continue;
      Resolved answer{object, seen.host, seen.addresses.front(), seen.entry.port, seen.entry.txt};
      std::reverse(answer.txt.begin(), answer.txt.end());
      if (resolver.told && resolver.told->txt == answer.txt && resolver.told->port == answer.port)
        continue;
      resolver.patience.reset();
      resolver.told = answer;
      say(answer);
    }
  }
}

// --- Commands
// -------------------------------------------------------------------------------------

void FakeClient::carry_out() {
  if (daemon_.hung()) return;
  if (asked_to_connect_) connect_now();
  if (!events_.empty() && !saying_.pending()) say(Idle{});  // what waited while it hung
  const bool any = !commands_.empty();
  while (!commands_.empty()) {
    const Command command = std::move(commands_.front());
    commands_.pop_front();
    if (connected_ && daemon_.up()) std::visit([this](const auto& c) { run(c); }, command);
  }
  const std::size_t objects =
      groups_.size() + browsers_.size() + resolvers_.size() + hosts_.size() + (types_ != 0 ? 1 : 0);
  daemon_.objects_most = std::max(daemon_.objects_most, objects);
  const auto open = std::count_if(resolvers_.begin(), resolvers_.end(),
                                  [](const auto& entry) { return !entry.second.told; });
  daemon_.resolving_most = std::max(daemon_.resolving_most, static_cast<std::size_t>(open));
  look();
  if (any) say(Idle{});
  if (done_) {
    drop_all();
    connected_ = false;
    // Last: the owner may destroy us in it.
    std::exchange(done_, nullptr)();
  }
}

bool FakeClient::name_is_taken(const PublishGroup& group) {
  if (daemon_.strangers > 0) return --daemon_.strangers >= 0;
  return group.services.empty() ? is_taken(group.addresses.front())
                                : is_taken(group.services.front());
}

/// The addresses of a name are those of one host, whichever program publishes them.
bool FakeClient::is_taken(const AddressEntry& entry) const {
  for (const FakeClient* other : lan_.clients)
    for (const auto& [object, group] : other->groups_)
      for (const AddressEntry& theirs : group.published.addresses)
        if (group.established && &other->daemon_ != &daemon_ && theirs.host == entry.host)
          return true;
  return false;
}

bool FakeClient::is_taken(const ServiceEntry& entry) const {
  for (FakeClient* other : lan_.clients)
    for (const auto& [object, group] : other->groups_)
      for (const ServiceEntry& theirs : group.published.services)
        if (group.established && other != this && theirs.label == entry.label &&
            theirs.type == entry.type)
          return true;
  return false;
}

void FakeClient::run(const PublishGroup& command) {
  std::size_t entries = command.addresses.size();
  for (const ServiceEntry& entry : command.services)
    entries += 1 + entry.subtypes.size();
  if (entries > kEntriesPerGroupMax)
    return say(GroupChanged{command.object, GroupState::failed, "Too many entries"});
  const Object object = command.object;
  Group& group = groups_[object];
  group.published = command;
  daemon_.groups.push_back(command);
  say(GroupChanged{object, GroupState::registering, ""});
  const bool taken = name_is_taken(command);
  group.probing = env().after(kProbing, [this, object, taken] {
    Group& probed = groups_.at(object);
    probed.established = !taken;
    say(GroupChanged{object, taken ? GroupState::collision : GroupState::established, ""});
    lan_.changed(Duration::zero());
  });
}

void FakeClient::run(const UpdateTxt& command) {
  const auto found = groups_.find(command.object);
  if (found == groups_.end()) return;
  if (!found->second.established) daemon_.txt_update_too_early = true;
  daemon_.txt_updates.push_back(command);
  found->second.published.services = command.services;
  lan_.changed(Duration::zero());
}

void FakeClient::run(const Resolve& command) {
  Resolver& resolver = resolvers_[command.object];
  resolver.wanted = command;
  resolver.patience =
      env().after(kGiveUp, [this, object = command.object] { say(ResolveFailed{object}); });
}

void FakeClient::run(const ResolveHost& command) {
  hosts_[command.object].wanted = command;
  for (FakeClient* other : lan_.clients)
    for (const auto& [object, group] : other->groups_)
      for (const AddressEntry& entry : group.published.addresses)
        if (group.established && entry.host == command.host &&
            entry.address.family() == command.family)
          return say(HostResolved{command.object, entry.address, entry.interface});
  for (FakeClient* other : lan_.clients)
    for (const Interface& there : other->env().network.interfaces())
      for (const Prefix& prefix : there.addresses)
        if (!there.loopback && other->daemon_.host_name() == command.host &&
            prefix.address.family() == command.family)
          return say(HostResolved{command.object, prefix.address, there.index});
  hosts_[command.object].patience =
      env().after(kGiveUp, [this, object = command.object] { say(ResolveFailed{object}); });
}

void FakeClient::run(const Free& command) {
  if (groups_.erase(command.object) > 0) lan_.changed(kRemoteGoodbye);
  if (types_ == command.object) {
    types_ = 0;
    type_places_.clear();
  }
  browsers_.erase(command.object);
  resolvers_.erase(command.object);
  hosts_.erase(command.object);
}

// --- Daemons
// --------------------------------------------------------------------------------------

void Lan::changed(Duration after) {
  const TimePoint when = world_.now() + after;
  if (!looks_.insert(when).second) return;  // one look for all changes of a moment
  world_.schedule(after, [this, when] {
    looks_.erase(when);
    for (FakeClient* client : clients)
      client->look();
  });
}

std::unique_ptr<Client> Daemon::make_client() {
  return std::make_unique<FakeClient>(*this, lan_);
}

void Daemon::tell(Connection state) {
  for (FakeClient* client : lan_.clients)
    if (&client->daemon() == this) client->daemon_says(state);
}

void Daemon::stop() {
  up_ = running_ = false;
  start_up_.reset();
  tell(Connection::failed);
}

void Daemon::start() {
  up_ = true;
  tell(Connection::registering);
  start_up_ = host_.env().after(kStartUp, [this] {
    running_ = true;
    tell(Connection::running);
  });
}

void Daemon::hang(bool hangs) {
  hung_ = hangs;
  if (hangs) return;
  for (FakeClient* client : lan_.clients)
    if (&client->daemon() == this) client->carry_out();
}

void Daemon::set_bus(bool there) {
  bus_ = there;
  if (!there) tell(Connection::failed);
}

}  // namespace outrider::mdns::fake
