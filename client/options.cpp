// SPDX-License-Identifier: MIT
//
// The option table, by CLI11. What stands behind the first "--" of `run` and `runqemu` is another program's and none
// of CLI11's business.

#include "client/options.hpp"

#include "client/vmm/runqemu.hpp"
#include "common/error.hpp"
#include "common/label.hpp"
#include "common/number.hpp"
#include "common/number_option.hpp"
#include "common/quote.hpp"
#include "config.h"
#include "contract/hold.hpp"
#include "contract/profile.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <utility>

namespace qemutap {

namespace {

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

constexpr unsigned highest_nic = 999; // no guest has more

void add_no_ask_password(CLI::App &verb, bool &ask_password)
{
    verb.add_flag_callback(
        "--no-ask-password", [&ask_password] { ask_password = false; }, "Never ask for a password");
}

// Words as given; read into a request once all are known.
struct RequestWords {
    unsigned count = 1;
    unsigned queues = 1;
    std::string vhost{text_of(VhostChoice::no)};
    std::optional<std::string> device;
    unsigned first_nic = 0;
    const CLI::Option *first_nic_given = nullptr;
    std::optional<std::string> label;
    std::optional<std::string> idle_timeout;
    bool ask_password = true;
    std::string format;

    void add_common(CLI::App &verb)
    {
        add_number(verb, "--count", count, "How many taps, each with a NIC of the guest");
        verb.add_option("--label", label, "Your name for the lease: it finds the same device and addresses again");
        add_no_ask_password(verb, ask_password);
    }

    void add_nic(CLI::App &verb)
    {
        add_number(verb, "--queues", queues, "Queues of each tap; more than one makes the NIC multi-queue");
        add_device(verb);
    }

    void add_device(CLI::App &verb, const std::string &by_default = NicOptions{}.device)
    {
        verb.add_option("--device", device, "QEMU's NIC model")->default_str(by_default);
        first_nic_given =
            add_number(verb, "--first-nic", first_nic, "N of the guest's ethN that the first of our NICs is")
                ->default_str("");
    }

    void add_format(CLI::App &verb, Format by_default)
    {
        format = text_of(by_default);
        verb.add_option("--format", format, "text, json, qemu, cmdline, env or yocto")->capture_default_str();
    }

    TapRequest request(Hold hold) const
    {
        TapRequest request;
        request.count = count;
        request.hold = hold;
        request.queues = queues;
        const auto choice = parse_vhost_choice(vhost);
        if (!choice)
            refuse("--vhost " + quote(vhost) + " is none of no, auto and yes");
        request.vhost = *choice;
        if (label) {
            if (!is_label(*label))
                refuse("--label " + quote(*label) + " can't be: " + std::string{label_rule});
            request.label = *label;
        }
        if (idle_timeout) {
            const auto seconds = parse_idle_timeout(*idle_timeout);
            if (!seconds)
                refuse("--idle-timeout " + quote(*idle_timeout) +
                       " is no time from 1 s to 365 d, such as 90, 90s, 15min, 2h or 1d");
            request.idle_timeout_seconds = *seconds;
        }
        validate(request);
        return request;
    }

    NicOptions nic(const std::string &by_default = NicOptions{}.device) const
    {
        if (device && !is_device_model(*device))
            refuse("--device " + quote(*device) + " is no NIC model such as virtio-net-pci or e1000");
        if (first_nic > highest_nic)
            refuse("--first-nic " + std::to_string(first_nic) + " is none of 0 to " + std::to_string(highest_nic));
        NicOptions options;
        options.device = device.value_or(by_default);
        if (first_nic_given && first_nic_given->count() > 0)
            options.first_nic = first_nic;
        return options;
    }

