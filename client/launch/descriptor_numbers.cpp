// SPDX-License-Identifier: MIT
//
// F_DUPFD_CLOEXEC of fcntl(2) picks the lowest free number from a given one on, so a descriptor of the caller never
// loses its number.

#include "client/launch/descriptor_numbers.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

namespace qemutap {

int first_descriptor(std::uint64_t limit, std::size_t count)
{
    constexpr std::uint64_t usual = 800;
    constexpr std::uint64_t least = 64; // programs use lower numbers for their own files
    if (limit < least + count)
        return 0;
    return static_cast<int>(std::min(usual, limit - count));
}

std::vector<UniqueFd> out_of_the_way(std::vector<UniqueFd> descriptors)
{
    rlimit limit{};
    const std::uint64_t allowed = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
    const int first = first_descriptor(allowed, descriptors.size());
    for (auto &descriptor : descriptors)
        if (UniqueFd moved{::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, first)}; moved)
            descriptor = std::move(moved);
    return descriptors;
}

} // namespace qemutap
