// SPDX-License-Identifier: MIT
//
// The settings of the image that Yocto's runqemu is going to start: the .qemuboot.conf beside it, which says which
// machine and which NIC it has.

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// The text of the file that these arguments of runqemu lead to: one that they name; the newest beside a file or in a
// directory that they name; the newest of the machine that they name, below the deploy directory that the build
// environment tells of (DEPLOY_DIR_IMAGE, OE_TMPDIR, BUILDDIR). nullopt: none is found, or it can't be read.
std::optional<std::string> boot_settings(const std::vector<std::string> &arguments);

} // namespace qemutap
