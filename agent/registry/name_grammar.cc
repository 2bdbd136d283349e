// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/name_grammar.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::registry {
namespace {

using Labels = std::vector<std::string>;

constexpr std::string_view kLocal = "local", kTag = "_tag", kTcp = "_tcp", kUdp = "_udp";

Labels split(std::string_view name) {
  Labels labels;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    labels.push_back(lowered(name.substr(at, dot - at)));
    at = dot + 1;
  }
  return labels;
}

/// Those of `name` before `zone`.
Labels labels_below(const dns::Name& name, const dns::Name& zone) {
  Labels labels;
  for (std::size_t i = 0; i + zone.label_count() < name.label_count(); ++i)
    labels.push_back(lowered(name.label(i)));
  return labels;
}

bool is_underscored(std::string_view label) {
  return label.size() > 1 && label.front() == '_';
}

std::string without_underscore(std::string_view label) {
  return std::string(label.starts_with('_') ? label.substr(1) : label);
}

/// "_hello._tcp" and what stands before it.
NameMeaning read_typed(const Labels& labels) {
  const std::size_t count = labels.size();
  if (count < 2) return {.form = NameForm::none};
  const std::string& type = labels[count - 2];
  const std::string service = without_underscore(type);
  const bool typed = labels.back() == kTcp && is_underscored(type);
  if (typed && count == 2) return {NameForm::type, service};
  if (typed && count == 3) return {NameForm::typed_instance, service, labels[0]};
  return {NameForm::none, service};
}

NameMeaning read_labels(const Labels& labels) {
  const std::size_t count = labels.size();
  if (count == 0) return {.form = NameForm::zone};
  if (count == 1 && labels[0] == "ns") return {.form = NameForm::zone};
  if (count >= 2 && labels[count - 2] == "_dns-sd" && labels[count - 1] == kUdp)
    return {.form = NameForm::zone};
  if (labels.back() == kTcp || labels.back() == kUdp) return read_typed(labels);
  const std::string& service = labels.back();
  if (count == 1) return {NameForm::whole, service};
  if (count == 2) {
    if (labels[0] == kLocal) return {NameForm::local, service};
    return {NameForm::instance, service, labels[0]};
  }
  if (count == 3 && labels[1] == kTag) return {NameForm::tag, service, labels[0]};
  if (count == 3 && labels[1] == kTcp && is_underscored(labels[0]))
    return {NameForm::protocol, service, without_underscore(labels[0])};
  return {NameForm::none, service};
}

/// As to_label() does inside of a label, and ServiceName::from_foreign() with the '/' of
/// "prod/order.rpc". A '_' in front makes a name of another kind.
std::string folded(std::string label) {
  for (std::size_t i = 1; i < label.size(); ++i)
    if (label[i] == '_' || label[i] == ' ' || label[i] == '/') label[i] = '-';
  return label;
}

/// The labels from `begin` to `end` as one.
Labels with_one(const Labels& labels, std::size_t begin, std::size_t end) {
  const auto at = [&](std::size_t i) { return labels.begin() + static_cast<std::ptrdiff_t>(i); };
  Labels out(at(0), at(begin));
  out.push_back(join(Labels(at(begin), at(end)), "-"));
  out.insert(out.end(), at(end), labels.end());
  return out;
}

std::vector<std::string> spell(const Labels& asked) {
  Labels labels;
  for (const std::string& label : asked)
    labels.push_back(folded(label));
  std::vector<std::string> out;
  const std::string given = join(asked, ".");
  const auto add = [&](const Labels& spelled) {
    std::string name = join(spelled, ".");
    if (name != given && std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
  };
  // The dots of the service's name: the last labels, none of which is a keyword.
  const std::size_t count = labels.size();
  for (std::size_t size = 1; size <= std::min(count, kDotsFoldedMax + 1); ++size) {
    if (labels[count - size].starts_with('_')) break;
    const Labels named = with_one(labels, count - size, count);
    const auto tag = std::ranges::find(named, kTag);
    const auto place = static_cast<std::size_t>(tag - named.begin());
    const bool dotted = tag != named.end() && place > 1 && place <= kDotsFoldedMax + 1;
    add(dotted ? with_one(named, 0, place) : named);
    // The dots of an id, before a service without any.
    const bool plain = std::ranges::none_of(named, &is_underscored);
    if (size == 1 && plain && count > 2 && count <= kDotsFoldedMax + 2)
      add(with_one(named, 0, count - 1));
  }
  if (count > 0 && labels.back().starts_with('_')) add(labels);
  return out;
}

}  // namespace

