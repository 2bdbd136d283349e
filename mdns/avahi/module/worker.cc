// SPDX-License-Identifier: Apache-2.0
// The only includer of avahi's headers: runs the library's own poll loop and carries out commands.
#include "mdns/avahi/module/worker.h"

#include <algorithm>
#include <unordered_map>

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>

namespace outrider::mdns::avahi {
namespace {

constexpr std::size_t kCommandsAtOnce = 16;  // then events of the daemon are read

AvahiIfIndex index_of(std::uint32_t interface) {
  return interface == 0 ? AVAHI_IF_UNSPEC : static_cast<AvahiIfIndex>(interface);
}
AvahiProtocol protocol_of(Family family) {
  return family == Family::v4 ? AVAHI_PROTO_INET : AVAHI_PROTO_INET6;
}
Family family_of(AvahiProtocol protocol) {
  return protocol == AVAHI_PROTO_INET6 ? Family::v6 : Family::v4;
}
IpAddress address_of(const AvahiAddress& address) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&address.data);
  return IpAddress::from_bytes({bytes, address.proto == AVAHI_PROTO_INET6 ? 16U : 4U});
}
AvahiAddress avahi_address(const IpAddress& address) {
  AvahiAddress out{};
  out.proto = protocol_of(address.family());
  std::ranges::copy(address.bytes(), reinterpret_cast<std::uint8_t*>(&out.data));
  return out;
}
bool is_local(const char* domain) {
  return domain != nullptr && std::string_view(domain) == "local";
}
bool has(AvahiLookupResultFlags flags, AvahiLookupResultFlags flag) {
  return (flags & flag) != 0;
}

/// One label as the library writes it within a name.
std::string escaped(const std::string& label) {
  char text[AVAHI_LABEL_MAX * 4];
  char* end = text;
  std::size_t room = sizeof text;
  return avahi_escape_label(label.data(), label.size(), &end, &room) != nullptr ? text : "";
}

class Txt {
 public:
  explicit Txt(const std::vector<std::string>& strings) {
    for (const std::string& string : strings)
      list_ = avahi_string_list_add_arbitrary(
          list_, reinterpret_cast<const std::uint8_t*>(string.data()), string.size());
  }
  ~Txt() { avahi_string_list_free(list_); }
  Txt(const Txt&) = delete;
  AvahiStringList* get() const { return list_; }

 private:
  AvahiStringList* list_ = nullptr;
};

class Worker {
 public:
  explicit Worker(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Worker();
  Worker(const Worker&) = delete;
  void run();

 private:
  /// An object that the daemon keeps for us; callbacks of the library get it.
  struct Held {
    Worker* worker = nullptr;
    Object object = 0;
    AvahiEntryGroup* group = nullptr;
    AvahiServiceTypeBrowser* types = nullptr;
    AvahiServiceBrowser* browser = nullptr;
    AvahiServiceResolver* resolver = nullptr;
    AvahiHostNameResolver* host = nullptr;
  };

  bool take_commands();
  void connect(std::uint64_t connection);
  void leave();
  void post(Event event);
  void fail(const std::string& why);
  /// Whether it is an error of one object, and not of the connection.
  bool only_here(int error);
  std::string error_text() { return avahi_strerror(avahi_client_errno(client_)); }

  Held& hold(Object object);
  void carry_out(const PublishGroup& command);
  void carry_out(const UpdateTxt& command);
  void carry_out(const BrowseTypes& command);
  void carry_out(const Browse& command);
  void carry_out(const Resolve& command);
  void carry_out(const ResolveHost& command);
  void carry_out(const Free& command);
  int fill(AvahiEntryGroup* group, const PublishGroup& command);

  static void on_client(AvahiClient* client, AvahiClientState state, void* self) noexcept;
  static void on_group(AvahiEntryGroup* group, AvahiEntryGroupState state, void* held) noexcept;
  static void on_type(AvahiServiceTypeBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                      AvahiBrowserEvent event, const char* type, const char* domain,
                      AvahiLookupResultFlags, void* held) noexcept;
  static void on_service(AvahiServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                         AvahiBrowserEvent event, const char* name, const char* type,
                         const char* domain, AvahiLookupResultFlags flags, void* held) noexcept;
  static void on_resolved(AvahiServiceResolver*, AvahiIfIndex, AvahiProtocol,
                          AvahiResolverEvent event, const char*, const char*, const char*,
                          const char* host, const AvahiAddress* address, std::uint16_t port,
                          AvahiStringList* txt, AvahiLookupResultFlags, void* held) noexcept;
  static void on_host(AvahiHostNameResolver*, AvahiIfIndex interface, AvahiProtocol,
                      AvahiResolverEvent event, const char*, const AvahiAddress* address,
                      AvahiLookupResultFlags, void* held) noexcept;

  std::shared_ptr<Shared> shared_;
  AvahiSimplePoll* poll_ = nullptr;
  AvahiClient* client_ = nullptr;
  std::uint64_t connection_ = 0;
  bool failed_ = false;
  bool busy_ = false;  // an Idle event is due
  std::unordered_map<Object, std::unique_ptr<Held>> held_;
};

Worker::~Worker() {
  leave();
  if (poll_ != nullptr) avahi_simple_poll_free(poll_);
}

void Worker::run() {
  poll_ = avahi_simple_poll_new();
  if (poll_ == nullptr) return fail("out of memory");
  const AvahiPoll* api = avahi_simple_poll_get(poll_);
  api->watch_new(
      api, shared_->to_thread.fd(), AVAHI_WATCH_IN,
      [](AvahiWatch*, int, AvahiWatchEvent, void* shared) {
        static_cast<Shared*>(shared)->to_thread.clear();
      },
      shared_.get());
  for (bool more = true;;) {
    // Outside of its callbacks: there it would be a use after free.
    if (failed_) leave();
    if (avahi_simple_poll_iterate(poll_, more ? 0 : -1) < 0) return fail("poll: out of resources");
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->abandoned) return;
    }
    more = take_commands();
  }
}

