// SPDX-License-Identifier: MIT
//
// The lease outlives this program, so the program releases it if its description does not reach the caller.

#include "client/verbs/up.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_retry.hpp"
#include "client/launch/become_user.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/result.hpp"
#include "contract/hold.hpp"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdlib>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        words_.add_common(app);
        words_.add_nic(app);
        app.add_option("--idle-timeout", words_.idle_timeout, "End the lease when no program has it open for so long");
        app.add_option("--user", user_, "Get them as this user; for root only");
        words_.add_format(app, Format::text);
        app.add_flag("--json", json_, "The same as --format json");
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> /*rest*/) const override
    {
        return std::make_unique<CallWith<UpOptions>>(
            UpOptions{.request = words_.request(Hold::name),
                      .nic = words_.nic(),
                      .ask_password = words_.ask_password,
                      .user = user_,
                      .format = json_ ? Format::json : words_.chosen_format()});
    }

private:
    LeaseOptions words_;
    std::optional<std::string> user_;
    bool json_ = false;
};

// As long as the object exists, signals that would end this program stay pending. From its construction on, a write to
// a closed pipe fails with an error instead of raising SIGPIPE.
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

} // namespace

constinit const Verb up_verb{
    .name = "up",
    .summary = "Get taps and print what to start QEMU with",
    .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> { return std::make_unique<Declared>(app); }};

int perform(const UpOptions &options)
{
    if (options.user)
        become_user(find_user(*options.user), EnvironmentRule::login);
    ManagerProxy manager;
    // polkit's password agent would run as the user at root's terminal.
    const bool ask_password = options.ask_password && !options.user;
    const auto acquired = with_password_retry(manager, ask_password, [&] { return manager.acquire(options.request); });
    const SignalsHeld until_printed;
    try {
        print_result(formatted(acquired.grant, options.format, options.nic));
    } catch (...) {
        manager.release(acquired.grant.lease);
        throw;
    }
    return EXIT_SUCCESS;
}

} // namespace qemutap
