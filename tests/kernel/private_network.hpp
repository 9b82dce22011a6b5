// SPDX-License-Identifier: MIT
//
// A network namespace for one test case: nothing that a test makes is in the machine's network, and it is all gone when
// the next test case enters another namespace. Tests make foreign changes by ip(8), which shares no code with this
// project.

#pragma once

#include "tests/catch.hpp"

#include <sched.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

namespace qemutap {

inline ino_t network_namespace()
{
    struct stat status {};
    REQUIRE(::stat("/proc/thread-self/ns/net", &status) == 0);
    return status.st_ino;
}

class PrivateNetwork {
public:
    PrivateNetwork()
    {
        static const ino_t machine = network_namespace();
        INFO("a network namespace needs root");
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        REQUIRE(network_namespace() != machine);
        ip("link set lo up");
    }

    void ip(const std::string &arguments) const
    {
        INFO("ip " << arguments);
        REQUIRE(std::system(("ip " + arguments).c_str()) == 0);
    }
};

} // namespace qemutap
