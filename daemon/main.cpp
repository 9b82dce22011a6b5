// SPDX-License-Identifier: MIT
//
// qemu-tapd: options, one of two tasks, an exit status.

#include "common/error.hpp"
#include "common/quote.hpp"
#include "daemon/daemon.hpp"
#include "daemon/log.hpp"
#include "daemon/machine.hpp"
#include "daemon/options.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace qemutap {

namespace {

// Without the bus: for the package's removal, and for whoever stopped the service for good.
int end_leases(const DaemonOptions &options)
{
    Tun tun;
    Links links;
    SkipFiles marks{options.runqemu_locks, [](const std::string &problem) { log_warning(problem); }};
    TapService service{AddressPlan{options.plan, machine_byte()}, options.limits, tun, links, marks, new_lease_id, now};
    for (const auto &lease : service.leases({}))
        service.release(lease.lease);
    for (const auto &[name, tag] : service.sweep())
        std::printf("ended: %s lease %s uid %u\n", quote(name).c_str(), tag.lease.c_str(), tag.uid);
    service.restore_marks();
    marks.remove_directory();
    return 0;
}

int serve(const DaemonOptions &options, const Daemon::ReadOptions &read_options)
{
    Daemon daemon{options, read_options};
    const int status = daemon.run();
    // All is done: what a connection meets as it closes (sdbus-c++ 1.2 throws that out of its destructor) is a failure,
    // but nothing to dump core for.
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
