// SPDX-License-Identifier: MIT
//
// Finds the settings of the image that Yocto's runqemu is going to start. They are in the .qemuboot.conf beside the
// image and name the machine and its NIC.

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Returns the text of the settings file that these arguments of runqemu lead to. The search takes the first match: a
// settings file that an argument names; the newest one beside a file, or in a folder, that an argument names; the
// newest one of a machine that an argument names, in the deploy folder that the build environment gives
// (DEPLOY_DIR_IMAGE, OE_TMPDIR, BUILDDIR). nullopt: no such file is found, or the file can't be read.
std::optional<std::string> boot_settings(const std::vector<std::string> &arguments);

} // namespace qemutap
