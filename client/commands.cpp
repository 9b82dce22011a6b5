// SPDX-License-Identifier: MIT
//
// The verbs.

#include "client/commands.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_agent.hpp"
#include "client/guest/kernel_cmdline.hpp"
#include "client/guest/nic_order.hpp"
#include "client/launch/become_user.hpp"
#include "client/launch/boot_settings.hpp"
#include "client/launch/descriptor_numbers.hpp"
#include "client/launch/launch.hpp"
#include "client/launch/session.hpp"
#include "client/launch/supervisor.hpp"
#include "client/verbs/resolve.hpp"
#include "client/vmm/command.hpp"
#include "client/vmm/placeholders.hpp"
#include "client/vmm/reach.hpp"
#include "client/vmm/runqemu.hpp"
#include "common/error.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/hold.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>

namespace qemutap {

namespace {

// At first nobody is asked: who needs no password pays for no agent.
template <typename Call>
auto authorised(ManagerProxy &manager, bool ask_password, Call call)
{
    try {
        return call();
    } catch (const TapError &error) {
        if (error.code() != ErrorCode::not_authorized || !ask_password || !somebody_to_ask())
            throw;
    }
    const PasswordAgent agent;
    manager.let_polkit_ask();
    return call();
}

void print(const std::string &text)
{
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        throw TapError{ErrorCode::failed, std::string{"can't write the result: "} + std::strerror(errno)};
}

// Signals that would end us wait until this ends, and a reader that is gone is an error of the write from here
// on.
class SignalsHeld {
public:
    SignalsHeld()
    {
        sigset_t ending;
        sigemptyset(&ending);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP})
            sigaddset(&ending, signal);
        std::signal(SIGPIPE, SIG_IGN);
        ::sigprocmask(SIG_BLOCK, &ending, &before_);
    }
    SignalsHeld(const SignalsHeld &) = delete;
    SignalsHeld &operator=(const SignalsHeld &) = delete;
    ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

void warn(const std::optional<std::string> &warning)
{
    if (warning)
        std::fprintf(stderr, "qemu-tapctl: %s\n", warning->c_str());
}

enum class Advice { none, all };

// A guest may boot in it: there is a kernel or a QEMU, or a script, which may have both.
bool may_boot(const std::vector<std::string> &command, const CommandFacts &facts)
{
    return facts.has_kernel || !facts.machine.architecture.empty() || has_script_word(command) ||
           has_script_file(command);
}

// There may be NICs of the caller's that we don't see: in a file of options, or in a script that starts QEMU.
bool may_hide_nics(const std::vector<std::string> &command, const CommandFacts &facts)
{
    return facts.may_hide_nics ||
           (facts.machine.architecture.empty() && (has_script_word(command) || has_script_file(command)));
}

// QEMU's command with our words. `descriptors` is empty for a lease held by name.
std::vector<std::string> for_qemu(std::vector<std::string> command, const LeaseGrant &lease,
                                  const std::vector<TapDescriptors> &descriptors, NicOptions nic, Advice advice)
{
    const auto facts = look_at(command);
    nic.netdev = added_netdev;
    nic.first_netdev = facts.first_free_netdev;
    nic.first_mmio_bus = needs_mmio_place(facts.machine) ? std::optional{facts.first_free_mmio_bus} : std::nullopt;
    auto order = nic_order(facts.machine, facts.nics, nic.device, static_cast<unsigned>(lease.taps.size()));
    order.is_certain = order.is_certain && !may_hide_nics(command, facts);
    const unsigned first_nic = nic.first_nic.value_or(order.first);
    const auto args = lease.hold == Hold::name ? qemu_args(lease, nic) : qemu_args(lease, descriptors, nic);
    if (!may_boot(command, facts))
        advice = Advice::none;
    auto merged = merge(std::move(command), facts, args, kernel_cmdline_words(lease, first_nic));
    if (advice == Advice::none)
        return merged.words;
    warn(merged.warning);
    if (facts.has_kernel && !merged.warning && !order.is_certain && !nic.first_nic)
        warn(order_warning(first_nic, lease.taps.front().name));
    return merged.words;
}

// Warns of a command that learns nothing of its taps; nullopt: it learns. Throws TapError invalid_argument where the
// command needs them, before anything is made.
std::optional<std::string> lost_taps(const RunOptions &options, bool has_placeholders)
{
    const bool by_descriptors = options.request.hold == Hold::fd;
    if (has_placeholders) {
        auto problem = carrier_problem(options.command, options.request);
        if (problem && by_descriptors)
            throw TapError{ErrorCode::invalid_argument, *problem};
        return problem;
    }
    const auto problem = reach_problem(options.command, look_at(options.command));
    if (problem && problem->names_qemu && by_descriptors)
        throw TapError{ErrorCode::invalid_argument, problem->text};
    return problem ? std::optional{problem->text} : std::nullopt;
}

// Runs the command for whose life the lease is held, and ends the lease with it. Returns its end as supervise() does.
int attend(ManagerProxy &manager, const LeaseGrant &lease, const std::vector<std::string> &words)
{
    const int end = supervise(words);
    try {
        manager.release(lease.lease);
    } catch (const TapError &error) {
        // Somebody may have ended it before; else it ends with us.
        if (error.code() != ErrorCode::no_such_lease)
            std::fprintf(stderr, "qemu-tapctl: can't end lease %s: %s\n", lease.lease.c_str(), error.what());
    }
    return end;
}

// Goes on as the user, away from root's terminal, session, descriptors and keys. In the process that stays behind for
// root it returns the end of the one that went on, as waitpid(2) does.
std::optional<int> go_on_as(const std::string &name, bool keep_environment)
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

int perform(const RunOptions &options)
{
    const bool for_any_program = has_placeholders(options.command, options.request);
    const auto lost = lost_taps(options, for_any_program);
    if (options.user)
        if (const auto end = go_on_as(*options.user, options.keep_environment))
            return end_like(*end);
    if (const int problem = command_problem(options.command.front()); problem != 0)
        return report_command(options.command.front(), problem);
    ManagerProxy manager;
    auto acquired = authorised(manager, options.ask_password, [&] { return manager.acquire(options.request); });
    acquired.descriptors = out_of_the_way(std::move(acquired.descriptors));
    const auto descriptors = split_descriptors(acquired);
    const auto order = order_by_placeholders(options.command, options.request.count);
    const unsigned first_nic = options.nic.first_nic.value_or(order.first);
    auto words = with_placeholders(options.command, acquired.grant, descriptors, first_nic);
    warn(lost);
    if (for_any_program && !order.is_certain && !options.nic.first_nic)
        warn(order_warning(first_nic, acquired.grant.taps.front().name));
    if (!for_any_program)
        words = for_qemu(std::move(words), acquired.grant, descriptors, options.nic, lost ? Advice::none : Advice::all);
    if (options.request.hold == Hold::name)
        return end_like(attend(manager, acquired.grant, words));
    return become(words, acquired.descriptors);
}

int perform(const RunqemuOptions &options)
{
    const std::string runqemu = "runqemu";
    if (const int problem = command_problem(runqemu); problem != 0)
        return report_command(runqemu, problem);
    ManagerProxy manager;
    const auto acquired = authorised(manager, options.ask_password, [&] { return manager.acquire(options.request); });
    auto further = with_further_taps(options.arguments, acquired.grant, options.nic, boot_settings(options.arguments));
    warn(further.warning);
    ::setenv("OE_TAP_NAME", tap_name_prefix(acquired.grant.taps.front()).c_str(), 1);
    further.words.insert(further.words.begin(), runqemu);
    const int end = attend(manager, acquired.grant, further.words);
    ::unlink(lock_file(acquired.grant.taps.front()).c_str());
    return end_like(end);
}

int perform(const UpOptions &options)
{
    if (options.user)
        become_user(find_user(*options.user), EnvironmentRule::login);
    ManagerProxy manager;
    // An agent would be the user's process at root's terminal.
    const bool ask_password = options.ask_password && !options.user;
    const auto acquired = authorised(manager, ask_password, [&] { return manager.acquire(options.request); });
    // From here on the lease outlives us: either its holder is told of it, or it is released.
    const SignalsHeld until_told;
    try {
        print(formatted(acquired.grant, options.format, options.nic));
    } catch (...) {
        manager.release(acquired.grant.lease);
        throw;
    }
    return EXIT_SUCCESS;
}

int perform(const DownOptions &options)
{
    ManagerProxy manager;
    const bool root = ::geteuid() == 0;
    const auto leases = manager.list(root && !options.all);
    // All names are understood before anything ends.
    std::set<std::string> ending;
    for (const auto &lease : leases)
        if (options.all)
            ending.insert(lease.lease);
    for (const auto &name : options.names) {
        try {
            ending.insert((root ? resolve_for_root(leases, ::geteuid(), name) : resolve(leases, name)).lease);
        } catch (const TapError &error) {
            // Another user's lease can only be named by its id; whether we may end it, the daemon says.
            if (error.code() != ErrorCode::no_such_lease || !is_lease_id(name))
                throw;
            ending.insert(name);
        }
    }
    manager.release_all({ending.begin(), ending.end()});
    return EXIT_SUCCESS;
}

int perform(const ListOptions &options)
{
    ManagerProxy manager;
    const auto leases = authorised(manager, options.ask_password, [&] { return manager.list(options.all); });
    print(options.json ? list_as_json(leases) : list_as_text(leases));
    return EXIT_SUCCESS;
}

int perform(const ArgsOptions &options)
{
    const auto leases = ManagerProxy{}.list(false);
    const auto &lease = resolve(leases, options.name);
    if (lease.hold == Hold::fd)
        throw TapError{ErrorCode::invalid_argument,
                       "lease " + lease.lease +
                           " is held by descriptors of the program that runs with it; there are "
                           "no arguments for another one"};
    print(formatted(lease, options.format, options.nic));
    return EXIT_SUCCESS;
}

} // namespace qemutap
