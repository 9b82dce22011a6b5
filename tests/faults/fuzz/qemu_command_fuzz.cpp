// SPDX-License-Identifier: MIT
//
// A caller's QEMU command can be anything. Its words must stay as they are, except for one -append, which the client
// extends. If QEMU would understand the command, QEMU must find each added netdev once, with one device, and the
// guest's kernel (Documentation/admin-guide/kernel-parameters.rst) must find the added words where it looks for them.
//
// The first line chooses the number of taps and queues, the hold, vhost and the model. Each later line is one word, or
// `-option value`.

#include "client/guest/kernel_cmdline.hpp"
#include "client/vmm/args.hpp"
#include "client/vmm/command.hpp"
#include "client/vmm/placeholders.hpp"
#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/hold.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <algorithm>
#include <set>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

struct Caller {
    Words words{"qemu-system-x86_64"};
    bool plain = true;                 // QEMU would understand every word
    bool has_kernel = false;           // this and what follows is right only if plain
    std::optional<std::size_t> append; // index of the last one's value
    std::set<std::string> ids;
};

bool one_of(std::string_view text, std::initializer_list<std::string_view> words)
{
    return std::find(words.begin(), words.end(), text) != words.end();
}

// Collects the ids in a value, in which a comma separates properties and two commas stand for one.
void note_ids(std::string_view value, std::set<std::string> &ids)
{
    std::vector<std::string> properties{""};
    for (std::size_t i = 0; i < value.size(); ++i)
        if (value[i] != ',')
            properties.back() += value[i];
        else if (i + 1 < value.size() && value[i + 1] == ',')
            properties.back() += value[++i];
        else
            properties.emplace_back();
    for (const auto &property : properties)
        if (property.substr(0, 3) == "id=")
            ids.insert(property.substr(3));
}

void add_option(Caller &caller, std::string_view option, std::string_view value)
{
    caller.words.insert(caller.words.end(), {std::string{option}, std::string{value}});
    caller.has_kernel = caller.has_kernel || option == "-kernel";
    if (option == "-append")
        caller.append = caller.words.size() - 1;
    if (one_of(option, {"-netdev", "-nic"}))
        note_ids(value, caller.ids);
}

Caller caller_of(const std::vector<std::string_view> &lines)
{
    Caller caller;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        auto value = lines[i].substr(0, lines[i].find('\0'));
        const auto line = value;
        const auto option = cut(value, ' ');
        if (one_of(option, {"-kernel", "-append", "-netdev", "-device", "-nic", "-net", "-m", "-drive", "-name"}) &&
            option.size() < line.size()) {
            add_option(caller, option, value);
        } else {
            const bool flag = one_of(line, {"-nographic", "-snapshot", "-S", "-enable-kvm"});
            caller.plain = caller.plain && (flag || line.substr(0, 1) != "-");
            caller.words.emplace_back(line);
        }
    }
    return caller;
}

struct Taps {
    LeaseGrant lease;
    std::vector<TapDescriptors> descriptors;
    NicOptions nic;
};

Taps taps_of(std::string_view line)
{
    const auto digit = [&](std::size_t at) { return at < line.size() ? static_cast<unsigned>(line[at] - '0') : 0; };
    Taps taps;
    const unsigned count = 1 + (digit(0) - 1) % 8;
    const unsigned queues = 1 + (digit(1) - 1) % 4;
    taps.lease.hold = digit(2) % 2 ? Hold::name : Hold::fd;
    const bool vhost = digit(2) / 2 % 2 != 0;
    for (unsigned i = 0; i < count; ++i) {
        const Ipv4Address gateway{0xc0a80001 + ((7 + i) << 8)};
        const MacAddress mac{{0x52, 0x54, 0, 0xab, 0, static_cast<std::uint8_t>(7 + i)}};
        taps.lease.taps.push_back(
            {"tap" + std::to_string(7 + i), 7 + i, gateway, {gateway.value + 1}, 24, mac, queues, vhost});
        TapDescriptors descriptors;
        for (unsigned queue = 0; queue < queues; ++queue) {
            descriptors.queues.push_back(static_cast<int>(3 + i * queues + queue));
            if (vhost)
                descriptors.vhost.push_back(static_cast<int>(100 + i * queues + queue));
        }
        taps.descriptors.push_back(descriptors);
    }
    if (const auto model = line.substr(std::min<std::size_t>(line.size(), 4)); is_device_model(model))
        taps.nic.device = std::string{model};
    return taps;
}

