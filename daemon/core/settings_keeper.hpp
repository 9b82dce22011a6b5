// SPDX-License-Identifier: MIT
//
// Decides when each tap's settings are put back, and what is reported about it (I10). If a program changes a setting in
// a loop, the setting is put back some times a second and once at the end, and the log gets a line now and then.

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

// Another program changed a setting of a tap, and the service put it back.
struct PutBack {
    std::size_t row = 0; // the row of tap_settings
    std::string device;
    int promised = 0;
    int found = 0;
    std::size_t more = 0; // how many other times this setting was put back, on any tap, since its last report
};

// A tap whose settings are kept.
struct KeptTap {
    int ifindex = 0;
    std::string name;
    Profile profile = Profile::standard;
};

class SettingsKeeper {
public:
    // Records the present settings of a tap.
    void saw(const KeptTap &tap, const LinkSettings &settings);
    void forget(int ifindex);

    // The taps to put back in this turn. Their number is limited; the others follow in later turns.
    std::vector<int> due(Moment now) const;

    // Records that one tap was put back. `found` are its settings before, `left` its settings afterwards. With
    // `quietly`, no report is made if the tap only lacked settings that version 0.1 did not know.
    void put_back(const KeptTap &tap, const LinkSettings &found, const LinkSettings &left, bool quietly, Moment now);
    // Records that one tap could not be put back.
    void failed(int ifindex, Moment now);

    // When due() or take_reports() next returns something if no tap changes before; nullopt: never.
    std::optional<Moment> next_deadline() const;

    // Returns the reports that are due: at most one in ten seconds for each setting.
    std::vector<PutBack> take_reports(Moment now);

private:
    struct Broken {
        Moment not_before{};
        bool given_up = false; // has no deadline: the next try comes when another event wakes the daemon
    };
    struct Reports {
        std::optional<PutBack> pending;
        std::optional<Moment> last;
    };

    std::map<int, Broken> broken_;
    std::map<int, Moment> not_before_; // for taps that were put back a short while ago
    std::map<int, LinkSettings> unmendable_;
    std::array<Reports, tap_settings.size()> reports_;
};

// Decides which harmful host-wide settings are reported. Each is reported when it is first seen, and again when it
// becomes harmful after it was good.
class HostWideWatch {
public:
    // Returns the rows of host_wide_settings to warn about.
    std::vector<std::size_t> news(const HostWideValues &values);

private:
    std::array<bool, host_wide_settings.size()> reported_{};
};

} // namespace qemutap
