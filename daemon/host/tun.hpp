// SPDX-License-Identifier: MIT
//
// Creates taps through the tun driver (Documentation/networking/tuntap.rst). rtnetlink can't: it refuses to
// create links of kind tun.

#pragma once

#include "common/unique_fd.hpp"
#include "daemon/core/ports.hpp"

#include <string>

namespace qemutap {

class Tun : public TapCreator {
public:
    explicit Tun(std::string tun_path = "/dev/net/tun", std::string vhost_path = "/dev/vhost-net");

    std::optional<OpenTap> create(const std::string &name, uid_t owner, const TapShape &shape) override;
    std::vector<UniqueFd> open_vhost(unsigned count) override;
    void set_persistent(const OpenTap &tap, bool persistent) override;

    // Why /dev/vhost-net can't be opened, or nothing. It is not opened for that: to do so loads the module.
    std::string vhost_problem() const;

private:
    UniqueFd open_tun() const;
    int take_ifindex();

    std::string tun_path_;
    std::string vhost_path_;
    int next_ifindex_; // from a random one on: those of a predecessor's time are not met again soon
};

} // namespace qemutap
