// SPDX-License-Identifier: MIT
//
// runqemu looks for a tap whose name begins with OE_TAP_NAME. It takes further NICs by qemuparams= and bootparams=.

#include "client/verbs/runqemu.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_retry.hpp"
#include "client/launch/boot_settings.hpp"
#include "client/launch/launch.hpp"
#include "client/launch/supervisor.hpp"
#include "client/verbs/attended.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/result.hpp"
#include "client/vmm/runqemu.hpp"
#include "common/error.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        app.footer("Then: ARG... of runqemu, or -- ARG...");
        words_.add_common(app);
        words_.add_device(app, "");
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> arguments) const override
    {
        require_tap_network(arguments);
        auto request = words_.request(Hold::name);
        request.attended = true;
        request.profile = Profile::runqemu;
        return std::make_unique<CallWith<RunqemuOptions>>(RunqemuOptions{.request = std::move(request),
                                                                         .nic = words_.nic(""),
                                                                         .ask_password = words_.ask_password,
                                                                         .arguments = std::move(arguments)});
    }

private:
    LeaseOptions words_;
};

} // namespace

constinit const Verb runqemu_verb{
    .name = "runqemu",
    .summary = "Start Yocto's runqemu with taps that are gone when it ends",
    .rest = Rest::arguments,
    .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> { return std::make_unique<Declared>(app); }};

int perform(const RunqemuOptions &options)
{
    const std::string runqemu = "runqemu";
    if (const int problem = command_problem(runqemu); problem != 0)
        return report_command(runqemu, problem);
    if (const auto problem = runqemu_problem(script_text(runqemu).value_or("")))
        return report_command(runqemu, exit_status_not_executable, *problem);
    ManagerProxy manager;
    const auto acquired =
        with_password_retry(manager, options.ask_password, [&] { return manager.acquire(options.request); });
    const auto &first = acquired.grant.taps.front();
    auto further = with_further_taps(options.arguments, acquired.grant, options.nic, boot_settings(options.arguments));
    warn(further.warning);
    ::setenv("OE_TAP_NAME", tap_name_prefix(first).c_str(), 1);
    further.words.insert(further.words.begin(), runqemu);
    const int end = run_attended(manager, acquired.grant, further.words);
    ::unlink(lock_file(first).c_str());
    return end_like(end);
}

} // namespace qemutap