/// True if there are more.
bool Worker::take_commands() {
  for (std::size_t i = 0; i < kCommandsAtOnce; ++i) {
    std::unique_lock lock(shared_->mutex);
    if (shared_->abandoned) return false;
    const auto request = shared_->request;
    if (request == Shared::Request::connect) {
      shared_->request = Shared::Request::none;
      const std::uint64_t connection = shared_->connection;
      lock.unlock();
      connect(connection);
      continue;
    }
    if (shared_->commands.empty()) {
      if (request == Shared::Request::disconnect) {
        shared_->request = Shared::Request::none;
        lock.unlock();
        leave();
        lock.lock();
        shared_->left = true;
        shared_->to_main.raise();
      } else if (std::exchange(busy_, false) && !failed_) {
        lock.unlock();
        post(Idle{});
      }
      return false;
    }
    const Command command = std::move(shared_->commands.front());
    shared_->commands.pop_front();
    lock.unlock();
    busy_ = true;
    if (client_ != nullptr && !failed_)
      std::visit([this](const auto& c) { carry_out(c); }, command);
  }
  return true;
}

void Worker::connect(std::uint64_t connection) {
  leave();
  connection_ = connection;
  failed_ = false;
  int error = 0;
  // Assigned here as well as in the callback, which comes before the call returns.
  AvahiClient* client = avahi_client_new(avahi_simple_poll_get(poll_), AVAHI_CLIENT_NO_FAIL,
                                         &Worker::on_client, this, &error);
  client_ = client;
  if (client == nullptr) fail(std::string("D-Bus: ") + avahi_strerror(error));
}

/// Frees the client and, with it, every object: the daemon sends the goodbyes of the groups.
void Worker::leave() {
  if (client_ != nullptr) avahi_client_free(client_);
  client_ = nullptr;
  held_.clear();
}

void Worker::post(Event event) {
  shared_->post(connection_, std::move(event));
}

void Worker::fail(const std::string& why) {
  if (failed_) return;
  failed_ = true;
  post(ConnectionChanged{Connection::failed, why});
}

bool Worker::only_here(int error) {
  if (error != AVAHI_ERR_DBUS_ERROR && error != AVAHI_ERR_DISCONNECTED &&
      error != AVAHI_ERR_NO_DAEMON && error != AVAHI_ERR_TIMEOUT)
    return true;
  fail(avahi_strerror(error));
  return false;
}

Worker::Held& Worker::hold(Object object) {
  auto held = std::make_unique<Held>();
  held->worker = this;
  held->object = object;
  return *(held_[object] = std::move(held));
}

int Worker::fill(AvahiEntryGroup* group, const PublishGroup& command) {
  const char* own = avahi_client_get_host_name_fqdn(client_);
  for (const AddressEntry& entry : command.addresses) {
    // The daemon would share its own name, and take it back from the host with ours.
    if (own != nullptr && avahi_domain_equal(own, entry.host.c_str()) != 0)
      return AVAHI_ERR_COLLISION;
    const AvahiAddress address = avahi_address(entry.address);
    // The reverse name of an address belongs to the host, not to one of its services.
    const int result =
        avahi_entry_group_add_address(group, index_of(entry.interface), AVAHI_PROTO_UNSPEC,
                                      AVAHI_PUBLISH_NO_REVERSE, entry.host.c_str(), &address);
    if (result < 0) return result;
  }
  for (const ServiceEntry& entry : command.services) {
    const Txt txt(entry.txt);
    const char* host = entry.host.empty() ? nullptr : entry.host.c_str();
    const AvahiIfIndex interface = index_of(entry.interface);
    int result = avahi_entry_group_add_service_strlst(
        group, interface, AVAHI_PROTO_UNSPEC, AvahiPublishFlags{}, entry.label.c_str(),
        entry.type.c_str(), nullptr, host, entry.port, txt.get());
    for (const std::string& subtype : entry.subtypes) {
      if (result < 0) return result;
      result = avahi_entry_group_add_service_subtype(
          group, interface, AVAHI_PROTO_UNSPEC, AvahiPublishFlags{}, entry.label.c_str(),
          entry.type.c_str(), nullptr, (escaped(subtype) + "._sub." + entry.type).c_str());
    }
    if (result < 0) return result;
  }
  return avahi_entry_group_commit(group);
}

