// SPDX-License-Identifier: Apache-2.0
#include "tests/dns/bed.h"

#include <doctest/doctest.h>

namespace outrider::test {

using namespace dns;

namespace {

const Endpoint kServer = *Endpoint::parse("127.0.0.55:53");

StubOptions listening(StubOptions options) {
  if (options.listen.empty()) options.listen = {kServer};
  return options;
}

ZoneOptions svc() {
  ZoneOptions options;
  options.origin = name("svc");
  return options;
}

void read_edns(const MessageView& view, Answer& answer) {
  const auto edns = view.edns();
  REQUIRE(edns.has_value());
  if (!*edns) return;
  answer.has_edns = true;
  answer.edns_size = (*edns)->udp_size;
  answer.dnssec_ok = (*edns)->dnssec_ok;
  answer.rcode = static_cast<Rcode>((*edns)->extended_rcode << 4 | answer.flags.rcode);
  ByteReader options((*edns)->options);
  while (options.left() > 0) {
    const unsigned code = options.u16();
    ByteReader value(options.take(options.u16()));
    REQUIRE(options.ok());
    if (code != 15) continue;
    answer.error = value.u16();
    answer.error_text = as_text(value.take(value.left()));
  }
}

}  // namespace

Name name(std::string_view text) {
  const auto parsed = Name::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

std::vector<std::uint8_t> Ask::wire(std::uint16_t id) const {
  std::vector<std::uint8_t> buffer(65'535);
  MessageBuilder builder(buffer);
  builder.set_id(id);
  builder.set_flags(flags);
  REQUIRE(builder.add_question({test::name(name), type, rr_class}));
  if (edns_size)
    REQUIRE(builder.add_opt({.udp_size = *edns_size,
                             .version = edns_version,
                             .dnssec_ok = dnssec_ok,
                             .options = edns_options}));
  const Bytes message = builder.finish();
  return {message.begin(), message.end()};
}

Answer Answer::read(Bytes message) {
  Answer answer;
  const auto view = MessageView::parse(message);
  REQUIRE(view.has_value());
  answer.size = message.size();
  answer.id = view->header().id;
  answer.flags = view->header().flags;
  answer.rcode = static_cast<Rcode>(answer.flags.rcode);
  REQUIRE(answer.flags.response);
  if (view->header().questions == 1)
    answer.question = view->question().name.to_string() + ' ' + to_string(view->question().type);
  auto cursor = view->records();
  while (const auto found = cursor.next()) {
    if (found->record.type == RrType::opt) continue;
    auto& section = found->section == Section::answer      ? answer.answer
                    : found->section == Section::authority ? answer.authority
                                                           : answer.additional;
    section.push_back(to_string(found->record));
  }
  REQUIRE(!cursor.failed());
  REQUIRE(cursor.position() == message.size());
  read_edns(*view, answer);
  return answer;
}

std::string Answer::outcome() const {
  if (rcode == Rcode::noerror && answer.empty()) return "NODATA";
  return to_string(rcode);
}

Bed::Bed(StubOptions options)
    : server(world.env(), listening(std::move(options)), *this), zone(server.add_zone(svc())) {
  server.start();
  client_ = *world.env().network.open_udp({.bind = *Endpoint::parse("127.0.0.1:0")}, *this);
  world.settle();
}

void Bed::on_bind(const Endpoint& address, Result<void, NetError> result) {
  binds.push_back(address.to_string() + ' ' + (result ? "bound" : to_string(result.error())));
}

Duration Bed::on_unknown_name(const Name& unknown_name, const Name&) {
  unknown.push_back(unknown_name.to_string());
  return hold;
}

void Bed::on_datagrams(std::span<const Datagram> datagrams) {
  for (const Datagram& datagram : datagrams) {
    CHECK(datagram.from == kServer);
    replies_.emplace_back(datagram.payload.begin(), datagram.payload.end());
  }
}

void Bed::send(Bytes datagram) {
  REQUIRE(client_->send(datagram, kServer).has_value());
}

std::vector<std::vector<std::uint8_t>> Bed::exchange(Bytes datagram) {
  send(datagram);
  world.advance(5ms);
  return take_replies();
}

Answer Bed::ask(const Ask& question) {
  const auto got = exchange(question.wire());
  REQUIRE(got.size() == 1);
  const Answer answer = Answer::read(got[0]);
  CHECK(answer.id == 0x1234);
  return answer;
}

void Bed::connect() {
  tcp_ended = false;
  tcp_input_.clear();
  connecting_ = world.env().network.connect({.to = kServer},
                                            [this](Result<std::unique_ptr<Stream>, NetError> made) {
                                              REQUIRE(made.has_value());
                                              stream_ = std::move(*made);
                                              stream_->start(*this);
                                            });
  REQUIRE(world.run_until([this] { return stream_ != nullptr; }, 1s));
  connecting_.reset();
}

void Bed::write(Bytes bytes) {
  REQUIRE(stream_->write(bytes).has_value());
}

std::vector<Answer> Bed::take_frames() {
  std::vector<Answer> answers;
  ByteReader reader(tcp_input_);
  std::size_t used = 0;
  while (reader.left() >= 2) {
    const Bytes message = reader.take(reader.u16());
    if (!reader.ok()) break;
    answers.push_back(Answer::read(message));
    used = reader.position();
  }
  tcp_input_.erase(tcp_input_.begin(), tcp_input_.begin() + static_cast<std::ptrdiff_t>(used));
  return answers;
}

std::vector<Answer> Bed::ask_tcp(const std::vector<Ask>& questions, bool close) {
  connect();
  std::vector<std::uint8_t> all;
  std::uint16_t id = 0;
  for (const Ask& question : questions) {
    const auto wire = question.wire(id++);
    all.push_back(static_cast<std::uint8_t>(wire.size() >> 8));
    all.push_back(static_cast<std::uint8_t>(wire.size()));
    all.insert(all.end(), wire.begin(), wire.end());
  }
  write(all);
  if (close) stream_->finish();
  world.advance(50ms);
  if (!close) disconnect();
  world.advance(50ms);
  auto answers = take_frames();
  if (close) {
    CHECK(tcp_ended);
    disconnect();
  }
  return answers;
}

ZoneRecord a(std::string_view address, std::uint8_t rank, std::uint16_t weight) {
  const auto parsed = IpAddress::parse(address);
  REQUIRE_MESSAGE(parsed.has_value(), address);
  return {parsed->is_v4() ? RrType::a : RrType::aaaa, AddressData{*parsed}, rank, weight};
}

ZoneRecord srv(std::uint16_t port, std::string_view target, std::uint8_t rank) {
  return {RrType::srv, SrvData{0, 1, port, name(target)}, rank};
}

ZoneRecord txt(std::vector<std::string> strings) {
  return {RrType::txt, TxtData{std::move(strings)}};
}

ZoneRecord ptr(std::string_view target) {
  return {RrType::ptr, NameData{name(target)}};
}

}  // namespace outrider::test