// Splits a command line as the kernel's next_arg() does, up to a lone "--": a quote anywhere keeps white space
// together, and one that is never closed keeps everything together.
Words kernel_words(std::string_view cmdline)
{
    Words words;
    bool quoted = false;
    bool within = false;
    for (const char c : cmdline) {
        const bool space = one_of(std::string_view{&c, 1}, {" ", "\t", "\n", "\v", "\f", "\r"});
        if (space && !quoted) {
            within = false;
            continue;
        }
        if (!within)
            words.emplace_back();
        within = true;
        quoted = quoted != (c == '"');
        words.back() += c;
    }
    const auto is_end = [](const std::string &word) { return word == "--" || word == "\"--\"" || word == "\"--"; };
    words.erase(std::find_if(words.begin(), words.end(), is_end), words.end());
    return words;
}

// Returns the word without quotes around it and without its value.
std::string key_of(std::string word)
{
    if (word.substr(0, 1) == "\"") {
        word.erase(0, 1);
        if (!word.empty() && word.back() == '"')
            word.pop_back();
    }
    return word.substr(0, word.find('=', 1));
}

bool has_key(const Words &words, const std::string &key)
{
    return std::any_of(words.begin(), words.end(), [&](const std::string &word) { return key_of(word) == key; });
}

// There is one ip= for each added NIC and no other word of that kind; only the last one, the primary NIC's, has a
// gateway.
void check_ip_words(const Words &ours, std::size_t taps)
{
    require(ours.size() == taps + 1 && ours.back() == "net.ifnames=0",
            "there is an ip= for each NIC, and net.ifnames=0 at the end");
    for (std::size_t i = 0; i < taps; ++i) {
        const bool primary = i + 1 == taps;
        require(ours[i].substr(0, 11) == "ip=192.168.", "each word but the last is an ip=");
        require((ours[i].find(":::") == std::string::npos) == primary, "only the last ip= has a gateway");
    }
}

void check_append(const std::string &before, const std::string &after, const Words &ours)
{
    const auto callers = kernel_words(before);
    auto expected = callers;
    // A quote that the caller never closes stays last, or the kernel would find no words after it.
    const bool open = !callers.empty() && std::count(callers.back().begin(), callers.back().end(), '"') % 2 != 0;
    for (const auto &word : ours)
        if (!has_key(callers, key_of(word)))
            expected.insert(expected.end() - (open ? 1 : 0), word);
    require(kernel_words(after) == expected, "the kernel finds the caller's words and then the added ones");
    const auto alike = std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first - before.begin();
    const auto behind = std::mismatch(before.rbegin(), before.rend(), after.rbegin(), after.rend()).first;
    require(alike + (behind - before.rbegin()) >= static_cast<std::ptrdiff_t>(before.size()),
            "the caller's -append is unchanged before and after the added words");
}

void check_pairs(const Words &pairs, const Taps &taps, const Caller &caller)
{
    require(pairs.size() == 4 * taps.lease.taps.size(), "each tap adds one netdev and one device");
    for (std::size_t i = 0; i < pairs.size(); i += 4) {
        require(pairs[i] == "-netdev" && pairs[i + 2] == "-device", "a netdev comes before its device");
        std::string_view netdev = pairs[i + 1];
        require(cut(netdev, ',') == "tap" && netdev.substr(0, 3) == "id=", "an added netdev is a tap with an id");
        const std::string id{cut(netdev, ',').substr(3)};
        require_equal(id, "tapctl" + std::to_string(taps.nic.first_netdev + i / 4), "netdevs are numbered in order");
        require(!caller.plain || caller.ids.count(id) == 0, "an added id is not one of the caller's");
        require(pairs[i + 3].find(",netdev=" + id + ",mac=") != std::string::npos, "a device has its netdev");
        require((netdev.substr(0, 4) == "fds=") == (taps.lease.hold == Hold::fd),
                "only a lease held by descriptors has fds=");
    }
}

