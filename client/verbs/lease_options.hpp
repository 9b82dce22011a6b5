// SPDX-License-Identifier: MIT
//
// The options that several verbs share: the lease to ask for, the guest's NICs, the format of the result.

#pragma once

#include "client/show/output.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace qemutap {

void add_no_ask_password(CLI::App &app, bool &ask_password);

// The words of the options, unchecked. The functions below check them after all options are parsed and throw TapError
// invalid_argument.
struct LeaseOptions {
    unsigned count = 1;
    unsigned queues = 1;
    std::string vhost{text_of(VhostChoice::no)};
    std::optional<std::string> device;
    unsigned first_nic = 0;
    const CLI::Option *first_nic_given = nullptr;
    std::optional<std::string> label;
    std::optional<std::string> idle_timeout;
    bool ask_password = true;
    std::string format;

    void add_common(CLI::App &app);
    void add_nic(CLI::App &app);
    void add_device(CLI::App &app, const std::string &by_default = NicOptions{}.device);
    void add_format(CLI::App &app, Format by_default);

    TapRequest request(Hold hold) const;
    NicOptions nic(const std::string &by_default = NicOptions{}.device) const;
    Format chosen_format() const;
};

// Reads "90", "90s", "15min", "2h" or "1d" and returns seconds. nullopt for any other text, for 0 and for more than
// max_idle_timeout_seconds.
std::optional<std::uint64_t> parse_idle_timeout(std::string_view text);

} // namespace qemutap