std::string write_name(NameForm form, std::string_view service, std::string_view selector) {
  switch (form) {
    case NameForm::whole:
      return std::string(service);
    case NameForm::local:
      return join({kLocal, service}, ".");
    case NameForm::instance:
      return join({selector, service}, ".");
    case NameForm::tag:
      return join({selector, kTag, service}, ".");
    case NameForm::protocol:
      return '_' + join({selector, kTcp, service}, ".");
    case NameForm::type:
      return '_' + join({service, kTcp}, ".");
    case NameForm::typed_instance:
      return join({selector, '_' + std::string(service), kTcp}, ".");
    case NameForm::zone:
    case NameForm::none:
      break;
  }
  OUTRIDER_UNREACHABLE();
}

NameMeaning read_name(std::string_view relative) {
  return read_labels(split(relative));
}

NameMeaning read_name(const dns::Name& name, const dns::Name& zone) {
  return read_labels(labels_below(name, zone));
}

std::vector<std::string> other_spellings(std::string_view relative) {
  return spell(split(relative));
}

std::vector<std::string> other_spellings(const dns::Name& name, const dns::Name& zone) {
  return spell(labels_below(name, zone));
}

namespace {

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// As spell() folds, whatever the octets are.
std::string folded_text(std::string_view text) {
  std::string out = lowered(text);
  std::ranges::replace_if(
      out, [](char c) { return c == '_' || c == ' ' || c == '.'; }, '-');
  return out;
}

/// The instance whose id is written with letters that its label does not have. Other ids may have
/// the same label but for a suffix, so the text decides.
InstancePtr find_written(const NameMeaning& asked, const Registry& registry) {
  if (is_ascii(asked.selector)) return nullptr;
  const std::string wanted = folded_text(asked.selector);
  for (const InstancePtr& each : registry.instances(asked.service))
    if (folded_text(each->own() ? each->id.text() : each->announced_id) == wanted) return each;
  return nullptr;
}

std::vector<std::string> with_present_ids(const Labels& labels, const Registry& registry) {
  std::vector<std::string> names = spell(labels);
  std::vector<std::string> asked = {join(labels, ".")};
  asked.insert(asked.end(), names.begin(), names.end());
  for (const std::string& name : asked) {
    const NameMeaning meaning = read_name(name);
    if (meaning.form != NameForm::instance && meaning.form != NameForm::typed_instance) continue;
    InstancePtr found = registry.find_short(meaning.service, meaning.selector);
    if (found == nullptr) found = find_written(meaning, registry);
    if (found != nullptr)
      names.push_back(write_name(meaning.form, meaning.service, found->id.label()));
  }
  return names;
}

}  // namespace

std::vector<std::string> other_spellings(std::string_view relative, const Registry& registry) {
  return with_present_ids(split(relative), registry);
}

std::vector<std::string> other_spellings(const dns::Name& name, const dns::Name& zone,
                                         const Registry& registry) {
  return with_present_ids(labels_below(name, zone), registry);
}

namespace {

bool is_there(const NameMeaning& meaning, const Registry& registry) {
  const std::vector<InstancePtr> all = registry.instances(meaning.service);
  const bool means_any =
      std::ranges::any_of(all, [&](const InstancePtr& each) { return means(meaning, *each); });
  return exists(meaning.form, registry.knows(meaning.service), means_any);
}

/// `asked`, or what another spelling of the name means, if only that exists.
NameMeaning find_spelling(NameMeaning asked, std::string_view name, const Registry& registry) {
  if (is_there(asked, registry)) return asked;
  for (const std::string& spelling : other_spellings(name, registry))
    if (NameMeaning meaning = read_name(spelling); is_there(meaning, registry)) return meaning;
  return asked;
}

}  // namespace

