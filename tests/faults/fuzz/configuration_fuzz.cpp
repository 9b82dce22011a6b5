// SPDX-License-Identifier: MIT
//
// Root writes the configuration file, by hand, so it can contain mistakes. The reader understands the whole file or
// refuses it in one line. A file that it understands makes a plan in which no two taps overlap.
//
// The bytes are the file. It lies in memory, under a name, because the reader opens it by name.

#include "common/ipv4.hpp"
#include "common/label.hpp"
#include "contract/profile.hpp"
#include "daemon/options.hpp"
#include "plan/address_plan.hpp"
#include "tests/faults/fuzz/accepted.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

using namespace qemutap;

namespace {

class MemoryFile {
public:
    MemoryFile()
        : descriptor_{::memfd_create("qemu-tapd.conf", MFD_CLOEXEC)}
    {
        require(descriptor_ >= 0, "the system makes a file in memory");
        path_ = "/proc/self/fd/" + std::to_string(descriptor_);
    }

    const std::string &with(std::string_view text) const
    {
        require(::ftruncate(descriptor_, 0) == 0, "the file can be emptied");
        require(::pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
                "the file can be written");
        return path_;
    }

private:
    int descriptor_;
    std::string path_;
};

std::optional<DaemonOptions> options_in(std::string_view text)
{
    static const MemoryFile file;
    const char *words[] = {"qemu-tapd", nullptr};
    const auto options = accepted([&] { return parse_daemon_options(1, words, file.with(text)); });
    require(!options || *options, "no line of a file makes the program print something and exit");
    return options ? *options : std::nullopt;
}

std::string file_of(const DaemonOptions &options)
{
    const auto line = [](const char *key, const auto &value) { return std::string{key} + " = " + value + "\n"; };
    std::string text = line("pool", options.plan.pool.text()) +
                       line("prefix-length", std::to_string(options.plan.prefix_length)) +
                       line("first-index", std::to_string(options.plan.first_index)) +
                       line("device-prefix", options.plan.device_prefix) +
                       line("max-taps-per-user", std::to_string(options.limits.max_taps_per_user)) +
                       line("max-taps", std::to_string(options.limits.max_taps)) + line("log-level", options.log_level);
    for (const auto &exclusion : options.plan.exclusions)
        text += line("exclude", exclusion.text());
    for (const auto &reservation : options.plan.reservations)
        text += line("reserve", reservation.text());
    if (options.user.demanded)
        text += line("user", options.user.name);
    if (options.idle_exit_seconds)
        text += line("idle-exit", std::to_string(*options.idle_exit_seconds));
    return text;
}

bool holds(const Ipv4Prefix &outer, const Ipv4Prefix &inner)
{
    return outer.first() <= inner.first() && inner.last() <= outer.last();
}

bool is_excluded(const AddressPlan &plan, unsigned index)
{
    return plan.is_excluded(plan.network(Profile::standard, index));
}

void check_tap(const AddressPlan &plan, unsigned index)
{
    const auto subnet = plan.pool().subnet(index);
    const auto gateway = plan.pool().gateway(index);
    const auto guest = guest_address(gateway.address);
    require(subnet.is_network() && holds(plan.settings().pool, subnet), "a subnet lies in the pool");
    require(subnet.last() < plan.settings().pool.last(), "a subnet's broadcast address is not the pool's");
    require(gateway.length == subnet.length && subnet.first() < gateway.address && gateway.address < guest &&
                guest < subnet.last(),
            "gateway and guest lie between network and broadcast address");
    const auto name = plan.pool().device_name(index);
    require(name.size() <= 15, "a name is short enough for the kernel");
    require(std::all_of(name.begin(), name.end(),
                        [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'; }),
            "a name is one word and no pattern");
    const auto &exclusions = plan.settings().exclusions;
    const bool excluded = std::any_of(exclusions.begin(), exclusions.end(), [&](const Ipv4Prefix &exclusion) {
        return exclusion.first() <= subnet.last() && subnet.first() <= exclusion.last();
    });
    require(is_excluded(plan, index) == excluded, "a subnet is excluded if it overlaps an exclusion");
}

// Each reservation is of an index that can be given and of one user's label, and can be found by both.
void check_reservations(const AddressPlan &plan)
{
    std::set<unsigned> indexes;
    std::set<std::pair<uid_t, std::string>> labels;
    for (const auto &reservation : plan.settings().reservations) {
        const auto index = reservation.index;
        require(index >= plan.pool().first_index() && index <= plan.pool().last_index() && !is_excluded(plan, index),
                "a reserved index can be given");
        require(is_label(reservation.label), "a reservation's label is valid");
        require(indexes.insert(index).second, "no index is reserved twice");
        require(labels.emplace(reservation.uid, reservation.label).second, "no label has two reservations");
        require(plan.is_reserved(Profile::standard, index), "a reserved index is known");
        const auto *found = plan.reservation_of(reservation.uid, reservation.label);
        require(found && *found == reservation, "a reservation is found by its user and label");
    }
}

// Checks the first and last index, their neighbours, and one that a label leads to: each is valid, no two are alike.
void check_plan(const AddressPlan &plan)
{
    const auto first = plan.pool().first_index();
    const auto last = plan.pool().last_index();
    require(first <= last && plan.pool().size() == last - first + 1, "a plan has room for a tap");
    const auto start = plan.search_start(Profile::standard, 1000, "web");
    require(start >= first && start <= last, "a label leads to an index of the plan");
    std::set<unsigned> indexes{first, last, start, std::min(first + 1, last), std::max(last, 1u) - 1};
    indexes.erase(indexes.begin(), indexes.lower_bound(first));
    std::set<std::string> names;
    std::set<std::string> macs;
    std::optional<Ipv4Prefix> before;
    for (const auto index : indexes) {
        check_tap(plan, index);
        names.insert(plan.pool().device_name(index));
        macs.insert({plan.tap(Profile::standard, index, {}).port.guest_mac.text(),
                     plan.tap(Profile::standard, index, {}).port.host_mac.text()});
        const auto subnet = plan.pool().subnet(index);
        require(!before || before->last() < subnet.first(), "no two subnets overlap");
        before = subnet;
    }
    require(names.size() == indexes.size() && macs.size() == 2 * indexes.size(), "names and MACs are unique");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    const auto options = options_in(text_of(bytes, size));
    if (!options)
        return 0;
    require(!options->end_leases, "no line of a file ends leases");
    const auto machine_byte = static_cast<std::uint8_t>(size);
    const auto plan = accepted([&] { return AddressPlan{options->plan, machine_byte}; });
    if (!plan)
        return 0;
    check_plan(*plan);
    check_reservations(*plan);
    const auto again = options_in(file_of(*options));
    require(again.has_value(), "options written back to a file are understood");
    const auto changed = differences(*options, *again);
    require_equal(changed.empty() ? "" : changed.front(), "", "options written back to a file mean the same");
    return 0;
}
