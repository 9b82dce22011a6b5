// SPDX-License-Identifier: MIT
//
// Checks the pool's settings against the limits within which they are usable.

#include "plan/pool.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <net/if.h>

#include <algorithm>

namespace qemutap {

namespace {

constexpr unsigned longest_prefix = 30; // it leaves a gateway and a guest between the network and broadcast addresses
constexpr std::size_t index_digits = 5;

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

void check_device_prefix(const std::string &prefix)
{
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto is_name_char = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
    if (prefix.empty() || prefix.size() > IFNAMSIZ - 1 - index_digits || !is_letter(prefix.front()) ||
        !std::ranges::all_of(prefix, is_name_char) || (prefix.back() >= '0' && prefix.back() <= '9'))
        refuse("device-prefix " + quote(prefix) + " makes no device name: it is 1 to 10 letters, digits, - and _, " +
               "begins with a letter and does not end with a digit");
}

void check_block(const Ipv4Prefix &block)
{
    if (!block.is_network())
        refuse("pool " + block.text() + " has bits beyond its length: did you mean " + block.network().text() + "?");
    const auto is_unicast = [](Ipv4Address address) {
        const auto first_byte = address.value >> 24;
        return first_byte != 0 && first_byte != 127 && first_byte < 224;
    };
    if (block.length < 8 || !is_unicast(block.address))
        refuse("pool " + block.text() + " is no block of unicast addresses with a length of 8 or more");
}

void check_prefix_length(unsigned length, const Ipv4Prefix &block)
{
    if (length < 1 || length > longest_prefix)
        refuse("prefix-length " + std::to_string(length) + " is out of range: 1 to " + std::to_string(longest_prefix) +
               ", a subnet holds a gateway and a guest address");
    if (length < block.length)
        refuse("prefix-length " + std::to_string(length) + " is shorter than the pool's: " + block.text() +
               " holds no such subnet");
}

} // namespace

Pool::Pool(const PlanSettings &settings)
    : block_{settings.pool},
      prefix_length_{settings.prefix_length},
      first_index_{settings.first_index},
      device_prefix_{settings.device_prefix}
{
    check_device_prefix(device_prefix_);
    check_block(block_);
    check_prefix_length(prefix_length_, block_);
    const auto subnets = 1U << (prefix_length_ - block_.length);
    if (subnets < 2 || first_index_ > std::min(subnets - 2, highest_index))
        refuse("pool " + block_.text() + " is too small: it holds " + std::to_string(subnets) + " subnets of /" +
               std::to_string(prefix_length_) + ", its last one is not used, and first-index is " +
               std::to_string(first_index_));
    last_index_ = std::min(subnets - 2, highest_index);
}

Ipv4Prefix Pool::subnet(unsigned index) const
{
    return {.address = {block_.address.value + (index << (32 - prefix_length_))}, .length = prefix_length_};
}

Ipv4Prefix Pool::gateway(unsigned index) const
{
    auto gateway = subnet(index);
    ++gateway.address.value;
    return gateway;
}

} // namespace qemutap
