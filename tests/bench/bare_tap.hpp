// SPDX-License-Identifier: MIT
//
// The floor: what the kernel itself asks for a tap, by a program that does nothing else. The same devices, owners,
// aliases, settings and addresses as the service gives, the same calls in the same order (netlink(7),
// rtnetlink(7), Documentation/networking/tuntap.rst), one buffer for each request, and nobody asked, nothing
// looked at, nothing remembered.

#pragma once

#include "common/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace qemutap::bench {

// A tap to be, of the N-th /30 of 10.128.0.0/9, where the service that is measured beside has nothing.
struct BareTap {
    explicit BareTap(unsigned index);

    std::string name;
    std::uint32_t gateway; // in host order
    int ifindex;
    UniqueFd queue;
};

class Kernel {
public:
    Kernel();

    // Made, owned, tagged, addressed and up; persistent, and its queue closed, if it is to be opened by its name.
    // Throws std::system_error with the call in its text.
    void create(BareTap &tap, bool persistent);

    // The work of an end by request: down, into a group of its own, and all of the group deleted in one message.
    void remove(const std::vector<BareTap> &taps);

private:
    template <typename Message>
    void perform(Message message, const char *what);

    UniqueFd socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace qemutap::bench