void Worker::carry_out(const PublishGroup& command) {
  Held& held = hold(command.object);
  held.group = avahi_entry_group_new(client_, &Worker::on_group, &held);
  const int result =
      held.group == nullptr ? avahi_client_errno(client_) : fill(held.group, command);
  if (result >= 0 || !only_here(result)) return;
  const GroupState state =
      result == AVAHI_ERR_COLLISION ? GroupState::collision : GroupState::failed;
  post(GroupChanged{command.object, state, avahi_strerror(result)});
}

void Worker::carry_out(const UpdateTxt& command) {
  const auto found = held_.find(command.object);
  if (found == held_.end() || found->second->group == nullptr) return;
  for (const ServiceEntry& entry : command.services) {
    const Txt txt(entry.txt);
    const int result = avahi_entry_group_update_service_txt_strlst(
        found->second->group, index_of(entry.interface), AVAHI_PROTO_UNSPEC, AvahiPublishFlags{},
        entry.label.c_str(), entry.type.c_str(), nullptr, txt.get());
    if (result >= 0) continue;
    if (only_here(result))
      post(GroupChanged{command.object, GroupState::failed, avahi_strerror(result)});
    return;
  }
}

// Lookup flags are 0 everywhere: AVAHI_LOOKUP_USE_MULTICAST lets a packet from the LAN crash avahi
// 0.8 (CVE-2026-24401).

void Worker::carry_out(const BrowseTypes& command) {
  Held& held = hold(command.object);
  held.types = avahi_service_type_browser_new(client_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, nullptr,
                                              AvahiLookupFlags{}, &Worker::on_type, &held);
  if (held.types == nullptr && only_here(avahi_client_errno(client_)))
    post(BrowserFailed{command.object, error_text()});
}

void Worker::carry_out(const Browse& command) {
  Held& held = hold(command.object);
  held.browser =
      avahi_service_browser_new(client_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, command.type.c_str(),
                                nullptr, AvahiLookupFlags{}, &Worker::on_service, &held);
  if (held.browser == nullptr && only_here(avahi_client_errno(client_)))
    post(BrowserFailed{command.object, error_text()});
}

void Worker::carry_out(const Resolve& command) {
  Held& held = hold(command.object);
  const AvahiProtocol protocol = protocol_of(command.protocol);
  held.resolver = avahi_service_resolver_new(client_, index_of(command.interface), protocol,
                                             command.label.c_str(), command.type.c_str(), "local",
                                             command.any_address ? AVAHI_PROTO_UNSPEC : protocol,
                                             AvahiLookupFlags{}, &Worker::on_resolved, &held);
  if (held.resolver == nullptr && only_here(avahi_client_errno(client_)))
    post(ResolveFailed{command.object});
}

void Worker::carry_out(const ResolveHost& command) {
  Held& held = hold(command.object);
  held.host = avahi_host_name_resolver_new(client_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                           command.host.c_str(), protocol_of(command.family),
                                           AvahiLookupFlags{}, &Worker::on_host, &held);
  if (held.host == nullptr && only_here(avahi_client_errno(client_)))
    post(ResolveFailed{command.object});
}

void Worker::carry_out(const Free& command) {
  const auto found = held_.find(command.object);
  if (found == held_.end()) return;
  const Held& held = *found->second;
  int result = AVAHI_OK;
  if (held.group != nullptr) result = avahi_entry_group_free(held.group);
  if (held.types != nullptr) result = avahi_service_type_browser_free(held.types);
  if (held.browser != nullptr) result = avahi_service_browser_free(held.browser);
  if (held.resolver != nullptr) result = avahi_service_resolver_free(held.resolver);
  if (held.host != nullptr) result = avahi_host_name_resolver_free(held.host);
  held_.erase(found);
  if (result < 0) only_here(result);
}

// --- What the library says ----------------------------------------------------------------------

