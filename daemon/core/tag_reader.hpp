// SPDX-License-Identifier: MIT
//
// Reads the text of a tag from left to right. After the first mismatch every further read fails. A codec therefore
// reads all fields in a row and checks once at the end.

#pragma once

#include "common/number.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace qemutap {

class TagReader {
public:
    explicit TagReader(std::string_view text)
        : rest_{text}
    {}

    void expect(std::string_view text)
    {
        ok_ = ok_ && rest_.starts_with(text);
        rest_.remove_prefix(std::min(text.size(), rest_.size()));
    }

    // Reads up to `end` or to the end of the tag. Does not consume `end` itself.
    std::string_view until(char end)
    {
        const auto text = rest_.substr(0, rest_.find(end));
        rest_.remove_prefix(text.size());
        return text;
    }

    // Reads ` key=value` and returns the value.
    std::string_view value(std::string_view key, char end = ' ')
    {
        expect(" ");
        expect(key);
        expect("=");
        return until(end);
    }

    // True if ` key=` is next.
    bool is_next(std::string_view key) const
    {
        return rest_.starts_with(' ') && rest_.substr(1).starts_with(key) &&
               rest_.substr(1 + key.size()).starts_with('=');
    }

    template <typename Number>
    Number number(std::string_view key, char end = ' ')
    {
        return take(parse_number<Number>(value(key, end)));
    }

    template <typename T>
    T take(std::optional<T> parsed)
    {
        ok_ = ok_ && parsed;
        return parsed.value_or(T{});
    }

    void require(bool condition) { ok_ = ok_ && condition; }

    // True if all of the text was read and everything matched.
    bool finished() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

} // namespace qemutap
