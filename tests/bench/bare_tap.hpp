// SPDX-License-Identifier: MIT
//
// The floor: the kernel's work for a tap, asked for by a program that does nothing else. The taps have the same owners,
// aliases, settings and addresses as the service's, by the same calls in the same order (netlink(7), rtnetlink(7),
// Documentation/networking/tuntap.rst). The program uses one buffer for each request, asks for no authorisation, checks
// nothing and stores nothing.

#pragma once

#include "common/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace qemutap::bench {

// A tap to make, on the N-th /30 of 10.128.0.0/9, where the service under test has no subnets.
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

    // Makes the tap and sets its owner, alias and address, and sets it up. With `persistent`, also makes it persistent
    // and closes the queue, so that it can be opened by name. Throws std::system_error with the call in its text.
    void create(BareTap &tap, bool persistent);

    // Does the work of a Release: sets the taps down, into a group of their own, and deletes that group in one message.
    void remove(const std::vector<BareTap> &taps);

private:
    template <typename Message>
    void perform(Message message, const char *what);

    UniqueFd socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace qemutap::bench
