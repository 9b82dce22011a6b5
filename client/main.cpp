// SPDX-License-Identifier: MIT
//
// qemu-tapctl: options, a verb, an exit status.

#include "client/commands.hpp"
#include "client/options.hpp"
#include "common/error.hpp"

#include <cstdio>
#include <exception>
#include <variant>

int main(int argc, char **argv)
{
    using namespace qemutap;
    try {
        const auto options = parse_client_options(argc, argv);
        return options ? std::visit([](const auto &verb) { return perform(verb); }, *options) : 0;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
