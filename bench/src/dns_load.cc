// SPDX-License-Identifier: Apache-2.0
// dns_load --server ADDRESS:PORT --queries FILE [--seconds S] [--sockets N] [--window N]
//          [--rate QPS] [--unique]
//
// Load on a DNS server over UDP from one core. Without --rate a window of queries is kept in
// flight, which shows what the server can do; with it queries leave evenly and latency is counted
// from when each was due, so that a stall is not hidden by the queries it kept from being sent.
// --unique writes a counter over the first label. FILE: "name TYPE" a line.
//
// It batches and it spins, because a generator that sleeps or sends one by one is itself the limit.
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <time.h>

#include "base/bytes.h"
#include "base/uv/socket.h"

namespace {

using outrider::Bytes;
using outrider::ByteWriter;

constexpr std::size_t kBatch = 32;
constexpr std::size_t kQueryBytes = 288;
constexpr std::size_t kSlotBits = 12;  // of the id; the other four distinguish late answers
constexpr std::size_t kSlotsMax = 1U << kSlotBits;
constexpr std::uint64_t kLost = 1'000'000'000;  // ns after which an answer counts as lost
constexpr std::uint64_t kLinger = 300'000'000;  // ns to wait for the last answers
constexpr int kBufferBytes = 4 << 20;

struct Options {
  outrider::Endpoint server;
  std::string queries;
  double seconds = 2;
  std::size_t sockets = 8;
  std::size_t window = 160;
  double rate = 0;
  bool unique = false;
};

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/// Counts by octave and 32 steps in each: 3 % exact over all of its range.
class Histogram {
 public:
  void add(std::uint64_t value) {
    ++counts_[place(value)];
    ++total_;
  }
  double quantile(double part) const {
    const auto wanted = static_cast<std::uint64_t>(static_cast<double>(total_) * part);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return value(i);
    }
    return 0;
  }

 private:
  static std::size_t place(std::uint64_t value) {
    if (value < 32) return value;
    const auto octave = static_cast<std::size_t>(std::bit_width(value)) - 1;
    return (octave - 4) * 32 + ((value >> (octave - 5)) & 31);
  }
  static double value(std::size_t place) {
    if (place < 32) return static_cast<double>(place);
    return static_cast<double>((32 + place % 32) << (place / 32 - 1));
  }
  std::array<std::uint64_t, std::size_t{61} * 32> counts_{};
  std::uint64_t total_ = 0;
};

struct Query {
  std::array<std::uint8_t, kQueryBytes> bytes{};
  std::size_t size = 0;
};

std::uint16_t type_number(const std::string& type) {
  if (type == "A") return 1;
  if (type == "TXT") return 16;
  if (type == "AAAA") return 28;
  return type == "SRV" ? 33 : 255;
}

Query make_query(const std::string& name, const std::string& type) {
  Query query;
  ByteWriter out(query.bytes);
  for (const int word : {0, 0x0100, 1, 0, 0, 0})  // RD, one question
    out.u16(static_cast<std::uint16_t>(word));
  for (std::size_t from = 0; from < name.size();) {
    const std::size_t dot = std::min(name.find('.', from), name.size());
    out.u8(static_cast<std::uint8_t>(dot - from));
    out.put(outrider::as_bytes(std::string_view(name).substr(from, dot - from)));
    from = dot + 1;
  }
  out.u8(0);
  out.u16(type_number(type));
  out.u16(1);
  query.size = out.ok() ? out.size() : 0;
  return query;
}

std::vector<Query> read_queries(const std::string& path) {
  std::vector<Query> queries;
  std::ifstream file(path);
  for (std::string name, type; file >> name >> type;) {
    queries.push_back(make_query(name, type));
    if (queries.back().size == 0) queries.pop_back();
  }
  return queries;
}

/// One socket of the client with its queries in flight.
class Flight {
 public:
  Flight(const outrider::Endpoint& server, std::size_t slots) : sent_at_(slots), turn_(slots) {
    fd_ = ::socket(outrider::uv::family_of(server.address), SOCK_DGRAM | SOCK_NONBLOCK, 0);
    outrider::uv::set_option(fd_, SOL_SOCKET, SO_RCVBUF, kBufferBytes);
    outrider::uv::set_option(fd_, SOL_SOCKET, SO_SNDBUF, kBufferBytes);
    const outrider::uv::SocketAddress address(server);
    ok_ = ::connect(fd_, address.data(), address.size) == 0;
    for (std::size_t slot = slots; slot-- > 0;)
      free_.push_back(slot);
  }