// Splits a line as sh(1) does if it has single quotes, backslashes before them, and no other quotes.
Words shell_words(std::string_view line)
{
    Words words{""};
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == ' ') {
            words.emplace_back();
        } else if (line[i] == '\\') {
            words.back() += line[++i];
        } else if (line[i] == '\'') {
            const auto end = line.find('\'', i + 1);
            require(end != std::string_view::npos, "each quote is closed");
            words.back() += line.substr(i + 1, end - i - 1);
            i = end;
        } else {
            require(std::string_view{"\"$`&|;<>()*?[]#~!{}\n\t"}.find(line[i]) == std::string_view::npos,
                    "each character that is special in sh is quoted");
            words.back() += line[i];
        }
    }
    return words;
}

// The first added NIC comes at most after all of the caller's.
unsigned first_nic_of(const CommandFacts &facts, const Taps &taps)
{
    const auto count = static_cast<unsigned>(taps.lease.taps.size());
    const auto order = nic_order(facts.machine, facts.nics, taps.nic.device, count);
    require(order.first <= facts.nics.size(), "the first added NIC comes at most after all of the caller's");
    require(!facts.nics.empty() || count > 1 || order.is_certain, "the place of a single NIC is certain");
    return order.first;
}

void check_merged(const Caller &caller, const CommandFacts &facts, const Taps &taps, const MergedCommand &merged)
{
    const auto ours = kernel_cmdline_words(taps.lease, first_nic_of(facts, taps));
    require(order_by_placeholders(caller.words, 1).first <= facts.nics.size(),
            "a NIC placed by placeholders comes at most after all of the caller's");
    check_ip_words(ours, taps.lease.taps.size());
    const bool added = facts.has_kernel && !facts.append;
    const auto callers_end = merged.words.begin() + static_cast<std::ptrdiff_t>(caller.words.size());
    const auto ours_end = merged.words.end() - (added ? 2 : 0);
    check_pairs({callers_end, ours_end}, taps, caller);
    if (added) {
        require(*ours_end == "-append", "a command with a kernel gets an -append");
        check_append("", merged.words.back(), ours);
    }
    require(facts.has_kernel || merged.warning, "a command without a kernel causes a warning");
    require(!facts.has_kernel || !merged.warning || facts.append,
            "a command with a kernel causes a warning only if it has an -append");
    for (std::size_t i = 0; i < caller.words.size(); ++i) {
        const bool ours_to_extend = facts.has_kernel && facts.append == i;
        const bool warned = ours_to_extend && has_key(kernel_words(caller.words[i]), "ip");
        if (ours_to_extend && !warned)
            check_append(caller.words[i], merged.words[i], ours);
        else
            require_equal(merged.words[i], caller.words[i], "the caller's words are unchanged");
        require(!ours_to_extend || warned == merged.warning.has_value(), "an ip= of the caller's causes a warning");
    }
    require(shell_words(shell_line(merged.words)) == merged.words, "sh reads the printed line as the same words");
}

// Reads the merged command again: the added NICs count as NICs, and the next free netdev number is after theirs.
void check_again(const Caller &caller, const CommandFacts &facts, const Taps &taps, const MergedCommand &merged)
{
    if (!caller.plain)
        return;
    require(facts.has_kernel == caller.has_kernel && facts.append == caller.append, "-kernel and -append are found");
    const auto again = look_at(merged.words);
    const auto count = static_cast<unsigned>(taps.lease.taps.size());
    require(again.nics.size() == facts.nics.size() + count, "the added NICs count as NICs");
    require(again.first_free_netdev >= facts.first_free_netdev + count, "the added netdevs take their numbers");
    require(again.has_kernel == facts.has_kernel && again.append.has_value() >= again.has_kernel,
            "a merged command with a kernel has an -append");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    const auto lines = lines_of(text_of(bytes, size));
    auto taps = taps_of(lines.empty() ? std::string_view{} : lines.front());
    const auto caller = caller_of(lines);
    const auto facts = look_at(caller.words);
    taps.nic.netdev = added_netdev;
    taps.nic.first_netdev = facts.first_free_netdev;
    taps.nic.first_mmio_bus = facts.first_free_mmio_bus;
    const auto args = taps.lease.hold == Hold::name ? qemu_args(taps.lease, taps.nic)
                                                    : qemu_args(taps.lease, taps.descriptors, taps.nic);
    const auto merged = merge(caller.words, facts, args, kernel_cmdline_words(taps.lease, first_nic_of(facts, taps)));
    check_merged(caller, facts, taps, merged);
    check_again(caller, facts, taps, merged);
    return 0;
}
