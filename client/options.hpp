// SPDX-License-Identifier: MIT
//
// The client's verbs and options, read into values.

#pragma once

#include "client/show/output.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace qemutap {

struct RunOptions {
    TapRequest request;
    NicOptions nic;
    bool ask_password = true;
    std::optional<std::string> user;  // whom root becomes
    bool keep_environment = false;    // for this user
    std::vector<std::string> command; // never empty
};

struct RunqemuOptions {
    TapRequest request;
    NicOptions nic; // an empty device: as runqemu's own
    bool ask_password = true;
    std::vector<std::string> arguments;
};

struct UpOptions {
    TapRequest request;
    NicOptions nic;
    bool ask_password = true;
    std::optional<std::string> user; // whose lease it is to be; for root
    Format format = Format::text;
};

struct DownOptions {
    std::vector<std::string> names; // leases, labels or taps; empty with `all`
    bool all = false;
};

struct ListOptions {
    bool all = false;
    bool json = false;
    bool ask_password = true;
};

struct ArgsOptions {
    std::string name;
    NicOptions nic;
    Format format = Format::qemu;
};

using ClientOptions = std::variant<RunOptions, RunqemuOptions, UpOptions, DownOptions, ListOptions, ArgsOptions>;

// nullopt: the text asked for (--help, --version) was printed to stdout and there is nothing else to do.
// Throws TapError invalid_argument.
std::optional<ClientOptions> parse_client_options(int argc, const char *const *argv);

// "90", "90s", "15min", "2h", "1d" in seconds; nullopt for anything else, 0 and more than
// max_idle_timeout_seconds.
std::optional<std::uint64_t> parse_idle_timeout(std::string_view text);

} // namespace qemutap
