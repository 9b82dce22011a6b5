// SPDX-License-Identifier: MIT
//
// Writes a tag as daemons before version 2 did. The daemon itself only reads version 1.

#pragma once

#include "daemon/core/tap_tag.hpp"

#include <string>
#include <string_view>

namespace qemutap {

inline std::string version1_text(const TapTag &tag)
{
    std::string text = "qemu-tap1";
    const auto put = [&](std::string_view key, std::string_view value) {
        text.append(" ").append(key).append("=").append(value);
    };
    put("lease", tag.lease);
    put("tap", std::to_string(tag.position) + "/" + std::to_string(tag.count));
    put(tag.profile == Profile::standard ? "index" : "runqemu", std::to_string(tag.index));
    put("ifindex", std::to_string(tag.ifindex));
    put("uid", std::to_string(tag.uid));
    put("hold", tag.hold == Hold::fd ? "fd" : "name");
    put("mac", tag.mac.text());
    put("queues", std::to_string(tag.queues));
    put("vhost", tag.vhost ? "1" : "0");
    put("idle", std::to_string(tag.idle_timeout_seconds));
    if (!tag.attendant.empty())
        put("attended", tag.attendant);
    put("label", tag.label);
    return text;
}

} // namespace qemutap
