// SPDX-License-Identifier: Apache-2.0
#include "agent/config/read.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/registry/aliases.h"
#include "base/http/guard.h"
#include "base/http/url.h"
#include "base/reach.h"

namespace outrider {
namespace {

constexpr std::size_t kInterfaceNameBytesMax = 15;  // IFNAMSIZ without its zero

using json::Value;
using registry::Row;
using registry::RowType;
using registry::SpecError;

tl::unexpected<SpecError> bad(std::string path, std::string expected,
                              std::string_view nearest = {}) {
  return failure(SpecError{std::move(path), std::move(expected), std::string(nearest)});
}

using Path = std::string;

Result<std::vector<Endpoint>, SpecError> read_endpoints(const Value& rows, const Path& section,
                                                        std::string_view key,
                                                        std::uint16_t default_port) {
  std::vector<Endpoint> out;
  for (const std::string& text : registry::texts_of(rows, key)) {
    auto endpoint = Endpoint::parse(text);
    if (!endpoint && default_port != 0)
      if (const auto address = IpAddress::parse(text)) endpoint = Endpoint{*address, default_port};
    if (!endpoint)
      return bad(registry::join_path(section, key),
                 "expected ADDRESS:PORT such as \"127.0.0.55:5370\", not \"" + text + '"');
    if (std::find(out.begin(), out.end(), *endpoint) != out.end())
      return bad(registry::join_path(section, key), '"' + text + "\" is given twice");
    out.push_back(*endpoint);
  }
  return out;
}

Result<std::uint32_t, SpecError> read_seconds(const Value& rows, const Path& section,
                                              std::string_view key) {
  const Duration duration = registry::duration_of(rows, key);
  if (duration % 1s != Duration::zero())
    return bad(registry::join_path(section, key), "expected whole seconds");
  return static_cast<std::uint32_t>(duration / 1s);
}

Result<NodeConfig, SpecError> read_node(const Value& rows) {
  NodeConfig node;
  node.name = registry::text_of(rows, "name");
  if (node.name == "auto") node.name.clear();
  node.interfaces = registry::texts_of(rows, "interfaces");
  if (node.interfaces == std::vector<std::string>{"auto"}) node.interfaces.clear();
  node.ipv4 = registry::flag_of(rows, "ipv4");
  node.ipv6 = registry::flag_of(rows, "ipv6");
  if (!node.ipv4 && !node.ipv6)
    return bad("node.ipv6", "expected at least one of node.ipv4 and node.ipv6 to be true");
  return node;
}

Result<std::vector<dns::Name>, SpecError> read_domains(const Value& rows) {
  std::vector<dns::Name> domains;
  for (const std::string& text : registry::texts_of(rows, "domains")) {
    const auto name = dns::Name::parse(text);
    if (!name || name->is_root())
      return bad("dns.domains", "expected a domain such as \"svc\", not \"" + text + '"');
    if (*name == *dns::Name::parse("local"))
      return bad("dns.domains", "\"local\" is reserved for mDNS (RFC 6762 §3)");
    if (!name->child(std::string(dns::kLabelBytesMax, 'x')))
      return bad("dns.domains",
                 "too long: a label of 63 octets must fit before it in a name of 255 octets");
    if (std::find(domains.begin(), domains.end(), *name) != domains.end())
      return bad("dns.domains", '"' + text + "\" is given twice");
    domains.push_back(*name);
  }
  return domains;
}

/// Domains at or below `above`.
Result<std::vector<dns::Name>, SpecError> read_names(const Value& rows, std::string_view key,
                                                     const dns::Name& above,
                                                     const std::string& example) {
  std::vector<dns::Name> domains;
  for (const std::string& text : registry::texts_of(rows, key)) {
    const auto name = dns::Name::parse(text);
    if (!name || name->is_root() || !name->is_under(above))
      return bad(registry::join_path("dns", key),
                 "expected a domain such as \"" + example + "\", not \"" + text + '"');
    domains.push_back(*name);
  }
  return domains;
}

Result<std::vector<Prefix>, SpecError> read_allow(const Value& rows) {
  std::vector<Prefix> networks;
  for (const std::string& text : registry::texts_of(rows, "allow")) {
    auto network = Prefix::parse(text);
    if (const auto address = IpAddress::parse(text); !network && address && address->scope() == 0)
      network = Prefix{*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)};
    if (!network)
      return bad("dns.allow", "expected a network such as \"172.17.0.0/16\", not \"" + text + '"');
    networks.push_back(*network);
  }
  return networks;
}

/// "system", ADDRESS or ADDRESS:PORT. A link-local address may name its interface, which need not
/// be there yet: "fe80::1%eth0".
bool is_upstream(std::string text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string::npos) {
    const std::size_t end = std::min(text.find(']'), text.size());
    if (end <= percent + 1 || end - percent - 1 > kInterfaceNameBytesMax) return false;
    text.replace(percent + 1, end - percent - 1, "1");
  }
  return text == "system" || IpAddress::parse(text) || Endpoint::parse(text);
}

