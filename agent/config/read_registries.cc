// SPDX-License-Identifier: Apache-2.0
// "registries": what the rows of an engine mean.
#include <algorithm>
#include <set>
#include <type_traits>
#include <variant>

#include "agent/config/read.h"
#include "base/http/url.h"
#include "base/text.h"
#include "registries/etcd/layout.h"

namespace outrider {
namespace {

using json::Value;
using registry::SpecError;
namespace etcd = registries::etcd;
namespace consul = registries::consul;

constexpr Duration kKeepMax = std::chrono::hours(24 * 365);

tl::unexpected<SpecError> bad(std::string path, std::string expected,
                              std::string_view nearest = {}) {
  return failure(SpecError{std::move(path), std::move(expected), std::string(nearest)});
}

const Value& at(const Value& rows, std::string_view key) {
  return *rows.find(key);
}

Result<Duration, SpecError> read_keep(const Value& rows, const std::string& path) {
  const std::string text = registry::text_of(rows, "keep");
  if (text == "forever") return Duration::max();
  const auto duration = parse_duration(text);
  if (!duration || *duration > kKeepMax)
    return bad(registry::join_path(path, "keep"),
               "expected a duration such as \"10m\", \"0s\", or \"forever\", not \"" + text + '"');
  return *duration;
}

/// A URL of a server alone, without a path.
std::optional<SpecError> check_server(const std::string& text, const std::string& path,
                                      const char* example) {
  const auto url = http::parse_url(text);
  const std::string expected = std::string("expected a URL such as \"") + example + '"';
  if (!url) return SpecError{path, expected + ", not \"" + text + '"', {}};
  if (url->path != "/") return SpecError{path, expected + ", without a path", {}};
  return std::nullopt;
}

bool is_of_host_name(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' ||
         c == '_';
}

/// TLS towards `servers`, which are valid URLs; on if one of them is https.
Result<TlsOptions, SpecError> read_tls(const Value& rows, const std::string& path,
                                       const std::vector<std::string>& servers) {
  TlsOptions tls;
  tls.on = std::ranges::any_of(servers, [](const std::string& server) {
    return http::parse_url(server)->scheme == "https";
  });
  const Value& given = at(rows, "tls");
  if (given.is_null()) return tls;
  const std::string here = registry::join_path(path, "tls");
  if (!tls.on) return bad(here, "expected null, or an https:// URL to use it for");
  tls.ca_file = registry::text_of(given, "ca_file");
  tls.cert_file = registry::text_of(given, "cert_file");
  tls.key_file = registry::text_of(given, "key_file");
  tls.server_name = registry::text_of(given, "server_name");
  if (!tls.key_file.empty() && tls.cert_file.empty())
    return bad(registry::join_path(here, "key_file"), "expected a \"cert_file\" with it");
  if (!std::ranges::all_of(tls.server_name, is_of_host_name))
    return bad(registry::join_path(here, "server_name"),
               "expected a host name, not \"" + tls.server_name + '"');
  return tls;
}

etcd::Layouts layouts_of(const Value& rows) {
  etcd::Layouts layouts;
  if (const Value& kratos = at(rows, "kratos"); !kratos.is_null())
    layouts.kratos = etcd::KratosLayout{.prefix = registry::text_of(kratos, "prefix")};
  if (const Value& goframe = at(rows, "goframe"); !goframe.is_null())
    layouts.goframe = etcd::GoframeLayout{.prefix = registry::text_of(goframe, "prefix"),
                                          .deployment = registry::text_of(goframe, "deployment"),
                                          .space = registry::text_of(goframe, "namespace"),
                                          .version = registry::text_of(goframe, "version")};
  if (const Value& gozero = at(rows, "gozero"); !gozero.is_null())
    layouts.gozero = etcd::GozeroLayout{.keys = registry::texts_of(gozero, "keys"),
                                        .env = registry::text_of(gozero, "env"),
                                        .space = registry::text_of(gozero, "namespace")};
  if (const Value& forge = at(rows, "forge"); !forge.is_null())
    layouts.forge = etcd::ForgeLayout{.prefix = registry::text_of(forge, "prefix")};
  return layouts;
}

/// Two layouts below one prefix would read each other's keys.
std::optional<SpecError> check_layouts(const etcd::Layouts& layouts, const std::string& path) {
  if (layouts == etcd::Layouts())
    return SpecError{
        path, "expected at least one of \"kratos\", \"goframe\", \"gozero\", \"forge\"", {}};
  std::vector<std::pair<const char*, std::string>> prefixes;
  if (layouts.kratos) prefixes.emplace_back("kratos", etcd::as_folder(layouts.kratos->prefix));
  if (layouts.goframe) prefixes.emplace_back("goframe", etcd::as_folder(layouts.goframe->prefix));
  if (layouts.forge) prefixes.emplace_back("forge", etcd::as_folder(layouts.forge->prefix));
  for (const auto& [name, prefix] : prefixes)
    for (const auto& [other, above] : prefixes)
      if (name != other && prefix.starts_with(above))
        return SpecError{
            registry::join_path(path, name) + ".prefix",
            std::string("expected a prefix that is not below that of \"") + other + '"',
            {}};
  if (layouts.gozero)
    for (const std::string& key : layouts.gozero->keys)
      if (key.empty() || key.ends_with('/'))
        return SpecError{registry::join_path(path, "gozero") + ".keys",
                         "expected keys such as \"order.rpc\", not \"" + key + '"',
                         {}};
  return std::nullopt;
}

Result<RegistryConfig, SpecError> read_etcd(const Value& rows, const std::string& path) {
  etcd::Options options;
  options.endpoints = registry::texts_of(rows, "endpoints");
  const std::string endpoints = registry::join_path(path, "endpoints");
  if (options.endpoints.empty())
    return bad(endpoints, "expected at least one URL such as \"http://10.0.0.5:2379\"");
  for (const std::string& text : options.endpoints)
    if (auto error = check_server(text, endpoints, "http://10.0.0.5:2379"))
      return failure(std::move(*error));
  options.ttl = registry::duration_of(rows, "ttl");
  options.publish = registry::flag_of(rows, "publish");
  auto layouts = read_layouts(at(rows, "layouts"), registry::join_path(path, "layouts"));
  if (!layouts) return failure(std::move(layouts.error()));
  options.layouts = std::move(*layouts);
  options.services = registry::texts_of(rows, "services");
  options.user = registry::text_of(rows, "user");
  options.password_file = registry::text_of(rows, "password_file");
  if (options.user.empty() != options.password_file.empty())
    return bad(registry::join_path(path, options.user.empty() ? "user" : "password_file"),
               "expected \"user\" and \"password_file\" together");
  auto tls = read_tls(rows, path, options.endpoints);
  if (!tls) return failure(std::move(tls.error()));
  options.tls = std::move(*tls);
  auto keep = read_keep(rows, path);
  if (!keep) return failure(std::move(keep.error()));
  return RegistryConfig{.options = std::move(options), .keep = *keep};
}

Result<RegistryConfig, SpecError> read_consul(const Value& rows, const std::string& path) {
  consul::Options options;
  options.address = registry::text_of(rows, "address");
  if (auto error = check_server(options.address, registry::join_path(path, "address"),
                                "http://127.0.0.1:8500"))
    return failure(std::move(*error));
  options.services = registry::texts_of(rows, "services");
  options.ttl = registry::duration_of(rows, "ttl");
  options.publish = registry::flag_of(rows, "publish");
  options.token_file = registry::text_of(rows, "token_file");
  auto tls = read_tls(rows, path, {options.address});
  if (!tls) return failure(std::move(tls.error()));
  options.tls = std::move(*tls);
  auto keep = read_keep(rows, path);
  if (!keep) return failure(std::move(keep.error()));
  return RegistryConfig{.options = std::move(options), .keep = *keep};
}

/// What `read` returns for the options of the registry; nothing of the agents of this host.
template <typename Options, typename Read>
auto of_options(const Options& options, Read read) {
  return std::visit(
      [&]<typename One>(const One& one) {
        if constexpr (std::is_same_v<One, std::monostate>)
          return decltype(read(etcd::Options())){};
        else
          return read(one);
      },
      options);
}

}  // namespace

Result<etcd::Layouts, SpecError> read_layouts(const Value& rows, const std::string& path) {
  etcd::Layouts layouts = layouts_of(rows);
  if (auto error = check_layouts(layouts, path)) return failure(std::move(*error));
  return layouts;
}

Result<std::vector<RegistryConfig>, SpecError> read_registries(const Value& list) {
  std::vector<RegistryConfig> registries;
  std::set<std::string> servers;
  std::size_t index = 0;
  for (const Value& rows : *list.as_array()) {
    const std::string path = registry::join_path("registries", index++);
    const bool is_etcd = !at(rows, "etcd").is_null();
    if (is_etcd == !at(rows, "consul").is_null())
      return bad(path, "expected one of \"etcd\" and \"consul\"");
    auto one = is_etcd ? read_etcd(at(rows, "etcd"), path + ".etcd")
                       : read_consul(at(rows, "consul"), path + ".consul");
    if (!one) return failure(std::move(one.error()));
    const std::string server = is_etcd ? std::get<etcd::Options>(one->options).endpoints.front()
                                       : std::get<consul::Options>(one->options).address;
    if (!servers.insert(server).second)
      return bad(path + (is_etcd ? ".etcd.endpoints" : ".consul.address"),
                 '"' + server + "\" is given twice");
    registries.push_back(std::move(*one));
  }
  return registries;
}

registry::Source RegistryConfig::source() const {
  if (std::holds_alternative<etcd::Options>(options)) return registry::Source::etcd;
  if (std::holds_alternative<consul::Options>(options)) return registry::Source::consul;
  return registry::Source::host;
}

bool RegistryConfig::publishes() const {
  return of_options(options, [](const auto& one) { return one.publish; });
}

TlsOptions RegistryConfig::tls() const {
  return of_options(options, [](const auto& one) { return one.tls; });
}

Duration RegistryConfig::ttl() const {
  return of_options(options, [](const auto& one) { return one.ttl; });
}

}  // namespace outrider
