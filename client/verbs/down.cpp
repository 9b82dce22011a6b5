// SPDX-License-Identifier: MIT
//
// Looks names up among the leases that the caller may see. The daemon decides which of them the caller may end.

#include "client/verbs/down.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/verbs/resolve.hpp"
#include "common/error.hpp"
#include "contract/grant.hpp"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <cstdlib>
#include <set>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        app.add_option("NAME", given_.names, "A lease, a label or a tap");
        app.add_flag("--all", given_.all, "All leases of yours");
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> /*rest*/) const override
    {
        if (given_.all == !given_.names.empty())
            throw TapError{ErrorCode::invalid_argument,
                           "down needs a lease, a label or a tap; or --all and none of them"};
        return std::make_unique<CallWith<DownOptions>>(given_);
    }

private:
    DownOptions given_;
};

std::string lease_named(const std::vector<LeaseGrant> &leases, const std::string &name)
{
    try {
        return (::geteuid() == 0 ? resolve_for_root(leases, ::geteuid(), name) : resolve(leases, name)).lease;
    } catch (const TapError &error) {
        // An ordinary user's list has no leases of other users. The daemon gets an unlisted id all the same, and asks
        // polkit.
        if (error.code() != ErrorCode::no_such_lease || !is_lease_id(name))
            throw;
        return name;
    }
}

} // namespace

constinit const Verb down_verb{
    .name = "down", .summary = "End leases", .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> {
        return std::make_unique<Declared>(app);
    }};

int perform(const DownOptions &options)
{
    ManagerProxy manager;
    const auto leases = manager.list(::geteuid() == 0 && !options.all);
    std::set<std::string> ending;
    for (const auto &lease : leases)
        if (options.all)
            ending.insert(lease.lease);
    for (const auto &name : options.names)
        ending.insert(lease_named(leases, name));
    manager.release_all({ending.begin(), ending.end()});
    return EXIT_SUCCESS;
}

} // namespace qemutap