Result<DnsConfig, SpecError> read_dns(const Value& rows) {
  DnsConfig dns;
  auto listen = read_endpoints(rows, "dns", "listen", 53);
  if (!listen) return failure(listen.error());
  dns.listen = std::move(*listen);
  auto allow = read_allow(rows);
  if (!allow) return failure(allow.error());
  dns.allow = std::move(*allow);
  auto domains = read_domains(rows);
  if (!domains) return failure(domains.error());
  dns.domains = std::move(*domains);
  const auto ttl = read_seconds(rows, "dns", "ttl");
  if (!ttl) return failure(ttl.error());
  const auto negative_ttl = read_seconds(rows, "dns", "negative_ttl");
  if (!negative_ttl) return failure(negative_ttl.error());
  dns.ttl = *ttl;
  dns.negative_ttl = *negative_ttl;
  dns.answers = static_cast<std::size_t>(registry::integer_of(rows, "answers"));
  const std::string unhealthy = registry::text_of(rows, "all_unhealthy");
  dns.serving.all_unhealthy = unhealthy == "nodata"        ? registry::AllUnhealthy::nodata
                              : unhealthy == "last_resort" ? registry::AllUnhealthy::last_resort
                                                           : registry::AllUnhealthy::nxdomain;
  dns.serving.only_passing = registry::flag_of(rows, "only_passing");
  dns.order = registry::text_of(rows, "order") == "p2c" ? DnsOrder::p2c : DnsOrder::near;
  const std::string forward = registry::text_of(rows, "forward");
  dns.forward = forward == "on" ? Choice::on : forward == "off" ? Choice::off : Choice::automatic;
  dns.upstream = registry::texts_of(rows, "upstream");
  for (const std::string& text : dns.upstream)
    if (!is_upstream(text))
      return bad("dns.upstream",
                 "expected \"system\", ADDRESS or ADDRESS:PORT, not \"" + text + '"');
  dns.cache_entries = static_cast<std::size_t>(registry::integer_of(rows, "cache_entries"));
  dns.hold = registry::duration_of(rows, "hold");
  dns.rebind_protection = registry::flag_of(rows, "rebind_protection");
  auto exceptions = read_names(rows, "rebind_exceptions", dns::Name(), "corp.example");
  if (!exceptions) return failure(exceptions.error());
  dns.rebind_exceptions = std::move(*exceptions);
  auto local = read_names(rows, "unicast_local", *dns::Name::parse("local"), "corp.local");
  if (!local) return failure(local.error());
  dns.unicast_local = std::move(*local);
  dns.trust_ad = registry::flag_of(rows, "trust_ad");
  return dns;
}

/// "_name._tcp" or "_name._udp" (RFC 6763 §7).
bool is_service_type(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || !text.starts_with('_')) return false;
  const std::string_view protocol = text.substr(dot + 1);
  return registry::to_label(text.substr(1, dot - 1), registry::kServiceLabelBytesMax) &&
         (protocol == "_tcp" || protocol == "_udp");
}

