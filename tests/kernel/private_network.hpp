// SPDX-License-Identifier: MIT
//
// A network namespace of one test case's own: nothing that a test makes is in the machine's network, and it
// all goes when the next test case enters another one. Whoever else changes the network of the test does it
// by ip(8), a program that shares nothing with ours.

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
        INFO("a network namespace of our own needs root");
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
