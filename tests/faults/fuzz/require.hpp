// SPDX-License-Identifier: MIT
//
// Checks that must hold for any bytes. A broken promise is printed and aborts the program, which libFuzzer records. The
// input is split into lines, so that people can read and write the files of the corpus.

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

// As require(), and prints both texts.
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

// Removes the text up to the first `end`, and `end` itself, and returns what was before it; all if there is no `end`.
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