void Worker::on_client(AvahiClient* client, AvahiClientState state, void* self) noexcept {
  auto& worker = *static_cast<Worker*>(self);
  worker.client_ = client;
  switch (state) {
    case AVAHI_CLIENT_CONNECTING:
      worker.post(ConnectionChanged{Connection::waiting, "avahi-daemon does not run"});
      break;
    case AVAHI_CLIENT_S_REGISTERING:
    case AVAHI_CLIENT_S_COLLISION:
      worker.post(ConnectionChanged{Connection::registering, {}});
      break;
    case AVAHI_CLIENT_S_RUNNING:
      worker.post(ConnectionChanged{Connection::running, {}});
      break;
    case AVAHI_CLIENT_FAILURE:
      worker.fail(worker.error_text());
      break;
  }
}

void Worker::on_group(AvahiEntryGroup* group, AvahiEntryGroupState state, void* at) noexcept {
  auto& held = *static_cast<Held*>(at);
  held.group = group;
  GroupChanged change{held.object, GroupState::registering, {}};
  switch (state) {
    case AVAHI_ENTRY_GROUP_UNCOMMITED:
      return;
    case AVAHI_ENTRY_GROUP_REGISTERING:
      break;
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
      change.state = GroupState::established;
      break;
    case AVAHI_ENTRY_GROUP_COLLISION:
      change.state = GroupState::collision;
      break;
    case AVAHI_ENTRY_GROUP_FAILURE:
      change.state = GroupState::failed;
      change.why = held.worker->error_text();
      break;
  }
  held.worker->post(std::move(change));
}

void Worker::on_type(AvahiServiceTypeBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                     AvahiBrowserEvent event, const char* type, const char* domain,
                     AvahiLookupResultFlags, void* at) noexcept {
  auto& held = *static_cast<Held*>(at);
  if (event == AVAHI_BROWSER_FAILURE)
    return held.worker->post(BrowserFailed{held.object, held.worker->error_text()});
  const bool there = event == AVAHI_BROWSER_NEW;
  if ((!there && event != AVAHI_BROWSER_REMOVE) || !is_local(domain)) return;
  held.worker->post(
      TypeChanged{there, static_cast<std::uint32_t>(interface), family_of(protocol), type});
}

void Worker::on_service(AvahiServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                        AvahiBrowserEvent event, const char* name, const char* type,
                        const char* domain, AvahiLookupResultFlags flags, void* at) noexcept {
  auto& held = *static_cast<Held*>(at);
  if (event == AVAHI_BROWSER_FAILURE)
    return held.worker->post(BrowserFailed{held.object, held.worker->error_text()});
  const bool there = event == AVAHI_BROWSER_NEW;
  if ((!there && event != AVAHI_BROWSER_REMOVE) || !is_local(domain)) return;
  held.worker->post(InstanceChanged{
      held.object, there, static_cast<std::uint32_t>(interface), family_of(protocol), name, type,
      has(flags, AVAHI_LOOKUP_RESULT_LOCAL), has(flags, AVAHI_LOOKUP_RESULT_OUR_OWN)});
}

void Worker::on_resolved(AvahiServiceResolver*, AvahiIfIndex, AvahiProtocol,
                         AvahiResolverEvent event, const char*, const char*, const char*,
                         const char* host, const AvahiAddress* address, std::uint16_t port,
                         AvahiStringList* txt, AvahiLookupResultFlags, void* at) noexcept {
  auto& held = *static_cast<Held*>(at);
  if (event != AVAHI_RESOLVER_FOUND || address == nullptr)
    return held.worker->post(ResolveFailed{held.object});
  Resolved out{held.object, host, address_of(*address), port, {}};
  for (AvahiStringList* at_string = txt; at_string != nullptr;
       at_string = avahi_string_list_get_next(at_string)) {
    const auto* text = reinterpret_cast<const char*>(avahi_string_list_get_text(at_string));
    const std::size_t size = avahi_string_list_get_size(at_string);
    if (size <= kTxtStringMax) out.txt.emplace_back(text, size);
  }
  held.worker->post(std::move(out));
}

void Worker::on_host(AvahiHostNameResolver*, AvahiIfIndex interface, AvahiProtocol,
                     AvahiResolverEvent event, const char*, const AvahiAddress* address,
                     AvahiLookupResultFlags, void* at) noexcept {
  auto& held = *static_cast<Held*>(at);
  if (event != AVAHI_RESOLVER_FOUND || address == nullptr)
    return held.worker->post(ResolveFailed{held.object});
  held.worker->post(
      HostResolved{held.object, address_of(*address), static_cast<std::uint32_t>(interface)});
}

}  // namespace

void* run_worker(void* handed_over) {
  const std::unique_ptr<std::shared_ptr<Shared>> shared(
      static_cast<std::shared_ptr<Shared>*>(handed_over));
  Worker worker(*shared);
  worker.run();
  return nullptr;
}

}  // namespace outrider::mdns::avahi
