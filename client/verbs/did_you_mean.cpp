// SPDX-License-Identifier: MIT
//
// Computes the distance of Damerau and Levenshtein, in the variant that moves each letter at most once (optimal string
// alignment).

#include "client/verbs/did_you_mean.hpp"

#include "common/quote.hpp"

#include <algorithm>

namespace qemutap {

namespace {

constexpr std::size_t longest = 64; // a longer word is no mistyped verb or option
constexpr std::size_t shortest_beginning = 4;

// The greatest distance of a hint. It grows with the word's length, because a short word is near to many others.
unsigned tolerance(std::string_view word)
{
    constexpr std::size_t few = 5;
    return word.size() <= few ? 1 : 2;
}

// The distance between a mistyped word and a known one. 0 if the word is the beginning of the known one, such as --idle
// for --idle-timeout.
unsigned distance(std::string_view word, std::string_view known)
{
    return word.size() >= shortest_beginning && known.starts_with(word) ? 0 : edit_distance(word, known);
}

} // namespace

unsigned edit_distance(std::string_view from, std::string_view to)
{
    std::vector<std::vector<unsigned>> steps(from.size() + 1, std::vector<unsigned>(to.size() + 1));
    for (std::size_t i = 0; i <= from.size(); ++i)
        for (std::size_t j = 0; j <= to.size(); ++j) {
            if (i == 0 || j == 0) {
                steps[i][j] = static_cast<unsigned>(i + j);
                continue;
            }
            const unsigned replaced = from[i - 1] == to[j - 1] ? 0 : 1;
            steps[i][j] = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1, steps[i - 1][j - 1] + replaced});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                steps[i][j] = std::min(steps[i][j], steps[i - 2][j - 2] + 1);
        }
    return steps[from.size()][to.size()];
}

std::string did_you_mean(std::string_view word, const std::vector<std::string> &known)
{
    if (word.size() > longest)
        return {};
    unsigned least = tolerance(word);
    for (const auto &candidate : known)
        least = std::min(least, distance(word, candidate));
    std::string text;
    for (const auto &candidate : known)
        if (distance(word, candidate) == least)
            text += (text.empty() ? "; did you mean " : " or ") + quote(candidate);
    return text.empty() ? text : text + "?";
}

} // namespace qemutap
