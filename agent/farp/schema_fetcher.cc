// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/schema_fetcher.h"

#include <algorithm>
#include <optional>

#include "base/http/client.h"
#include "base/http/url.h"

namespace outrider::farp {
namespace {

// The introspection that every GraphQL tool sends, without descriptions.
constexpr const char* kIntrospection =
    R"({"query":"query{__schema{queryType{name}mutationType{name}subscriptionType{name})"
    R"(types{kind name fields(includeDeprecated:true){name args{name type{...T}defaultValue})"
    R"(type{...T}isDeprecated}inputFields{name type{...T}defaultValue}interfaces{...T})"
    R"(enumValues(includeDeprecated:true){name}possibleTypes{...T}}directives{name locations )"
    R"(args{name type{...T}}}}}fragment T on __Type{kind name ofType{kind name ofType{kind name )"
    R"(ofType{kind name ofType{kind name}}}}}"})";

struct Place {
  Endpoint from;
  std::string path;
};

Reach reach_of(const registry::Instance& instance) {
  const auto remote = [](const registry::CheckState& check) { return check.spec.allow_remote; };
  return std::ranges::any_of(instance.checks, remote) ? Reach::any_host : Reach::this_host;
}

// Nothing if the document is said to be on another host, or behind TLS.
std::optional<Place> own_place(const registry::Instance& instance, const std::string& document) {
  IpAddress address = IpAddress::loopback(IpAddress::Family::v4);
  if (!instance.addresses.empty()) address = instance.addresses.front().address;
  if (document.starts_with('/')) return Place{{address, instance.port}, document};
  const auto url = http::parse_url(document);
  if (!url || url->scheme != "http") return std::nullopt;
  const auto host = url->host == "localhost" ? address : IpAddress::parse(url->host);
  const auto listed = [&](const registry::PlacedAddress& own) { return own.address == host; };
  if (!host || (!host->is_loopback() && std::ranges::none_of(instance.addresses, listed)))
    return std::nullopt;
  return Place{{*host, url->port}, url->path};
}

}  // namespace

// One schema of one instance: waiting (timer) or under way (request).
struct SchemaFetcher::Job {
  std::string instance_id;
  SchemaType type;
  Endpoint from;
  std::string path;
  Reach reach = Reach::this_host;
  Duration retry = kSchemaRetryMin;
  Timer timer;
  std::unique_ptr<Pending> request;
};

SchemaFetcher::SchemaFetcher(Env& env, SchemaStore& store, Sink& sink)
    : env_(env), store_(store), sink_(sink) {}

SchemaFetcher::~SchemaFetcher() = default;

void SchemaFetcher::watch(const registry::Instance& instance) {
  const bool wanted = instance.farp->enabled && registry::usable(instance.health);
  const std::string none;
  wish(instance, SchemaType::openapi, wanted ? instance.farp->openapi : none);
  wish(instance, SchemaType::asyncapi, wanted ? instance.farp->asyncapi : none);
  wish(instance, SchemaType::graphql, wanted ? instance.farp->graphql : none);
}

void SchemaFetcher::forget(const std::string& instance_id) {
  std::erase_if(jobs_, [&](const auto& job) { return job.first.first == instance_id; });
  store_.forget(instance_id);
}

void SchemaFetcher::wish(const registry::Instance& instance, SchemaType type,
                         const std::string& path) {
  const Key key{instance.id.text(), type};
  if (path.empty() || registry::FarpSpec::is_file(path)) {
    jobs_.erase(key);
    return;
  }
  const auto place = own_place(instance, path);
  if (!place) {
    jobs_.erase(key);
    store_.fail(key.first, type, path + ": not an http address of this instance");
    return;
  }
  std::unique_ptr<Job>& job = jobs_[key];
  const Reach reach = reach_of(instance);
  if (job && job->from == place->from && job->path == place->path && job->reach == reach) return;
  // An address may become this host's later, so the job goes on; until then each request is
  // refused.
  if (const auto allowed = check_reach(place->from, env_.network, reach); !allowed)
    store_.fail(key.first, type, place->from.to_string() + ": " + explain(allowed.error()));
  job = std::make_unique<Job>();
  job->instance_id = key.first;
  job->type = type;
  job->from = place->from;
  job->path = place->path;
  job->reach = reach;
  start(*job);
}

void SchemaFetcher::start(Job& job) {
  job.timer = env_.after(0s, [this, &job] { request(job, false); });
}

void SchemaFetcher::request(Job& job, bool introspection) {
  http::ClientRequest request;
  request.to = job.from;
  request.reach = job.reach;
  request.target = job.path;
  request.timeout = kSchemaTimeout;
  request.body_bytes_max = kSchemaBytesMax;
  request.headers = {{"Accept", job.type == SchemaType::graphql
                                    ? "application/graphql, application/json, text/plain"
                                    : "application/json"},
                     {"User-Agent", "outrider/" OUTRIDER_VERSION}};
  if (introspection) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = kIntrospection;
  }
  job.request = http::fetch(env_, std::move(request), [this, &job, introspection](auto result) {
    if (!result) return done(job, result.error().text);
    answered(job, introspection, result->status, result->body);
  });
}

void SchemaFetcher::answered(Job& job, bool introspection, int status, const std::string& body) {
  const bool ok = status >= 200 && status <= 299;
  auto schema = ok ? read_schema_document(job.type, body, env_.clock.wall())
                   : failure("HTTP " + std::to_string(status));
  if (!schema) {
    // What answers no GET with a schema may still answer queries.
    if (job.type == SchemaType::graphql && !introspection) return request(job, true);
    return done(job, job.path + ": " + schema.error());
  }
  const std::string id = job.instance_id;
  const bool changed = store_.put(id, std::move(*schema));
  done(job, {});
  if (changed) sink_.on_schema(id);
}

void SchemaFetcher::done(Job& job, std::string trouble) {
  Duration wait = kSchemaRefresh;
  if (trouble.empty()) {
    job.retry = kSchemaRetryMin;
  } else {
    wait = std::exchange(job.retry, std::min(2 * job.retry, kSchemaRefresh));
    env_.log.record(LogEvent::farp_schema_failed, {{"instance", job.instance_id},
                                                   {"type", to_string(job.type)},
                                                   {"reason", trouble},
                                                   {"duration", wait}});
    store_.fail(job.instance_id, job.type, std::move(trouble));
  }
  job.timer = env_.after(env_.random.jitter(wait, 10), [this, &job] { request(job, false); });
}

}  // namespace outrider::farp
