// SPDX-License-Identifier: MIT
//
// Checks that a result is written: a full disk must not look like success.

#include "client/verbs/result.hpp"

#include "common/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace qemutap {

void print_result(const std::string &text)
{
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        throw TapError{ErrorCode::failed, std::string{"can't write the result: "} + std::strerror(errno)};
}

void warn(const std::optional<std::string> &warning)
{
    if (warning)
        std::fprintf(stderr, "qemu-tapctl: %s\n", warning->c_str());
}

} // namespace qemutap
