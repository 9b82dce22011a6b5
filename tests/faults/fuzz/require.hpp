// SPDX-License-Identifier: MIT
//
// What must hold of any bytes: a promise that is broken ends the program, which is how libFuzzer is told, and says
// which one it was. And the bytes as lines, so that what is kept in the corpus can be read and written by people.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

inline void require(bool holds, const char *promise)
{
    if (holds)
        return;
    std::fprintf(stderr, "BROKEN PROMISE: %s\n", promise);
    std::abort();
}

// The same for texts, which are shown.
inline void require_equal(const std::string &is, const std::string &must_be, const char *promise)
{
    if (is == must_be)
        return;
    std::fprintf(stderr, "BROKEN PROMISE: %s\n  is      %s\n  must be %s\n", promise, is.c_str(), must_be.c_str());
    std::abort();
}

inline std::string_view text_of(const std::uint8_t *bytes, std::size_t size)
{
    return {reinterpret_cast<const char *>(bytes), size};
}

// What stands before the first `end`, which is taken away with it; all of it if there is none.
inline std::string_view cut(std::string_view &text, char end)
{
    const auto first = text.substr(0, text.find(end));
    text.remove_prefix(first.size() == text.size() ? first.size() : first.size() + 1);
    return first;
}

inline std::vector<std::string_view> lines_of(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty())
        lines.push_back(cut(text, '\n'));
    return lines;
}

} // namespace qemutap