    Format chosen_format() const
    {
        const auto chosen = parse_format(format);
        if (!chosen)
            refuse("--format " + quote(format) + " is none of text, json, qemu, cmdline, env and yocto");
        return *chosen;
    }
};

// The arguments before the mark of `run` and `runqemu`, and what stands behind it.
std::pair<std::vector<std::string>, std::vector<std::string>> split_command(int argc, const char *const *argv)
{
    std::vector<std::string> words(argv + 1, argv + argc);
    if (words.empty() || (words.front() != "run" && words.front() != "runqemu"))
        return {words, {}};
    const auto mark = std::find(words.begin(), words.end(), "--");
    std::vector<std::string> command;
    if (mark != words.end())
        command.assign(mark + 1, words.end());
    words.erase(mark, words.end());
    return {words, command};
}

constexpr const char *exit_statuses =
    "Exit statuses: 0 success, 1 failure, 2 invalid argument, 3 qemu-tapd not reachable, 4 not authorised,\n"
    "5 polkit unavailable, 6 limit exceeded, 7 pool exhausted, 8 no such lease, 9 /dev/net/tun unavailable,\n"
    "10 vhost unavailable, 11 refused by the kernel; of run and runqemu, also 126 and 127: the command\n"
    "can't be executed, is not found; else they end with the command's own.";

// Each verb declares its options to CLI11 and, once they are parsed, reads them.
struct RunVerb {
    CLI::App *verb;
    RequestWords words;
    std::string hold{text_of(Hold::fd)};
    std::string vnet = "on";
    std::optional<std::string> user;
    bool keep_environment = false;

    explicit RunVerb(CLI::App &app)
        : verb{app.add_subcommand("run", "Start QEMU with taps that are gone when it ends")}
    {
        verb->footer("Then: -- QEMU ARG...\n"
                     "Or any program, with {fd0}, {mac0}, {cmdline} and others (see the manual) where they belong.");
        words.add_common(*verb);
        words.add_nic(*verb);
        verb->add_option("--vhost", words.vhost, "no, auto (where possible) or yes")->capture_default_str();
        verb->add_option("--vnet", vnet, "on, or off: no virtio header before frames, for other programs than QEMU")
            ->capture_default_str();
        verb->add_option("--hold", hold, "fd, or name: the program opens the devices itself")->capture_default_str();
        verb->add_option("--user", user, "Become this user first; for root only");
        verb->add_flag("--keep-environment", keep_environment, "Let this user's program have root's environment");
    }

    RunOptions options(std::vector<std::string> command) const
    {
        if (command.empty())
            refuse("run needs a command: qemu-tapctl run [OPTION]... -- QEMU ARG...");
        const auto chosen = parse_hold(hold);
        if (!chosen)
            refuse("--hold " + quote(hold) + " is neither fd nor name");
        if (keep_environment && !user)
            refuse("--keep-environment is for --user; without it the environment stays as it is");
        auto request = words.request(*chosen);
        request.attended = *chosen == Hold::name;
        if (vnet != "on" && vnet != "off")
            refuse("--vnet " + quote(vnet) + " is neither on nor off");
        request.vnet = vnet == "on";
        validate(request);
        return {.request = std::move(request),
                .nic = words.nic(),
                .ask_password = words.ask_password,
                .user = user,
                .keep_environment = keep_environment,
                .command = std::move(command)};
    }
};

struct RunqemuVerb {
    CLI::App *verb;
    RequestWords words;

    explicit RunqemuVerb(CLI::App &app)
        : verb{app.add_subcommand("runqemu", "Start Yocto's runqemu with taps that are gone when it ends")}
    {
        verb->footer("Then: -- ARG... of runqemu");
        words.add_common(*verb);
        words.add_device(*verb, "");
    }

    RunqemuOptions options(std::vector<std::string> arguments) const
    {
        require_tap_network(arguments);
        auto request = words.request(Hold::name);
        request.attended = true;
        request.profile = Profile::runqemu;
        return {std::move(request), words.nic(""), words.ask_password, std::move(arguments)};
    }
};

struct UpVerb {
    CLI::App *verb;
    RequestWords words;
    std::optional<std::string> user;
    bool json = false;

    explicit UpVerb(CLI::App &app)
        : verb{app.add_subcommand("up", "Get taps and print what to start QEMU with")}
    {
        words.add_common(*verb);
        words.add_nic(*verb);
        verb->add_option("--idle-timeout", words.idle_timeout, "End the lease when no program has it open for so long");
        verb->add_option("--user", user, "Get them as this user; for root only");
        words.add_format(*verb, Format::text);
        verb->add_flag("--json", json, "The same as --format json");
    }

