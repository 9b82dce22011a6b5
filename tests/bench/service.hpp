// SPDX-License-Identifier: MIT
//
// Calls as a program without any library of ours makes them, by sd-bus (sd-bus(3)): to the service, to polkit, and to
// an empty method of nobody in particular, which is what the bus itself costs.

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

// A connection of a user's. Every call throws std::runtime_error with the error's name and text.
class Caller {
public:
    explicit Caller(uid_t uid);
    ~Caller();

    Lease acquire(const char *hold);
    void release(const Lease &lease);
    void call_nothing();
    // The question that the service asks about a caller.
    void ask_polkit(const Caller &about);

private:
    sd_bus *bus_ = nullptr;
};

// Answers the empty method until its process ends, in one that ends with this one's.
void start_nothing();

} // namespace qemutap::bench
