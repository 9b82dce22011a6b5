// SPDX-License-Identifier: MIT
//
// One table has each placeholder's name, the condition under which it can be filled, and its text.

#include "client/vmm/placeholders.hpp"

#include "client/guest/kernel_cmdline.hpp"
#include "client/vmm/command.hpp"
#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/number.hpp"
#include "common/quote.hpp"
#include "contract/descriptors.hpp"
#include "contract/hold.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

namespace qemutap {

namespace {

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view digits = "0123456789";

enum class Needs { nothing, descriptors, one_descriptor, vhost_descriptors };

struct TapPlaceholder {
    std::string_view name;
    Needs needs;
    std::string (*text)(const TapGrant &tap, const TapDescriptors &descriptors);
};

std::string joined(const std::vector<int> &numbers, char separator)
{
    std::string text;
    for (const int number : numbers)
        text += (text.empty() ? std::string{} : std::string(1, separator)) + std::to_string(number);
    return text;
}

// A virtio NIC has two virtqueues for each queue, one for each direction.
constexpr unsigned virtqueues_of_queue = 2;

constexpr std::array<TapPlaceholder, 12> of_tap{{
    {"tap", Needs::nothing, [](const TapGrant &tap, const TapDescriptors &) { return tap.name; }},
    {"fd", Needs::one_descriptor,
     [](const TapGrant &, const TapDescriptors &numbers) { return joined(numbers.queues, ':'); }},
    {"fds", Needs::descriptors,
     [](const TapGrant &, const TapDescriptors &numbers) { return joined(numbers.queues, ':'); }},
    {"fdlist", Needs::descriptors,
     [](const TapGrant &, const TapDescriptors &numbers) { return joined(numbers.queues, ','); }},
    {"vhostfds", Needs::vhost_descriptors,
     [](const TapGrant &, const TapDescriptors &numbers) { return joined(numbers.vhost, ':'); }},
    {"mac", Needs::nothing, [](const TapGrant &tap, const TapDescriptors &) { return tap.mac.text(); }},
    {"gateway", Needs::nothing, [](const TapGrant &tap, const TapDescriptors &) { return tap.gateway.text(); }},
    {"client", Needs::nothing, [](const TapGrant &tap, const TapDescriptors &) { return tap.guest.text(); }},
    {"prefix", Needs::nothing,
     [](const TapGrant &tap, const TapDescriptors &) { return std::to_string(tap.prefix_length); }},
    {"netmask", Needs::nothing,
     [](const TapGrant &tap, const TapDescriptors &) {
         return Ipv4Prefix{tap.gateway, tap.prefix_length}.mask().text();
     }},
    {"queues", Needs::nothing, [](const TapGrant &tap, const TapDescriptors &) { return std::to_string(tap.queues); }},
    {"virtqueues", Needs::nothing,
     [](const TapGrant &tap, const TapDescriptors &) { return std::to_string(virtqueues_of_queue * tap.queues); }},
}};

struct LeasePlaceholder {
    std::string_view name;
    std::string (*text)(const LeaseGrant &lease, unsigned first_nic);
};

constexpr std::array<LeasePlaceholder, 3> of_lease{{
    {"lease", [](const LeaseGrant &lease, unsigned) { return lease.lease; }},
    {"count", [](const LeaseGrant &lease, unsigned) { return std::to_string(lease.taps.size()); }},
    {"cmdline", [](const LeaseGrant &lease, unsigned first_nic) { return kernel_cmdline(lease, first_nic); }},
}};

template <typename Table>
const typename Table::value_type *find(const Table &table, std::string_view name)
{
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const auto &placeholder) { return placeholder.name == name; });
    return found == table.end() ? nullptr : &*found;
}

// The text between the braces.
struct Placeholder {
    std::string_view name;
    std::string_view number; // as written; empty: none

    std::size_t size() const { return name.size() + number.size() + 2; }
    std::string text() const { return "{" + std::string{name}.append(number) + "}"; }
};

// The placeholder at the beginning of `text`, if there is one.
std::optional<Placeholder> placeholder_at(std::string_view text)
{
    if (text.substr(0, 1) != "{")
        return std::nullopt;
    text.remove_prefix(1);
    const auto name = text.substr(0, std::min(text.find_first_not_of(letters), text.size()));
    text.remove_prefix(name.size());
    const auto number = text.substr(0, std::min(text.find_first_not_of(digits), text.size()));
    text.remove_prefix(number.size());
    if (name.empty() || text.substr(0, 1) != "}")
        return std::nullopt;
    return Placeholder{name, number};
}

// Replaces each placeholder of a word by the text that `fill` returns for it.
template <typename Fill>
std::string filled(std::string_view word, Fill fill)
{
    std::string text;
    while (!word.empty()) {
        const bool doubled = word.substr(0, 2) == "{{";
        const auto placeholder = placeholder_at(doubled ? word.substr(1) : word);
        std::size_t size = 1;
        if (placeholder && doubled && word.substr(1 + placeholder->size(), 1) == "}") {
            text += placeholder->text();
            size = placeholder->size() + 2;
        } else if (placeholder && !doubled && (text.empty() || text.back() != '$')) {
            text += fill(*placeholder);
            size = placeholder->size();
        } else {
            text += word.front();
        }
        word.remove_prefix(size);
    }
    return text;
}

[[noreturn]] void refuse(const Placeholder &placeholder, const std::string &why)
{
    throw TapError{ErrorCode::invalid_argument, quote(placeholder.text()) + " in the command " + why};
}

std::string all_names()
{
    std::string text;
    for (const auto &placeholder : of_tap)
        text += "{" + std::string{placeholder.name} + "0}, ";
    for (const auto &placeholder : of_lease)
        text += "{" + std::string{placeholder.name} + "}" + (&placeholder == &of_lease.back() ? "" : ", ");
    return text;
}

