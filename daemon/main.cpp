// SPDX-License-Identifier: MIT
//
// The main program of qemu-tapd: it reads the options, runs one of two tasks and returns an exit status.

#include "common/error.hpp"
#include "common/quote.hpp"
#include "daemon/daemon.hpp"
#include "daemon/log.hpp"
#include "daemon/machine.hpp"
#include "daemon/options.hpp"
#include "daemon/privileges.hpp"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace qemutap {

namespace {

// Ends all leases without the bus: for the removal of the package, and for an administrator who stopped the service for
// good.
int end_leases(const DaemonOptions &options)
{
    Tun tun;
    Links links;
    SkipFiles marks{options.runqemu_locks, [](const std::string &problem) { log_warning(problem); },
                    uid_of(options.user.name).value_or(0), options.runqemu_locks_at};
    TapService service{AddressPlan{options.plan, machine_byte()}, options.limits, tun, links, marks, new_lease_id, now};
    for (const auto &lease : service.leases({}))
        service.release(lease.lease);
    for (const auto &ended : service.sweep())
        std::printf("ended: %s lease %s uid %u\n", quote(ended.name).c_str(), ended.tag.lease.c_str(), ended.tag.uid);
    service.restore_marks();
    marks.remove_directory();
    return 0;
}

// Gives up root before the service reads its first message. By then it has read and made everything that only root can
// read or make.
void give_up_root(const DaemonOptions &options)
{
    const auto choice = look_at_root(options.user);
    if (!choice.warning.empty())
        log_warning(choice.warning);
    if (choice.give_up) {
        // Do not log problems here: the service checks the directory at its start and reports them.
        SkipFiles{options.runqemu_locks, [](const std::string &) {}, ::geteuid(), options.runqemu_locks_at}.hand_over();
        become_service_user(options.user.name);
    } else {
        drop_capabilities();
    }
    if (const auto warning = refuse_system_calls(); !warning.empty())
        log_warning(warning);
}

// Fixes the size from which glibc returns freed blocks to the kernel. Otherwise glibc raises this threshold to the
// largest block that was ever freed, and keeps smaller ones: after one message of 30 MiB the service would keep 30 MiB
// for good.
void give_large_blocks_back()
{
    constexpr int large_bytes = 1 << 20;
    ::mallopt(M_MMAP_THRESHOLD, large_bytes);
}

int serve(const DaemonOptions &options, const Daemon::ReadOptions &read_options)
{
    give_up_root(options);
    give_large_blocks_back();
    Daemon daemon{options, read_options};
    const int status = daemon.run();
    // All work is done. If the connection fails while it closes, sdbus-c++ 1.2 throws that out of its destructor: exit
    // with a failure, but do not dump core.
    std::set_terminate([] { std::_Exit(exit_status(ErrorCode::failed)); });
    return status;
}

int perform(const DaemonOptions &options, const Daemon::ReadOptions &read_options)
{
    open_log(options.log_level);
    return options.end_leases ? end_leases(options) : serve(options, read_options);
}

} // namespace

} // namespace qemutap

int main(int argc, char **argv)
{
    using namespace qemutap;
    try {
        const auto options = parse_daemon_options(argc, argv);
        return options ? perform(*options, [=] { return parse_daemon_options(argc, argv).value(); }) : 0;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tapd: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tapd: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
