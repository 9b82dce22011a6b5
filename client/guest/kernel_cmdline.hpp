// SPDX-License-Identifier: MIT
//
// The `ip=` words of a guest's kernel command line (Documentation/admin-guide/nfs/nfsroot.rst).
//
// Who reads them differs: the kernel itself takes the last one, and for its empty fields what an earlier one
// had; klibc's ipconfig, dracut and systemd take each. So there is one word for each NIC, the secondary NICs
// first and without a gateway (one default route), the primary last with every field that it needs. The
// device is the guest's name of the NIC, never the host's of the tap: with a name that does not exist the
// kernel waits 12 s and goes on without a network; without any it tries DHCP on each NIC for minutes.

#pragma once

#include "contract/grant.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// ip=<client>:<server>:<gateway>:<netmask>:<hostname>:<device>:<autoconf> of one NIC, the guest's ethN. Only the
// primary one has a gateway.
std::string ip_word(const TapGrant &tap, unsigned nic, bool primary);

// The word that makes names such as eth0 hold under udev.
inline constexpr std::string_view lasting_nic_names = "net.ifnames=0";

// `first_nic` is E of the guest's ethE that the lease's first tap is: 0, unless NICs stand before it.
// The last word is the one that makes those names hold.
std::vector<std::string> kernel_cmdline_words(const LeaseGrant &lease, unsigned first_nic = 0);

std::string kernel_cmdline(const LeaseGrant &lease, unsigned first_nic = 0);

// Adds the words to a command line: before a lone "--", behind which everything is the init program's, before a
// word whose quotes are never closed, behind which everything is that word's, and each only if no word of that key is
// there. nullopt: it has an `ip=` of its own and is to be left alone.
std::optional<std::string> with_words(const std::string &cmdline, const std::vector<std::string> &words);

} // namespace qemutap
