// SPDX-License-Identifier: MIT
//
// Checks labels without <cctype>: the answer must not depend on a locale.

#include "common/label.hpp"

#include <algorithm>

namespace qemutap {

namespace {

bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_label_char(char c)
{
    return is_letter_or_digit(c) || std::string_view{"._:@+-"}.find(c) != std::string_view::npos;
}

} // namespace

bool is_label(std::string_view text)
{
    return !text.empty() && text.size() <= label_max_bytes && is_letter_or_digit(text.front()) &&
           std::all_of(text.begin(), text.end(), is_label_char);
}

} // namespace qemutap
