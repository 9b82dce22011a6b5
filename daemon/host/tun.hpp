// SPDX-License-Identifier: MIT
//
// Creates taps through the tun driver (Documentation/networking/tuntap.rst). rtnetlink can't: it refuses to
// create links of kind tun.

#pragma once

#include "daemon/core/ports.hpp"

#include <string>

namespace qemutap {

// Of the taps that we make. The ifindex is what can be chosen before a device exists, and so the only thing by
// which udev, whose first look at a new device may come before its alias is written, can tell ours from others
// (systemd/70-qemu-tapd.rules). The kernel counts up from 1 and never comes here. Decimal: udev's rules match text.
inline constexpr int first_own_ifindex = 1'700'000'000;
inline constexpr int last_own_ifindex = 1'799'999'999;

class Tun : public TapCreator {
public:
    explicit Tun(std::string tun_path = "/dev/net/tun", std::string vhost_path = "/dev/vhost-net");

    std::optional<OpenTap> create(const std::string &name, uid_t owner, unsigned queues, bool open_all) override;
    std::vector<UniqueFd> open_vhost(unsigned count) override;
    void set_persistent(const OpenTap &tap, bool persistent) override;

    // Whether /dev/vhost-net can be opened now.
    bool has_vhost() const;

private:
    UniqueFd open_tun() const;
    int take_ifindex();

    std::string tun_path_;
    std::string vhost_path_;
    int next_ifindex_; // from a random one on: those of a predecessor's time are not met again soon
};

} // namespace qemutap