  bool ok() const { return ok_; }
  int fd() const { return fd_; }
  std::size_t free() const { return free_.size(); }
  std::size_t slots() const { return sent_at_.size(); }

  /// The id of the next query, which counts as sent at `when`.
  std::uint16_t take(std::uint64_t when) {
    const std::size_t slot = free_.back();
    free_.pop_back();
    sent_at_[slot] = when;
    turn_[slot] = static_cast<std::uint8_t>((turn_[slot] + 1) & 15);
    return static_cast<std::uint16_t>(turn_[slot] << kSlotBits | slot);
  }
  /// When the query with this id was sent; 0 when it is none of ours.
  std::uint64_t give_back(std::uint16_t id) {
    const std::size_t slot = id & (kSlotsMax - 1);
    if (slot >= sent_at_.size() || turn_[slot] != id >> kSlotBits) return 0;
    const std::uint64_t when = std::exchange(sent_at_[slot], 0);
    if (when != 0) free_.push_back(slot);
    return when;
  }
  std::uint64_t forget_older_than(std::uint64_t when) {
    std::uint64_t count = 0;
    for (std::size_t slot = 0; slot < sent_at_.size(); ++slot) {
      if (sent_at_[slot] == 0 || sent_at_[slot] >= when) continue;
      sent_at_[slot] = 0;
      free_.push_back(slot);
      ++count;
    }
    return count;
  }

 private:
  int fd_ = -1;
  bool ok_ = false;
  std::vector<std::uint64_t> sent_at_;  // 0: free
  std::vector<std::uint8_t> turn_;
  std::vector<std::size_t> free_;
};

class Load {
 public:
  Load(const Options& options, std::vector<Query> queries)
      : options_(options), queries_(std::move(queries)) {
    const std::size_t slots =
        std::clamp<std::size_t>(options.window / options.sockets, 1, kSlotsMax);
    for (std::size_t i = 0; i < options.sockets; ++i)
      flights_.emplace_back(options.server, slots);
    for (std::size_t i = 0; i < kBatch; ++i) {
      received_parts_[i] = {received_bytes_[i].data(), received_bytes_[i].size()};
      received_[i].msg_hdr = {.msg_iov = &received_parts_[i], .msg_iovlen = 1};
      sent_messages_[i].msg_hdr = {.msg_iov = &sent_parts_[i], .msg_iovlen = 1};
    }
  }

  void run() {
    start_ = now_ns();
    const std::uint64_t end = start_ + static_cast<std::uint64_t>(options_.seconds * 1e9);
    std::uint64_t looked = start_;
    std::uint64_t time = start_;
    while ((time = now_ns()) < end + kLinger && (time < end || answered_ + lost_ < sent_)) {
      for (Flight& flight : flights_)
        receive(flight);
      if (time < end) send(time);
      if (time - looked > kLost / 10) {
        looked = time;
        for (Flight& flight : flights_)
          lost_ += flight.forget_older_than(time - kLost);
      }
    }
    elapsed_ = static_cast<double>(std::min(time, end) - start_) / 1e9;
  }

  void print() const {
    std::printf(
        "qps=%.0f sent=%llu answered=%llu lost=%llu noerror=%llu nxdomain=%llu other=%llu "
        "records=%.2f p50_us=%.1f p99_us=%.1f\n",
        static_cast<double>(answered_) / elapsed_, count(sent_), count(answered_),
        count(sent_ - answered_), count(rcodes_[0]), count(rcodes_[3]),
        count(answered_ - rcodes_[0] - rcodes_[3]),
        static_cast<double>(records_) / static_cast<double>(std::max<std::uint64_t>(answered_, 1)),
        latency_.quantile(0.5) / 1e3, latency_.quantile(0.99) / 1e3);
  }

 private:
  static unsigned long long count(std::uint64_t value) { return value; }

