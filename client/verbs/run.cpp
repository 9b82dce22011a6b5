// SPDX-License-Identifier: MIT
//
// Checks everything that can be refused before it asks for the lease.

#include "client/verbs/run.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_retry.hpp"
#include "client/launch/become_user.hpp"
#include "client/launch/descriptor_numbers.hpp"
#include "client/launch/launch.hpp"
#include "client/launch/session.hpp"
#include "client/launch/supervisor.hpp"
#include "client/verbs/attended.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/result.hpp"
#include "client/verbs/run_command.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"
#include "contract/hold.hpp"

#include <CLI/CLI.hpp>

#include <utility>

namespace qemutap {

namespace {

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        app.footer("Then: QEMU ARG..., or -- QEMU ARG...\n"
                   "Or any program, with {fd0}, {mac0}, {cmdline} and others (see the manual) where they belong.");
        words_.add_common(app);
        words_.add_nic(app);
        app.add_option("--vhost", words_.vhost, "no, auto (where possible) or yes")->capture_default_str();
        app.add_option("--vnet", vnet_, "on, or off: no virtio header before frames, for other programs than QEMU")
            ->capture_default_str();
        app.add_option("--hold", hold_, "fd, or name: the program opens the devices itself")->capture_default_str();
        app.add_option("--user", user_, "Become this user first; for root only");
        app.add_flag("--keep-environment", keep_environment_, "Let this user's program have root's environment");
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> command) const override
    {
        if (command.empty())
            refuse("run needs a command: qemu-tapctl run [OPTION]... QEMU [ARG]...");
        const auto hold = parse_hold(hold_);
        if (!hold)
            refuse("--hold " + quote(hold_) + " must be fd or name");
        if (keep_environment_ && !user_)
            refuse("--keep-environment is for --user; without it the environment stays as it is");
        if (vnet_ != "on" && vnet_ != "off")
            refuse("--vnet " + quote(vnet_) + " must be on or off");
        auto request = words_.request(*hold);
        request.attended = rule_of(*hold).ended_by_service;
        request.vnet = vnet_ == "on";
        validate(request);
        return std::make_unique<CallWith<RunOptions>>(RunOptions{.request = std::move(request),
                                                                 .nic = words_.nic(),
                                                                 .ask_password = words_.ask_password,
                                                                 .user = user_,
                                                                 .keep_environment = keep_environment_,
                                                                 .command = std::move(command)});
    }

private:
    LeaseOptions words_;
    std::string hold_{text_of(Hold::fd)};
    std::string vnet_ = "on";
    std::optional<std::string> user_;
    bool keep_environment_ = false;
};

// Continues as the user, separated from root's terminal, session, descriptors and keys. If a relay stays at root's
// terminal, this returns the program's wait status (waitpid(2)) in the relay's process and nullopt in the program's.
std::optional<int> continue_as(const std::string &name, bool keep_environment)
{
    const auto user = find_user(name);
    const auto departure = leave_session(user);
    if (departure.end)
        return departure.end;
    close_inherited_descriptors();
    become_user(user, keep_environment ? EnvironmentRule::kept : EnvironmentRule::login);
    if (departure.relay != 0)
        end_with(departure.relay);
    return std::nullopt;
}

} // namespace

constinit const Verb run_verb{
    .name = "run",
    .summary = "Start QEMU with taps that are gone when it ends",
    .rest = Rest::command,
    .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> { return std::make_unique<Declared>(app); }};

int perform(const RunOptions &options)
{
    const auto unreached = unreached_taps(options);
    if (options.user)
        if (const auto end = continue_as(*options.user, options.keep_environment))
            return end_like(*end);
    if (const int problem = command_problem(options.command.front()); problem != 0)
        return report_command(options.command.front(), problem);
    ManagerProxy manager;
    auto acquired =
        with_password_retry(manager, options.ask_password, [&] { return manager.acquire(options.request); });
    acquired.descriptors = out_of_the_way(std::move(acquired.descriptors));
    warn(unreached);
    const auto words = command_with_taps(options, acquired, unreached.has_value());
    if (!rule_of(options.request.hold).gives_descriptors)
        return end_like(run_attended(manager, acquired.grant, words));
    return become(words, acquired.descriptors);
}

} // namespace qemutap
