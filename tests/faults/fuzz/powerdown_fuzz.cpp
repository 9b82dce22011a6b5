// SPDX-License-Identifier: MIT
//
// The QEMU of a hostile guest can send anything on its QMP socket. The program sends it at most three commands, each
// once and in order, however QEMU's words are cut into pieces. It refuses what is not QMP, in one line for the log.
//
// The first byte of the input is the size of the pieces. The rest is what QEMU sends.

#include "client/programs/vm_powerdown/powerdown_dialogue.hpp"
#include "common/error.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <algorithm>
#include <array>
#include <optional>

using namespace qemutap;

namespace {

const std::array<std::string, 3> orders{"{\"execute\":\"qmp_capabilities\"}\n", "{\"execute\":\"system_powerdown\"}\n",
                                        "{\"execute\":\"quit\"}\n"};

// Returns nullopt if the words are refused.
std::optional<std::string> reply(PowerdownDialogue &dialogue, std::string_view words)
{
    try {
        return dialogue.reply_to(words);
    } catch (const TapError &error) {
        const std::string_view text = error.what();
        require(error.code() == ErrorCode::failed, "words that are not QMP are refused as ErrorCode::failed");
        require(!text.empty() && text.size() < 500, "an error gives a reason of limited length");
        require(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; }),
                "an error is one line of printable ASCII");
    }
    return std::nullopt;
}

// Returns how many commands these are. They must be the first ones of the three.
std::size_t count_of(const std::string &said)
{
    std::string so_far;
    for (std::size_t count = 0; count <= orders.size(); ++count) {
        if (said == so_far)
            return count;
        so_far += count < orders.size() ? orders[count] : "";
    }
    require(false, "only the three commands are sent, each once and in order");
    return 0;
}

// Returns all that is sent in reply to these words, given in pieces, or nullopt if they are refused.
std::optional<std::string> said_to(PowerdownDialogue &dialogue, std::string_view words, std::size_t piece)
{
    std::string said;
    while (!words.empty()) {
        const auto answer = reply(dialogue, words.substr(0, piece));
        if (!answer)
            return std::nullopt;
        words.remove_prefix(std::min(piece, words.size()));
        said += *answer;
        const auto count = count_of(said);
        require(dialogue.greeted() == (count > 0),
                "nothing is sent before the greeting, and the first command right after it");
        const auto again = dialogue.once_more();
        require(again.empty() || (again == orders[1] && count == 2),
                "only system_powerdown is repeated, and only after it was sent and while the guest runs");
    }
    return said;
}

void check_end(PowerdownDialogue &dialogue, const std::string &said)
{
    const bool is_off = count_of(said) == orders.size();
    if (is_off)
        for (const std::string_view late : {"\n{\"event\":\"SHUTDOWN\"}\n", "{\"return\":{}}\n", "{\"error\":{}}\n"})
            require(reply(dialogue, late).value_or("").empty() && dialogue.once_more().empty(),
                    "nothing is sent after the last command");
    const std::string endless(max_qmp_line + 1, '{');
    require(!reply(dialogue, endless), "a line of more than the allowed length is refused");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    auto words = text_of(bytes, size);
    const std::size_t piece = size == 0 ? 1 : bytes[0] + std::size_t{1};
    words.remove_prefix(std::min<std::size_t>(size, 1));

    PowerdownDialogue whole;
    const auto at_once = said_to(whole, words, std::max<std::size_t>(words.size(), 1));
    PowerdownDialogue pieces;
    const auto piecewise = said_to(pieces, words, piece);
    require(at_once.has_value() == piecewise.has_value(),
            "the size of the pieces does not change whether words are refused");
    if (!at_once)
        return 0;
    require_equal(*piecewise, *at_once, "the size of the pieces does not change what is sent");
    check_end(whole, *at_once);
    return 0;
}
