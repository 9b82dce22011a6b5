// SPDX-License-Identifier: MIT
//
// Formats a lease for people, shells, units and recipes. Each format ends with a newline and is complete without the
// others.

#pragma once

#include "client/vmm/args.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

enum class Format {
    text,    // a table, then the arguments to start QEMU with
    json,    // one object
    qemu,    // the -netdev and -device words, quoted for sh(1)
    cmdline, // the ip= words
    env,     // KEY=value lines, for sh's eval and systemd's EnvironmentFile=
    yocto,   // QB_ variables for runqemu
};

std::string_view text_of(Format format);
std::optional<Format> parse_format(std::string_view text);

// Formats a lease held by name.
std::string formatted(const LeaseGrant &lease, Format format, const NicOptions &options);

// Formats leases of any hold. A lease held by descriptors gets no QEMU arguments, because its descriptors are open only
// in the holder.
std::string list_as_text(const std::vector<LeaseGrant> &leases);
// Formats leases of any hold as a JSON array with one line for each lease. A lease held by descriptors gets no QEMU
// arguments, because its descriptors are open only in the holder.
std::string list_as_json(const std::vector<LeaseGrant> &leases);

} // namespace qemutap
