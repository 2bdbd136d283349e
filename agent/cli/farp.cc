// SPDX-License-Identifier: Apache-2.0
// farp manifest, services and routes show what the running agent knows. farp check examines any
// manifest, from a file or a URL, by the rules that gateways apply.
#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/farp/manifest.h"
#include "agent/farp/routes.h"
#include "agent/farp/txt.h"
#include "base/log.h"
#include "base/text.h"
#include "base/text_file.h"

namespace outrider::cli {
namespace {

std::string dash_if_empty(std::string text) {
  return text.empty() ? "-" : text;
}

/// The document of `source`: a file, "-" for standard input, or an http URL.
Result<std::string, int> read_source(const std::string& source) {
  if (source == "-") {
    auto text = read_text_input(source, kTextFileBytesMax);
    if (text) return std::move(*text);
    return failure(complain(text.error(), kUsage));
  }
  if (const auto url = http::parse_url(source)) return get_url(*url);
  if (auto text = read_text_file(source)) return std::move(*text);
  return failure(complain(source + ": neither a readable file nor an http URL", kUsage));
}

void write_findings(const farp::ManifestReading& reading) {
  std::string text;
  json::Writer out(text, json::Writer::Style::indented);
  out.begin_object().member("acceptable", reading.acceptable()).key("findings").begin_array();
  for (const farp::Finding& finding : reading.findings) {
    const bool error = finding.severity == farp::Finding::Severity::error;
    out.begin_object().member("severity", error ? "error" : "warning");
    out.member("field", finding.field).member("message", finding.message).end_object();
  }
  out.end_array().end_object();
  print_json(text + '\n');
}

void print_findings(const std::string& source, const farp::ManifestReading& reading) {
  for (const farp::Finding& finding : reading.findings) {
    const bool error = finding.severity == farp::Finding::Severity::error;
    print(tinted(error ? "error" : "warning", error ? Tint::bad : Tint::fair) + "  " +
          tinted(finding.field, Tint::strong) + ": " + escape_untrusted(finding.message) + '\n');
  }
  const farp::Manifest& manifest = reading.manifest;
  if (!reading.acceptable()) return print(escape_untrusted(source) + ": not a valid manifest\n");
  print(escape_untrusted(source) + ": manifest of " + tinted(manifest.service_name, Tint::strong) +
        ", instance " + tinted(manifest.instance_id, Tint::plain) + ", " +
        counted(manifest.schemas.size(), "schema") + '\n');
}

}  // namespace

int farp_manifest(const Arguments& arguments) {
  std::string target = "/v1/outrider/farp/manifest";
  if (!arguments.positional().empty())
    target += "?id=" + http::percent_encode(arguments.positional()[0]);
  const auto document = get_document(arguments, target);
  if (!document) return document.error();
  std::string text;
  json::Writer(text, json::Writer::Style::indented).value(document->value);
  print_json(text + '\n');
  return kDone;
}

int farp_services(const Arguments& arguments) {
  const auto document = get_document(arguments, "/v1/outrider/farp/services");
  if (!document) return document.error();
  if (arguments.has("json")) return print_json(document->text), kDone;
  Table table({"SERVICE", "INSTANCE", "ENDPOINT", "MANIFEST", "CAPABILITIES"});
  for (const json::Value& service : list_at(document->value, "services")) {
    table.add({{text_at(service, "service"), Tint::strong},
               {text_at(service, "label")},
               {text_at(service, "endpoint")},
               {dash_if_empty(text_at(service, "manifest"))},
               {dash_if_empty(joined_at(service, "capabilities", ","))}});
  }
  print(table.empty() ? "no known service speaks FARP\n" : table.text());
  return kDone;
}

int farp_routes(const Arguments& arguments) {
  std::string gateway = arguments.get("gateway");
  if (!arguments.has("gateway")) gateway = "bastion";
  if (!farp::parse_gateway(gateway))
    return complain("--gateway: expected bastion, forge, octopus or spec, not \"" + gateway + '"',
                    kUsage);
  const auto document =
      get_document(arguments, "/v1/outrider/farp/routes?gateway=" + http::percent_encode(gateway));
  if (!document) return document.error();
  if (arguments.has("json")) return print_json(document->text), kDone;
  Table table({"PATH", "PROTOCOL", "PRIORITY", "TARGETS", "HEALTH", "WHY"});
  for (const json::Value& route : list_at(document->value, "routes")) {
    const std::string methods = joined_at(route, "methods", ",");
    table.add({{text_at(route, "path"), Tint::strong},
               {text_at(route, "protocol") + (methods.empty() ? "" : " " + methods)},
               {std::to_string(number_at(route, "priority"))},
               {joined_at(route, "targets", ",")},
               {dash_if_empty(text_at(route, "health_path"))},
               {text_at(route, "why"), Tint::faint}});
  }
  print(table.empty() ? "no routes: a " + gateway + " gateway would build none\n" : table.text());
  return kDone;
}

int farp_check(const Arguments& arguments) {
  const std::string& source = arguments.positional()[0];
  const std::string minor = arguments.get("reader");
  if (!minor.empty() && minor != "1.0" && minor != "1.1")
    return complain("--reader: expected 1.0 or 1.1, not \"" + minor + '"', kUsage);
  const auto text = read_source(source);
  if (!text) return text.error();
  const auto document = json::parse_foreign(*text, farp::kManifestBytesMax);
  if (!document)
    return complain(source + ':' + std::to_string(document.error().line) + ':' +
                        std::to_string(document.error().column) + ": " + document.error().message,
                    kFailed);
  const farp::ManifestReading reading = farp::read_manifest(*document, minor == "1.0" ? 0 : 1);
  if (arguments.has("json"))
    write_findings(reading);
  else
    print_findings(source, reading);
  return reading.acceptable() ? kDone : kFailed;
}

}  // namespace outrider::cli
