// SPDX-License-Identifier: MIT
//
// Writes `ip=` words, and parses a command line as the kernel does to find words that are already there.

#include "client/guest/kernel_cmdline.hpp"

#include "common/ipv4.hpp"

#include <algorithm>
#include <string_view>

namespace qemutap {

namespace {

constexpr std::string_view white_space = " \t\n\v\f\r";

// The begin and the end of each word. Double quotes keep spaces within a word, as in the kernel's next_arg().
std::vector<std::pair<std::size_t, std::size_t>> words_of(const std::string &cmdline)
{
    std::vector<std::pair<std::size_t, std::size_t>> words;
    bool quoted = false;
    std::size_t begin = std::string::npos;
    for (std::size_t i = 0; i <= cmdline.size(); ++i) {
        const bool at_end = i == cmdline.size();
        const bool space = at_end || (!quoted && white_space.find(cmdline[i]) != std::string_view::npos);
        if (!at_end && cmdline[i] == '"')
            quoted = !quoted;
        if (!space && begin == std::string::npos)
            begin = i;
        if (space && begin != std::string::npos) {
            words.emplace_back(begin, i);
            begin = std::string::npos;
        }
    }
    return words;
}

// The kernel removes the quotes of a word that is quoted as a whole.
std::string_view unquoted(std::string_view word)
{
    if (word.substr(0, 1) != "\"")
        return word;
    word.remove_prefix(1);
    return word.substr(0, word.size() - (word.empty() || word.back() != '"' ? 0 : 1));
}

std::string_view key_of(std::string_view word)
{
    word = unquoted(word);
    return word.substr(0, word.find('='));
}

// True if a quote in the word is never closed. All text after such a quote belongs to the word.
bool is_open(std::string_view word)
{
    return std::count(word.begin(), word.end(), '"') % 2 != 0;
}

} // namespace

std::string ip_word(const TapGrant &tap, unsigned nic, bool primary)
{
    // By runqemu's rule the gateway has a prefix of 32 bits, but each guest expects all guests in one subnet of 24
    // bits.
    constexpr unsigned runqemus_prefix_length = 24;
    const Ipv4Prefix subnet{tap.gateway, tap.prefix_length == 32 ? runqemus_prefix_length : tap.prefix_length};
    return "ip=" + tap.guest.text() + "::" + (primary ? tap.gateway.text() : "") + ":" + subnet.mask().text() +
           "::eth" + std::to_string(nic) + ":off";
}

std::vector<std::string> kernel_cmdline_words(const LeaseGrant &lease, unsigned first_nic)
{
    std::vector<std::string> words;
    for (unsigned i = 1; i < lease.taps.size(); ++i)
        words.push_back(ip_word(lease.taps[i], first_nic + i, false));
    words.push_back(ip_word(lease.taps.front(), first_nic, true));
    words.emplace_back(lasting_nic_names);
    return words;
}

std::string kernel_cmdline(const LeaseGrant &lease, unsigned first_nic)
{
    std::string text;
    for (const auto &word : kernel_cmdline_words(lease, first_nic))
        text += (text.empty() ? "" : " ") + word;
    return text;
}

std::optional<std::string> with_words(const std::string &cmdline, const std::vector<std::string> &words)
{
    std::vector<std::string_view> keys;
    std::size_t end = cmdline.size();
    for (const auto &[begin, behind] : words_of(cmdline)) {
        const auto word = std::string_view{cmdline}.substr(begin, behind - begin);
        const bool is_end = unquoted(word) == "--";
        if (is_end || is_open(word))
            end = begin;
        if (is_end)
            break;
        keys.push_back(key_of(word));
    }
    const auto present = [&](std::string_view key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
    if (present("ip"))
        return std::nullopt;
    auto text = cmdline.substr(0, end);
    for (const auto &word : words)
        if (!present(key_of(word)))
            text += (text.empty() || text.back() == ' ' ? "" : " ") + word;
    if (end != cmdline.size())
        text += " " + cmdline.substr(end);
    return text;
}

} // namespace qemutap
