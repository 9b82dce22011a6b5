// SPDX-License-Identifier: MIT
//
// sh(1) itself checks the text that is written for it.

#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace qemutap {

// The text that a script prints to stdout.
inline std::string printed_by_sh(const std::string &script)
{
    const std::unique_ptr<FILE, int (*)(FILE *)> pipe{::popen(script.c_str(), "r"), ::pclose};
    if (!pipe)
        throw std::runtime_error{"can't run sh"};
    std::string text;
    std::array<char, 256> buffer{};
    while (const auto size = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
        text.append(buffer.data(), size);
    return text;
}

} // namespace qemutap
