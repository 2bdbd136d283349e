// SPDX-License-Identifier: Apache-2.0
// A JSON reader for builds without simdjson, such as static programs: the part of that library's
// DOM that json.cc uses, under the same names. find_fault() decides what is JSON, so that only
// well-formed texts are read here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace outrider::json::plain {

// MEMALLOC is for the caller's sake: an allocation that fails throws.
enum error_code : std::uint8_t { SUCCESS, MEMALLOC, SYNTAX_ERROR, DEPTH_ERROR, NUMBER_ERROR };
const char* error_message(error_code code);

namespace dom {

enum class element_type : std::uint8_t {
  NULL_VALUE,
  BOOL,
  INT64,
  UINT64,
  DOUBLE,
  STRING,
  ARRAY,
  OBJECT,
};

struct Node {
  // In the order of element_type.
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
               std::vector<Node>, std::vector<std::pair<std::string, Node>>>
      data;
};

/// Of the type that was asked for before.
template <class T>
class Known {
 public:
  explicit Known(T value) : value_(value) {}
  T value_unsafe() const { return value_; }

 private:
  T value_;
};

class array;
class object;

/// Elements, arrays and objects point into their parser.
class element {
 public:
  element() = default;
  explicit element(const Node& node) : node_(&node) {}

  element_type type() const { return static_cast<element_type>(node_->data.index()); }
  Known<bool> get_bool() const { return Known(std::get<bool>(node_->data)); }
  Known<std::int64_t> get_int64() const { return Known(std::get<std::int64_t>(node_->data)); }
  Known<std::uint64_t> get_uint64() const { return Known(std::get<std::uint64_t>(node_->data)); }
  Known<double> get_double() const { return Known(std::get<double>(node_->data)); }
  Known<std::string_view> get_string() const {
    return Known(std::string_view(std::get<std::string>(node_->data)));
  }
  Known<array> get_array() const;
  Known<object> get_object() const;

 private:
  const Node* node_ = nullptr;
};

struct key_value_pair {
  std::string_view key;
  element value;
};

class array {
 public:
  class iterator {
   public:
    explicit iterator(const Node* node) : node_(node) {}
    element operator*() const { return element(*node_); }
    iterator& operator++() {
      ++node_;
      return *this;
    }
    bool operator==(const iterator&) const = default;

   private:
    const Node* node_;
  };

  explicit array(const std::vector<Node>& nodes) : nodes_(&nodes) {}
  iterator begin() const { return iterator(nodes_->data()); }
  iterator end() const { return iterator(nodes_->data() + nodes_->size()); }

 private:
  const std::vector<Node>* nodes_;
};

class object {
 public:
  using Member = std::pair<std::string, Node>;
  class iterator {
   public:
    explicit iterator(const Member* member) : member_(member) {}
    key_value_pair operator*() const { return {member_->first, element(member_->second)}; }
    iterator& operator++() {
      ++member_;
      return *this;
    }
    bool operator==(const iterator&) const = default;

   private:
    const Member* member_;
  };

  explicit object(const std::vector<Member>& members) : members_(&members) {}
  iterator begin() const { return iterator(members_->data()); }
  iterator end() const { return iterator(members_->data() + members_->size()); }

 private:
  const std::vector<Member>* members_;
};

inline Known<array> element::get_array() const {
  return Known(array(std::get<std::vector<Node>>(node_->data)));
}
inline Known<object> element::get_object() const {
  return Known(object(std::get<std::vector<object::Member>>(node_->data)));
}

class parser {
 public:
  struct Outcome {
    error_code code;
    element root;
    error_code get(element& out) const {
      out = root;
      return code;
    }
  };

  /// The caller has checked the size of the text.
  explicit parser(std::size_t) {}

  /// `nesting_max` counts the document itself as a level.
  error_code allocate(std::size_t, std::size_t nesting_max) {
    nesting_max_ = nesting_max;
    return SUCCESS;
  }
  /// What it returns is valid until the next call.
  Outcome parse(const char* text, std::size_t length);

 private:
  std::size_t nesting_max_ = 0;
  Node root_;
};

}  // namespace dom
}  // namespace outrider::json::plain
