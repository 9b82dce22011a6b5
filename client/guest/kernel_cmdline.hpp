// SPDX-License-Identifier: MIT
//
// The `ip=` words of a guest's kernel command line (Documentation/admin-guide/nfs/nfsroot.rst).
//
// Readers of these words differ. The kernel itself uses the last word, and fills its empty fields from earlier words;
// klibc's ipconfig, dracut and systemd use each word. So each NIC has one word. The words of the secondary NICs come
// first and have no gateway (one default route). The word of the primary NIC comes last and has every field that it
// needs. The device field is the guest's name of the NIC, never the host's name of the tap: with a name that does not
// exist the kernel waits 12 s and continues without a network. Without a name it tries DHCP on each NIC for minutes.

#pragma once

#include "contract/grant.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// Returns ip=<client>:<server>:<gateway>:<netmask>:<hostname>:<device>:<autoconf> for the guest's NIC eth`nic`. Only
// the word of the primary NIC has a gateway.
std::string ip_word(const TapGrant &tap, unsigned nic, bool primary);

// Keeps udev from renaming NICs, so names such as eth0 stay valid.
inline constexpr std::string_view lasting_nic_names = "net.ifnames=0";

// Returns the `ip=` words of all taps, then lasting_nic_names. `first_nic` is the number of the guest's NIC on the
// lease's first tap: 0, unless the guest has other NICs before it.
std::vector<std::string> kernel_cmdline_words(const LeaseGrant &lease, unsigned first_nic = 0);

std::string kernel_cmdline(const LeaseGrant &lease, unsigned first_nic = 0);

// Adds each word to a command line that has no word with the same key. Inserts them before a lone "--", because all
// later words belong to the init program, and before a word whose quotes are never closed, because all later text
// belongs to that word. nullopt: the command line has its own `ip=` and must stay unchanged.
std::optional<std::string> with_words(const std::string &cmdline, const std::vector<std::string> &words);

} // namespace qemutap
