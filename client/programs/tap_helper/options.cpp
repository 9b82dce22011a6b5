// SPDX-License-Identifier: MIT
//
// Reads the three options of QEMU's helper protocol with CLI11. The protocol gives the helper one descriptor for its
// answer and one free word, the bridge's name. This helper takes that word as the lease's label.

#include "client/programs/tap_helper/options.hpp"

#include "common/error.hpp"
#include "common/label.hpp"
#include "common/number_option.hpp"
#include "common/quote.hpp"
#include "config.h"

#include <CLI/CLI.hpp>

#include <climits>
#include <iostream>
#include <string_view>

namespace qemutap {

namespace {

// The word that QEMU passes when its user gave none. It can't be a label: two such QEMUs would share it.
constexpr std::string_view bridge_by_default = "br0";

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

std::string label_of(const std::string &bridge)
{
    if (bridge == bridge_by_default)
        return {};
    if (bridge.find(',') != std::string::npos)
        refuse("--br=" + quote(bridge) +
               " can't have options: QEMU takes one descriptor from its helper, which is one tap with one queue; for "
               "more start QEMU with `qemu-tapctl run`");
    if (!is_label(bridge))
        refuse("--br=" + quote(bridge) + " can't be: it is the label of the lease, and " + std::string{label_rule});
    return bridge;
}

} // namespace

std::optional<HelperOptions> parse_helper_options(int argc, const char *const *argv)
{
    CLI::App app{"Gives QEMU, which calls it as helper=, a TAP network device from qemu-tapd, without privileges."};
    app.name("qemu-tap-helper");
    app.set_version_flag("--version", std::string{"qemu-tap-helper "} + QEMU_TAPCTL_VERSION);
    unsigned socket = UINT_MAX;
    std::string bridge{bridge_by_default};
    add_number(app, "--fd", socket, "The Unix socket that the tap's descriptor goes to")->default_str("")->required();
    app.add_option("--br", bridge, "The label of the lease; br0, QEMU's default, is none")->capture_default_str();
    app.add_flag_callback(
        "--use-vnet", [] {}, "Accepted and of no effect: the tap has virtio headers always, and QEMU asks the kernel");
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) {
        app.exit(success, std::cout, std::cerr);
        return std::nullopt;
    } catch (const CLI::ParseError &error) {
        refuse(one_line(error.what()) + " (see qemu-tap-helper --help)");
    }
    if (socket > INT_MAX)
        refuse("--fd=" + std::to_string(socket) + " can't be a descriptor");
    return HelperOptions{static_cast<int>(socket), label_of(bridge)};
}

} // namespace qemutap
