// SPDX-License-Identifier: MIT
//
// Calls by sd-bus (sd-bus(3)) alone, without the project's own client code: to the service, to polkit, and to a method
// that does nothing, whose time is the cost of the bus.

#pragma once

#include "common/unique_fd.hpp"

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

struct sd_bus;

namespace qemutap::bench {

struct Lease {
    std::string id;
    std::vector<UniqueFd> queues;
};

// A connection as this user. Every call throws std::runtime_error with the error's name and text.
class Caller {
public:
    explicit Caller(uid_t uid);
    ~Caller();

    Lease acquire(const char *hold);
    void release(const Lease &lease);
    void call_nothing();
    // Asks polkit the question that the service asks about a caller.
    void ask_polkit(const Caller &about);

private:
    sd_bus *bus_ = nullptr;
};

// Starts a process that answers the empty method and ends with this one.
void start_nothing();

} // namespace qemutap::bench
