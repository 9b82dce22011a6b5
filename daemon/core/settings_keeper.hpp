// SPDX-License-Identifier: MIT
//
// Decides when the settings of which taps are put back, and what is reported of it (I10). A program that changes a
// setting in a loop gets it put back some times a second and at its end, and a line of the log now and then.

#pragma once

#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "plan/tap_settings.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Another program had changed a setting of a tap, and it is put back.
struct PutBack {
    std::size_t row = 0; // of tap_settings
    std::string device;
    int promised = 0;
    int found = 0;
    std::size_t more = 0; // other times that this setting was put back, on any tap, since the last report of it
};

// A tap as its settings are kept.
struct KeptTap {
    int ifindex = 0;
    std::string name;
    Profile profile = Profile::standard;
};

class SettingsKeeper {
public:
    // The settings of a tap as they are now.
    void saw(const KeptTap &tap, const LinkSettings &settings);
    void forget(int ifindex);

    // The taps whose turn it is to be put back, some at most; others follow.
    std::vector<int> due(Moment now) const;

    // One tap was put back. `found` is what it had before, `left` what it has now. `quietly`: not reported if the tap
    // only lacked settings that version 0.1 did not know.
    void put_back(const KeptTap &tap, const LinkSettings &found, const LinkSettings &left, bool quietly, Moment now);
    // One tap could not be put back.
    void failed(int ifindex, Moment now);

    // When due() or take_reports() next has something; nullopt: not without news of a tap.
    std::optional<Moment> next_deadline() const;

    // Of each setting one at most in ten seconds.
    std::vector<PutBack> take_reports(Moment now);

private:
    struct Broken {
        Moment not_before{};
        bool given_up = false; // until something else wakes the daemon
    };
    struct Reports {
        std::optional<PutBack> pending;
        std::optional<Moment> last;
    };

    std::map<int, Broken> broken_;
    std::map<int, Moment> not_before_; // of taps that were put back a short while ago
    std::map<int, LinkSettings> unmendable_;
    std::array<Reports, tap_settings.size()> reports_;
};

// Decides which harmful host-wide settings are reported: each when it is first seen, and again after it was good.
class HostWideWatch {
public:
    // The rows of host_wide_settings to warn of.
    std::vector<std::size_t> news(const HostWideValues &values);

private:
    std::array<bool, host_wide_settings.size()> reported_{};
};

} // namespace qemutap