Result<MdnsConfig, SpecError> read_mdns(const Value& rows) {
  MdnsConfig mdns;
  const std::string provider = registry::text_of(rows, "provider");
  mdns.provider = provider == "native"  ? MdnsProvider::native
                  : provider == "avahi" ? MdnsProvider::avahi
                  : provider == "off"   ? MdnsProvider::off
                                        : MdnsProvider::automatic;
  if (registry::text_of(rows, "domain") != "local")
    return bad("mdns.domain",
               "expected \"local\", not \"" + registry::text_of(rows, "domain") + '"');
  mdns.shared_types = registry::texts_of(rows, "shared_types");
  mdns.browse = registry::texts_of(rows, "browse");
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {
      {"mdns.shared_types", &mdns.shared_types}, {"mdns.browse", &mdns.browse}};
  for (const auto& [path, list] : lists)
    for (const std::string& type : *list)
      if (!is_service_type(type))
        return bad(path, "expected types such as \"_farp._tcp\", not \"" + type + '"');
  mdns.short_ttl = registry::text_of(rows, "ttl") == "short";
  mdns.rename = registry::text_of(rows, "conflict") == "rename";
  mdns.port = static_cast<std::uint16_t>(registry::integer_of(rows, "port"));
  return mdns;
}

std::optional<SpecError> read_etcd_door(const Value& rows, ApiConfig& api) {
  auto listen = read_endpoints(rows, "api", "etcd_listen", 2'379);
  if (!listen) return std::move(listen.error());
  for (const Endpoint& endpoint : *listen)
    if (!endpoint.address.is_loopback())
      return SpecError{"api.etcd_listen",
                       "expected a loopback address, not \"" + endpoint.to_string() +
                           "\"; this API is not served to other hosts",
                       {}};
  api.etcd_listen = std::move(*listen);
  if (const Value& layouts = *rows.find("etcd_layouts"); !layouts.is_null()) {
    auto read = read_layouts(layouts, "api.etcd_layouts");
    if (!read) return std::move(read.error());
    api.etcd_layouts = std::move(*read);
  } else {
    namespace etcd = registries::etcd;
    api.etcd_layouts = {etcd::KratosLayout{}, etcd::GoframeLayout{}, etcd::GozeroLayout{},
                        etcd::ForgeLayout{}};
  }
  api.etcd_tcp_checked = registry::texts_of(rows, "etcd_tcp_checks");
  return std::nullopt;
}

Result<ApiConfig, SpecError> read_api(const Value& rows) {
  ApiConfig api;
  api.socket = registry::text_of(rows, "socket");
  if (api.socket == "auto") api.socket.clear();
  if (api.socket == "off") {
    api.on = false;
    api.socket.clear();
  } else if (!api.socket.empty() && !api.socket.starts_with('/')) {
    // The file's mode is the API's only guard, and an abstract socket has no file.
    return bad("api.socket",
               std::string("expected \"auto\", \"off\" or an absolute path") +
                   (api.socket.starts_with('@') ? "; an abstract socket has no permissions" : ""));
  }
  auto listen = read_endpoints(rows, "api", "consul_listen", 8'500);
  if (!listen) return failure(listen.error());
  for (const Endpoint& endpoint : *listen)
    if (!endpoint.address.is_loopback())
      return bad("api.consul_listen", "expected a loopback address, not \"" + endpoint.to_string() +
                                          "\"; this API is not served to other hosts");
  api.consul_listen = std::move(*listen);
  api.host_names = registry::texts_of(rows, "host_names");
  for (const std::string& name : api.host_names)
    if (!http::is_host_name(name))
      return bad("api.host_names",
                 "expected a host name without a port, such as \"consul\", not \"" + name + '"');
  api.token = registry::flag_of(rows, "token");
  api.persist = registry::flag_of(rows, "persist");
  api.history_file = registry::text_of(rows, "history_file");
  if (api.history_file == "off")
    api.history_file.clear();
  else if (!api.history_file.starts_with('/'))
    return bad("api.history_file",
               "expected \"off\" or an absolute path, not \"" + api.history_file + '"');
  api.article = registry::flag_of(rows, "article");
  api.bilibili = registry::flag_of(rows, "bilibili");
  api.eureka = registry::flag_of(rows, "eureka");
  if (auto error = read_etcd_door(rows, api)) return failure(std::move(*error));
  return api;
}

Result<WebConfig, SpecError> read_web(const Value& rows) {
  WebConfig web;
  const std::pair<const char*, std::vector<Endpoint>*> lists[] = {{"listen", &web.listen},
                                                                  {"tls_listen", &web.tls_listen}};
  for (const auto& [key, list] : lists) {
    auto read = read_endpoints(rows, "web", key, key == lists[0].first ? 5'380 : 5'443);
    if (!read) return failure(std::move(read.error()));
    for (const Endpoint& endpoint : *read)
      if (!endpoint.address.is_loopback() && !registry::flag_of(rows, "allow_remote"))
        return bad(std::string("web.") + key,
                   "expected a loopback address, not \"" + endpoint.to_string() +
                       "\"; with web.allow_remote other hosts reach every service by way of "
                       "this one");
    *list = std::move(*read);
  }
  for (const std::string& name : registry::texts_of(rows, "names")) {
    const auto label = registry::to_label(name, registry::kServiceLabelBytesMax);
    if (!label && name != "*")
      return bad("web.names", "expected names of services, or \"*\", not \"" + name + '"');
    web.names.push_back(name == "*" ? name : *label);
  }
  web.strategy = registry::parse_strategy(registry::text_of(rows, "strategy"))
                     .value_or(registry::Strategy::round_robin);
  web.locality = registry::parse_locality(registry::text_of(rows, "locality"));
  return web;
}

Result<FarpConfig, SpecError> read_farp(const Value& rows) {
  FarpConfig farp;
  const auto texts = registry::texts_of(rows, "listen");
  farp.on = !texts.empty();
  farp.read = registry::flag_of(rows, "read");
  farp.compact_txt = registry::flag_of(rows, "compact_txt");
  farp.gateways = registry::texts_of(rows, "gateways");
  for (const std::string& gateway : farp.gateways) {
    const auto url = http::parse_url(gateway);
    const auto address = url ? IpAddress::parse(url->host) : std::nullopt;
    if (!address || url->scheme != "http")
      return bad("farp.gateways",
                 "expected URLs such as \"http://192.168.1.1:8080\" with a literal"
                 " address, not \"" +
                     gateway + '"');
    const Endpoint to{*address, url->port};
    if (const auto allowed = check_reach(to, {}, Reach::any_host); !allowed)
      return bad("farp.gateways", gateway + ": " + explain(allowed.error()));
  }
  if (texts == std::vector<std::string>{"auto"}) return farp;
  auto listen = read_endpoints(rows, "farp", "listen", 0);
  if (!listen) return failure(listen.error());
  farp.listen = std::move(*listen);
  return farp;
}

Result<LifecycleConfig, SpecError> read_lifecycle(const Value& rows) {
  LifecycleConfig lifecycle;
  const std::string drain = registry::text_of(rows, "drain");
  lifecycle.drain_auto = drain == "auto";
  if (!lifecycle.drain_auto) {
    const auto duration = parse_duration(drain);
    if (!duration || *duration > std::chrono::minutes(10))
      return bad("lifecycle.drain", "expected \"auto\" or a duration up to 10m");
    lifecycle.drain = *duration;
  }
  lifecycle.ready_when_healthy = registry::text_of(rows, "ready") == "healthy";
  return lifecycle;
}

/// Finds instances whose alias checks follow each other in a ring. Ids that are chosen later are
/// not known here; the registry refuses those.
std::optional<SpecError> find_alias_ring(const std::vector<registry::ServiceSpec>& services) {
  std::map<std::string, std::vector<std::string>> targets;
  for (const registry::ServiceSpec& spec : services)
    if (spec.id) targets[spec.id->text()] = registry::alias_targets(spec);
  for (std::size_t i = 0; i < services.size(); ++i) {
    if (!services[i].id || services[i].checks.empty()) continue;
    std::string way;
    for (const std::string& id : registry::alias_ring(
             services[i].id->text(), [&](const std::string& id) { return targets[id]; }))
      way += (way.empty() ? "" : " follows ") + id;
    if (!way.empty())
      return SpecError{registry::join_path("services", i) + ".checks",
                       "expected aliases that do not form a ring: " + way,
                       {}};
  }
  return std::nullopt;
}

/// Ids must differ. Names may repeat: one host may have several instances of a service.
Result<std::vector<registry::ServiceSpec>, SpecError> read_services(const Value& completed) {
  std::vector<registry::ServiceSpec> services;
  std::set<std::string> ids, labels;
  std::size_t index = 0;
  for (const Value& element : *completed.find("services")->as_array()) {
    const std::string path = registry::join_path("services", index++);
    auto spec = registry::ServiceSpec::parse(element, path, registry::ServiceSpec::Files::allowed);
    if (!spec) return failure(std::move(spec.error()));
    const registry::InstanceId id = spec->id ? *spec->id : registry::automatic_id(*spec, {});
    if (!ids.insert(id.text()).second)
      return bad(path + (spec->id ? ".id" : ".name"),
                 spec->id
                     ? "\"" + spec->id->text() + "\" is used twice"
                     : "service \"" + spec->name.text() + "\" is defined twice with this port");
    if (!labels.insert(spec->name.label() + '/' + id.label()).second)
      return bad(path + ".id",
                 "\"" + id.text() + "\" has the same DNS label as another id of this service");
    services.push_back(std::move(*spec));
  }
  if (auto ring = find_alias_ring(services)) return failure(std::move(*ring));
  return services;
}

template <class T>
bool take(Result<T, SpecError> from, T& to, SpecError& error) {
  if (!from) {
    error = std::move(from.error());
    return false;
  }
  to = std::move(*from);
  return true;
}

}  // namespace

Result<Config, SpecError> read_config(const Value& tree) {
  auto completed = registry::complete(tree, config_rows(), {});
  if (!completed) return failure(std::move(completed.error()));
  const auto section = [&](std::string_view key) -> const Value& { return *completed->find(key); };
  Config config;
  SpecError error;
  if (!take(read_node(section("node")), config.node, error) ||
      !take(read_dns(section("dns")), config.dns, error) ||
      !take(read_mdns(section("mdns")), config.mdns, error) ||
      !take(read_api(section("api")), config.api, error) ||
      !take(read_web(section("web")), config.web, error) ||
      !take(read_farp(section("farp")), config.farp, error) ||
      !take(read_lifecycle(section("lifecycle")), config.lifecycle, error) ||
      !take(read_registries(section("registries")), config.registries, error) ||
      !take(read_exports(section("export"), config), config.exports, error) ||
      !take(read_services(*completed), config.services, error))
    return failure(std::move(error));
  config.log.level = registry::text_of(section("log"), "level");
  config.log.format = registry::text_of(section("log"), "format");
  config.tree = std::move(*completed);
  return config;
}

Duration Config::drain_time() const {
  if (!lifecycle.drain_auto) return lifecycle.drain;
  return std::max<Duration>(std::chrono::seconds(dns.ttl), 2s) + 1s;
}

std::string ConfigError::to_string() const {
  // "--set dns.ttl" names the option already.
  if (file.ends_with(' ' + spec.path) && !spec.path.empty())
    return file + ": " + registry::SpecError{"", spec.expected, spec.nearest}.to_string();
  std::string out = file;
  if (line != 0) out += ':' + std::to_string(line) + ':' + std::to_string(column);
  return out.empty() ? spec.to_string() : out + ": " + spec.to_string();
}

std::vector<std::string> not_reloadable(const Config& now, const Config& next) {
  std::vector<std::string> keys;
  for (const Row& section : config_rows()) {
    if (section.type != RowType::object) continue;
    for (const Row& row : section.rows) {
      if (row.reloadable) continue;
      std::string before, after;
      json::Writer(before).value(*now.tree.find(section.key)->find(row.key));
      json::Writer(after).value(*next.tree.find(section.key)->find(row.key));
      if (before != after) keys.push_back(std::string(section.key) + '.' + std::string(row.key));
    }
  }
  return keys;
}

}  // namespace outrider
