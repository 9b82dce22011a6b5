// SPDX-License-Identifier: MIT
//
// Refuses a lease that a program holds by descriptors: a second program can't use these, so it has no arguments to
// print.

#include "client/verbs/args.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/resolve.hpp"
#include "client/verbs/result.hpp"
#include "common/error.hpp"
#include "contract/hold.hpp"

#include <CLI/CLI.hpp>

#include <cstdlib>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        app.add_option("NAME", name_, "A lease or a label")->required();
        words_.add_device(app);
        words_.add_format(app, Format::qemu);
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> /*rest*/) const override
    {
        return std::make_unique<CallWith<ArgsOptions>>(
            ArgsOptions{.name = name_, .nic = words_.nic(), .format = words_.chosen_format()});
    }

private:
    LeaseOptions words_;
    std::string name_;
};

} // namespace

constinit const Verb args_verb{
    .name = "args",
    .summary = "Print again what to start QEMU with",
    .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> { return std::make_unique<Declared>(app); }};

int perform(const ArgsOptions &options)
{
    const auto leases = ManagerProxy{}.list(false);
    const auto &lease = resolve(leases, options.name);
    if (rule_of(lease.hold).gives_descriptors)
        throw TapError{ErrorCode::invalid_argument, "the program that runs with lease " + lease.lease +
                                                        " holds it by descriptors: no other program can use its taps"};
    print_result(formatted(lease, options.format, options.nic));
    return EXIT_SUCCESS;
}

} // namespace qemutap