void require_number(const Placeholder &placeholder, unsigned count)
{
    const std::string name{placeholder.name};
    if (placeholder.number.empty())
        refuse(placeholder, "does not say of which tap: the first one's is {" + name + "0}");
    const auto number = parse_number<unsigned>(placeholder.number);
    if (!number || *number >= count)
        refuse(placeholder, "is of no tap: " + std::to_string(count) +
                                (count == 1 ? " is asked for, and there is {" + name + "0}"
                                            : " are asked for, and there are {" + name + "0} to {" + name +
                                                  std::to_string(count - 1) + "}"));
}

void require_descriptors(const Placeholder &placeholder, Needs needs, const TapRequest &request)
{
    const std::string number{placeholder.number};
    if (needs == Needs::nothing)
        return;
    if (!rule_of(request.hold).gives_descriptors)
        refuse(placeholder, "is of no lease held by name: the program opens {tap" + number + "}");
    if (needs == Needs::one_descriptor && request.queues > 1)
        refuse(placeholder, "is one descriptor, and " + std::to_string(request.queues) +
                                " queues are asked for: there are {fds" + number + "}, with colons, and {fdlist" +
                                number + "}, with commas");
    if (needs == Needs::vhost_descriptors && request.vhost != VhostChoice::required)
        refuse(placeholder, "is there with --vhost yes only");
}

void require_fillable(const Placeholder &placeholder, const TapRequest &request)
{
    if (const auto *known = find(of_tap, placeholder.name)) {
        require_number(placeholder, request.count);
        require_descriptors(placeholder, known->needs, request);
        return;
    }
    if (!find(of_lease, placeholder.name))
        refuse(placeholder,
               "is no placeholder: there are " + all_names() + "; {" + placeholder.text() + "} stands for the text");
    if (!placeholder.number.empty())
        refuse(placeholder, "is the whole lease's and has no number: it is {" + std::string{placeholder.name} + "}");
}

// The taps that the placeholders of a word connect to a NIC.
std::set<unsigned> taps_in(std::string_view word)
{
    constexpr std::array<std::string_view, 4> carriers{"tap", "fd", "fds", "fdlist"};
    std::set<unsigned> taps;
    filled(word, [&](const Placeholder &placeholder) {
        const auto number = parse_number<unsigned>(placeholder.number);
        if (number && std::find(carriers.begin(), carriers.end(), placeholder.name) != carriers.end())
            taps.insert(*number);
        return std::string{};
    });
    return taps;
}

bool mentions(std::string_view word, std::string_view name)
{
    bool found = false;
    filled(word, [&](const Placeholder &placeholder) {
        found = found || placeholder.name == name;
        return std::string{};
    });
    return found;
}

} // namespace

bool has_placeholders(const std::vector<std::string> &command, const TapRequest &request)
{
    bool found = false;
    for (std::size_t i = 1; i < command.size(); ++i)
        filled(command[i], [&](const Placeholder &placeholder) {
            require_fillable(placeholder, request);
            found = true;
            return std::string{};
        });
    return found;
}

std::optional<std::string> carrier_problem(const std::vector<std::string> &command, const TapRequest &request)
{
    bool told_of_lease = false;
    std::set<unsigned> told_of;
    for (std::size_t i = 1; i < command.size(); ++i) {
        told_of_lease = told_of_lease || mentions(command[i], "lease");
        told_of.merge(taps_in(command[i]));
    }
    for (unsigned tap = 0; tap < request.count && !told_of_lease; ++tap)
        if (told_of.count(tap) == 0) {
            const auto number = std::to_string(tap);
            const std::string key = rule_of(request.hold).gives_descriptors ? ",fds=" : ",ifname=";
            const auto carrier = (rule_of(request.hold).gives_descriptors ? "{fds" : "{tap") + number + "}";
            std::string text = "no argument tells the program of tap " + number;
            text +=
                ", and to a command with placeholders nothing is added: write " + carrier + " where it belongs, as in ";
            text += "-netdev tap,id=wire" + number;
            text += key + carrier;
            return text;
        }
    return std::nullopt;
}

NicOrder order_by_placeholders(const std::vector<std::string> &command, unsigned count)
{
    const auto facts = look_at(command);
    const bool is_assumed = std::any_of(command.begin() + 1, command.end(),
                                        [](const std::string &word) { return mentions(word, "cmdline"); });
    if (!is_assumed || facts.machine.architecture.empty())
        return {};
    std::vector<PlacedNic> nics;
    for (const auto &nic : facts.nics) {
        const auto taps = taps_in(nic.backend);
        nics.push_back({nic, taps.empty() ? std::nullopt : std::optional{*taps.begin()}});
    }
    auto order = placed_order(facts.machine, std::move(nics), count);
    order.is_certain = order.is_certain && !facts.may_hide_nics;
    return order;
}

std::vector<std::string> with_placeholders(std::vector<std::string> command, const LeaseGrant &lease,
                                           const std::vector<TapDescriptors> &descriptors, unsigned first_nic)
{
    const auto text_of = [&](const Placeholder &placeholder) {
        if (const auto *whole = find(of_lease, placeholder.name))
            return whole->text(lease, first_nic);
        const auto number = *parse_number<unsigned>(placeholder.number);
        return find(of_tap, placeholder.name)
            ->text(lease.taps.at(number), descriptors.empty() ? TapDescriptors{} : descriptors.at(number));
    };
    for (std::size_t i = 1; i < command.size(); ++i)
        command[i] = filled(command[i], text_of);
    return command;
}

} // namespace qemutap
