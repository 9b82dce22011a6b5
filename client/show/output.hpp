// SPDX-License-Identifier: MIT
//
// A lease in the forms that people, shells, units and recipes read. Every form ends with a newline and needs
// no other to be understood.

#pragma once

#include "client/vmm/args.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

enum class Format {
    text,    // a table, then what to start QEMU with
    json,    // one object
    qemu,    // the -netdev and -device words, quoted for sh(1)
    cmdline, // the ip= words
    env,     // KEY=value lines, for sh's eval and systemd's EnvironmentFile=
    yocto,   // QB_ variables for runqemu
};

std::string_view text_of(Format format);
std::optional<Format> parse_format(std::string_view text);

// A lease held by name.
std::string formatted(const LeaseGrant &lease, Format format, const NicOptions &options);

// Any leases. Of those held by descriptors there are no QEMU arguments: their numbers are the holder's.
std::string list_as_text(const std::vector<LeaseGrant> &leases);
// A line for each lease.
std::string list_as_json(const std::vector<LeaseGrant> &leases);

} // namespace qemutap
