// SPDX-License-Identifier: MIT
//
// Creates taps through the tun driver (Documentation/networking/tuntap.rst), because rtnetlink refuses to create links
// of kind tun.

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

    // The reason why /dev/vhost-net can't be opened; empty: it can. The function does not open the device, because
    // opening it loads the module.
    std::string vhost_problem() const;

private:
    UniqueFd open_tun() const;
    int take_ifindex();

    std::string tun_path_;
    std::string vhost_path_;
    int next_ifindex_; // counts from a random start, so that ifindexes of a predecessor do not return soon
};

} // namespace qemutap