    UpOptions options() const
    {
        return {.request = words.request(Hold::name),
                .nic = words.nic(),
                .ask_password = words.ask_password,
                .user = user,
                .format = json ? Format::json : words.chosen_format()};
    }
};

struct DownVerb {
    CLI::App *verb;
    DownOptions given;

    explicit DownVerb(CLI::App &app)
        : verb{app.add_subcommand("down", "End leases")}
    {
        verb->add_option("NAME", given.names, "A lease, a label or a tap");
        verb->add_flag("--all", given.all, "All leases of yours");
    }

    DownOptions options() const
    {
        if (given.all == !given.names.empty())
            refuse("down needs a lease, a label or a tap; or --all and none of them");
        return given;
    }
};

struct ListVerb {
    CLI::App *verb;
    ListOptions options;

    explicit ListVerb(CLI::App &app)
        : verb{app.add_subcommand("list", "Show leases")}
    {
        verb->add_flag("--all", options.all, "Everyone's");
        verb->add_flag("--json", options.json, "As JSON");
        add_no_ask_password(*verb, options.ask_password);
    }
};

struct ArgsVerb {
    CLI::App *verb;
    RequestWords words;
    std::string name;

    explicit ArgsVerb(CLI::App &app)
        : verb{app.add_subcommand("args", "Print again what to start QEMU with")}
    {
        verb->add_option("NAME", name, "A lease or a label")->required();
        words.add_device(*verb);
        words.add_format(*verb, Format::qemu);
    }

    ArgsOptions options() const { return {name, words.nic(), words.chosen_format()}; }
};

void require_known_verb(const CLI::App &app, const std::vector<std::string> &words)
{
    if (words.empty() || words.front().substr(0, 1) == "-")
        return;
    const auto verbs = app.get_subcommands([](const CLI::App *) { return true; });
    if (std::none_of(verbs.begin(), verbs.end(), [&](const auto *verb) { return verb->get_name() == words.front(); }))
        refuse("there is no " + quote(words.front()) + "; there are run, runqemu, up, down, list and args");
}

} // namespace

std::optional<std::uint64_t> parse_idle_timeout(std::string_view text)
{
    constexpr std::array<std::pair<std::string_view, std::uint64_t>, 5> units{
        {{"", 1}, {"s", 1}, {"min", 60}, {"h", 60 * 60}, {"d", 24 * 60 * 60}}};
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
    for (const auto &[unit, seconds] : units)
        if (number && text.substr(digits) == unit && *number >= 1 && *number <= max_idle_timeout_seconds / seconds)
            return *number * seconds;
    return std::nullopt;
}

std::optional<ClientOptions> parse_client_options(int argc, const char *const *argv)
{
    auto [words, command] = split_command(argc, argv);
    CLI::App app{"Gets TAP network devices for QEMU from qemu-tapd, without privileges."};
    app.name("qemu-tapctl");
    app.set_version_flag("--version", std::string{"qemu-tapctl "} + QEMU_TAPCTL_VERSION);
    app.require_subcommand(1);
    app.footer(exit_statuses);
    RunVerb run{app};
    RunqemuVerb runqemu{app};
    UpVerb up{app};
    DownVerb down{app};
    ListVerb list{app};
    ArgsVerb args{app};
    require_known_verb(app, words);
    try {
        std::reverse(words.begin(), words.end()); // CLI11 reads from the back
        app.parse(std::move(words));
    } catch (const CLI::Success &success) {
        app.exit(success, std::cout, std::cerr);
        return std::nullopt;
    } catch (const CLI::ParseError &error) {
        refuse(one_line(error.what()) + " (see qemu-tapctl --help)");
    }
    if (*run.verb)
        return run.options(std::move(command));
    if (*runqemu.verb)
        return runqemu.options(std::move(command));
    if (*up.verb)
        return up.options();
    if (*down.verb)
        return down.options();
    if (*list.verb)
        return list.options;
    return args.options();
}

} // namespace qemutap