GivenName read_given_name(std::string_view text, const std::vector<std::string>& domains,
                          const Registry& registry) {
  std::string name = lowered(text);
  if (name.ends_with('.')) name.pop_back();
  for (const std::string& domain : domains) {
    const bool is_service = name == domain && registry.knows(label_of(name));
    if (name == domain && !is_service) return {{.form = NameForm::zone}, {}, domain};
    if (!name.ends_with('.' + domain)) continue;
    name.resize(name.size() - domain.size() - 1);
    GivenName given{read_name(name), name, domain};
    // The other side of labels_in.
    const std::string whole = label_of(given.meaning.service + '.' + domain);
    if (!registry.knows(given.meaning.service) && registry.knows(whole))
      given.meaning.service = whole;
    given.meaning = find_spelling(std::move(given.meaning), name, registry);
    return given;
  }
  const std::string label = label_of(text);
  // "v2._tag.shop" without a domain, but "order.rpc" as the name of a service.
  if (name.find('.') != std::string::npos && !registry.knows(label)) {
    const NameMeaning meaning = find_spelling(read_name(name), name, registry);
    const bool marked = name.starts_with('_') || name.find("._") != std::string::npos;
    if (marked || registry.knows(meaning.service))
      return {meaning, name, domains.empty() ? "" : domains.front()};
  }
  return {{NameForm::whole, label}, label, domains.empty() ? "" : domains.front()};
}

bool means(const NameMeaning& name, const Instance& instance) {
  switch (name.form) {
    case NameForm::whole:
      return true;
    case NameForm::type:
      return instance.port != 0;
    case NameForm::local:
      return instance.on_this_host;
    case NameForm::instance:
      return instance.id.label() == name.selector;
    case NameForm::typed_instance:
      return instance.id.label() == name.selector && instance.port != 0;
    case NameForm::tag:
      return tag_labels(instance).contains(name.selector);
    case NameForm::protocol:
      return lowered(instance.protocol) == name.selector;
    case NameForm::zone:
    case NameForm::none:
      return false;
  }
  OUTRIDER_UNREACHABLE();
}

bool has_addresses(NameForm form) {
  return form == NameForm::whole || form == NameForm::local || form == NameForm::instance ||
         form == NameForm::tag;
}

bool exists(NameForm form, bool service_known, bool means_any) {
  switch (form) {
    case NameForm::zone:
      return true;
    case NameForm::whole:
    case NameForm::local:
    case NameForm::type:
      return service_known;
    case NameForm::instance:
    case NameForm::typed_instance:
    case NameForm::tag:
    case NameForm::protocol:
      return means_any;
    case NameForm::none:
      return false;
  }
  OUTRIDER_UNREACHABLE();
}

std::string label_of(std::string_view service) {
  if (const auto name = ServiceName::parse(service)) return name->label();
  // Registries have names with '/'.
  const bool foreign = service.find('/') != std::string_view::npos;
  const auto name = foreign ? ServiceName::from_foreign(service) : std::nullopt;
  return name ? name->label() : lowered(service);
}

std::set<std::string> tag_labels(const Instance& instance) {
  std::set<std::string> labels;
  for (const std::string& tag : instance.tags)
    if (auto label = to_label(tag)) labels.insert(std::move(*label));
  return labels;
}

std::set<std::string> labels_in(std::string_view domain, const std::string& label,
                                const std::vector<InstancePtr>& instances) {
  std::set<std::string> labels = {label};
  const std::string suffix = '.' + std::string(domain);
  for (const InstancePtr& instance : instances) {
    const std::string& text = instance->service.text();
    if (!text.ends_with(suffix)) continue;
    const std::string_view rest = std::string_view(text).substr(0, text.size() - suffix.size());
    if (const auto shorter = ServiceName::from_foreign(rest)) labels.insert(shorter->label());
  }
  return labels;
}

}  // namespace outrider::registry