  void receive(Flight& flight) {
    if (flight.free() == flight.slots()) return;
    const int got = ::recvmmsg(flight.fd(), received_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got <= 0) return;
    const std::uint64_t time = now_ns();
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      outrider::ByteReader in(Bytes(received_bytes_[i]).first(received_[i].msg_len));
      const std::uint16_t id = in.u16();
      const std::uint16_t flags = in.u16();
      in.skip(2);
      const std::uint16_t answers = in.u16();
      const std::uint64_t when = in.ok() && (flags & 0x8000) != 0 ? flight.give_back(id) : 0;
      if (when == 0) continue;
      latency_.add(time - when);
      ++answered_;
      ++rcodes_[flags & 15];
      records_ += answers;
    }
  }

  void send(std::uint64_t time) {
    if (options_.rate > 0) {
      const double due = static_cast<double>(time - start_) * options_.rate / 1e9;
      if (due < static_cast<double>(sent_ + 1)) return;
      const double when = static_cast<double>(sent_ + 1) * 1e9 / options_.rate;
      Flight& flight = flights_[next_flight_++ % flights_.size()];
      send_batch(flight, 1, start_ + static_cast<std::uint64_t>(when));
      return;
    }
    for (Flight& flight : flights_) {
      // Not for less than a quarter: batches would shrink to one.
      if (flight.free() * 4 >= flight.slots()) send_batch(flight, kBatch, now_ns());
    }
  }

  void send_batch(Flight& flight, std::size_t most, std::uint64_t when) {
    const std::size_t size = std::min(most, flight.free());
    if (size == 0) return;
    for (std::size_t i = 0; i < size; ++i) {
      Query& query = queries_[next_query_++ % queries_.size()];
      if (options_.unique) write_counter(query);
      std::memcpy(sent_bytes_[i].data(), query.bytes.data(), query.size);
      ByteWriter(sent_bytes_[i]).u16(flight.take(when));
      sent_parts_[i] = {sent_bytes_[i].data(), query.size};
    }
    const int taken =
        ::sendmmsg(flight.fd(), sent_messages_.data(), static_cast<unsigned>(size), MSG_DONTWAIT);
    sent_ += static_cast<std::uint64_t>(std::max(taken, 0));
  }

  // The first label has at least eleven octets then: "u" and ten digits.
  void write_counter(Query& query) {
    std::uint64_t value = unique_++;
    for (std::size_t at = 23; at > 13; --at, value /= 10)
      query.bytes[at] = static_cast<std::uint8_t>('0' + value % 10);
  }

  const Options& options_;
  std::vector<Query> queries_;
  std::vector<Flight> flights_;
  std::size_t next_query_ = 0;
  std::size_t next_flight_ = 0;
  std::uint64_t unique_ = now_ns();

  std::array<std::array<std::uint8_t, 4096>, kBatch> received_bytes_;
  std::array<std::array<std::uint8_t, kQueryBytes>, kBatch> sent_bytes_;
  std::array<iovec, kBatch> received_parts_{}, sent_parts_{};
  std::array<mmsghdr, kBatch> received_{}, sent_messages_{};

  std::uint64_t start_ = 0, sent_ = 0, answered_ = 0, lost_ = 0, records_ = 0;
  double elapsed_ = 1;
  std::array<std::uint64_t, 16> rcodes_{};
  Histogram latency_;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--unique") {
      options.unique = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    const std::string value = argv[++i];
    if (key == "--server") {
      const auto server = outrider::Endpoint::parse(value);
      if (!server) return false;
      options.server = *server;
    } else if (key == "--queries") {
      options.queries = value;
    } else if (key == "--seconds") {
      options.seconds = std::stod(value);
    } else if (key == "--sockets") {
      options.sockets = std::stoul(value);
    } else if (key == "--window") {
      options.window = std::stoul(value);
    } else if (key == "--rate") {
      options.rate = std::stod(value);
    } else {
      return false;
    }
  }
  return options.server.port != 0 && !options.queries.empty() && options.sockets > 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: dns_load --server ADDRESS:PORT --queries FILE [--seconds S] "
                 "[--sockets N] [--window N] [--rate QPS] [--unique]\n");
    return 2;
  }
  std::vector<Query> queries = read_queries(options.queries);
  if (queries.empty()) {
    std::fprintf(stderr, "dns_load: no queries in %s\n", options.queries.c_str());
    return 1;
  }
  Load load(options, std::move(queries));
  load.run();
  load.print();
}
