// SPDX-License-Identifier: Apache-2.0
// What frames HTTP/1.1 messages, byte by byte, stricter than the parser libraries: the heads of
// requests and responses, and what is between the data of a body in chunks.
#pragma once

#include <cstdint>
#include <cstring>

namespace outrider::http {

// RFC 9110 §5.6.2
inline bool is_token_char(std::uint8_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
}
inline bool is_control(std::uint8_t c) {
  return (c < 0x20 && c != '\t') || c == 0x7f;
}

/// Follows the lines of a head byte by byte, stricter than the libraries: CRLF only (RFC 9112
/// §2.2), no control characters, no space before the colon (§5.1), no folded line (§5.2), single
/// spaces in a request line (§3).
class HeadScanner {
 public:
  enum class Step : std::uint8_t { more, done, bad };

  explicit HeadScanner(bool request) : request_(request) {}

  bool started() const { return at_ != At::start && at_ != At::leading_cr; }

  Step next(std::uint8_t c) {
    switch (at_) {
      case At::start:
        // RFC 9112 §2.2: empty lines before a request are to be ignored.
        if (request_ && c == '\r') return go(At::leading_cr);
        return start_line(c);
      case At::leading_cr:
        return c == '\n' ? go(At::start) : Step::bad;
      case At::start_line:
        return start_line(c);
      case At::cr:
        return c == '\n' ? go(At::line) : Step::bad;
      case At::line:
        if (c == '\r') return go(At::last_cr);
        return is_token_char(c) ? go(At::name) : Step::bad;
      case At::name:
        if (c == ':') return go(At::value);
        return is_token_char(c) ? Step::more : Step::bad;
      case At::value:
        if (c == '\r') return go(At::cr);
        return is_control(c) ? Step::bad : Step::more;
      case At::last_cr:
        return c == '\n' ? Step::done : Step::bad;
    }
    return Step::bad;
  }

 private:
  enum class At : std::uint8_t { start, leading_cr, start_line, cr, line, name, value, last_cr };

  Step go(At at) {
    at_ = at;
    return Step::more;
  }
  Step start_line(std::uint8_t c) {
    if (c == '\r') return at_ == At::start ? Step::bad : go(At::cr);
    if (is_control(c) || c == '\t') return Step::bad;
    if (request_ && c == ' ' && (after_space_ || at_ == At::start || ++spaces_ > 2))
      return Step::bad;
    after_space_ = c == ' ';
    return go(At::start_line);
  }

  bool request_;
  bool after_space_ = false;
  int spaces_ = 0;
  At at_ = At::start;
};

/// Of what frames a response's body (chunk lines, trailers): CR only before LF, LF only after CR,
/// no NUL.
class LineEnds {
 public:
  bool next(std::uint8_t c) {
    const bool good = c != 0 && (c == '\n') == after_cr_;
    after_cr_ = c == '\r';
    return good;
  }

 private:
  bool after_cr_ = false;
};

/// Follows what frames the chunks of a request (RFC 9112 §7.1), which is all but their data. The
/// libraries skip what they do not understand there, such as octets behind a chunk's data: a proxy
/// in front may see the end of the request elsewhere.
class ChunkScanner {
 public:
  bool ended() const { return at_ == At::end; }

  bool next(std::uint8_t c) {
    switch (at_) {
      case At::size:
        return size(c);
      case At::extension:
        if (c == '\r') return go(At::size_lf);
        return !is_control(c);
      case At::size_lf:
        return c == '\n' && go(last_ ? At::line : At::data_cr);
      case At::data_cr:
        return c == '\r' && go(At::data_lf);
      case At::data_lf:
        digits_ = 0;
        last_ = true;
        return c == '\n' && go(At::size);
      case At::line:
        if (c == '\r') return go(At::last_lf);
        return is_token_char(c) && go(At::name);
      case At::name:
        if (c == ':') return go(At::value);
        return is_token_char(c);
      case At::value:
        if (c == '\r') return go(At::line_lf);
        return !is_control(c);
      case At::line_lf:
        return c == '\n' && go(At::line);
      case At::last_lf:
        return c == '\n' && go(At::end);
      case At::end:
        return false;
    }
    return false;
  }

 private:
  enum class At : std::uint8_t {
    size,
    extension,
    size_lf,
    data_cr,  // the data itself does not pass here
    data_lf,
    line,  // of the trailers
    name,
    value,
    line_lf,
    last_lf,
    end,
  };

  bool go(At at) {
    at_ = at;
    return true;
  }
  bool size(std::uint8_t c) {
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (digit) {
      last_ = last_ && c == '0';
      return ++digits_ <= kDigitsMax;
    }
    if (digits_ == 0) return false;
    if (c == '\r') return go(At::size_lf);
    return c == ';' && go(At::extension);
  }

  static constexpr int kDigitsMax = 16;
  At at_ = At::size;
  int digits_ = 0;
  bool last_ = true;  // the size has been 0 so far
};

}  // namespace outrider::http
