// SPDX-License-Identifier: MIT
//
// Prints one line for each tap, or JSON.

#include "client/verbs/list.hpp"

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_retry.hpp"
#include "client/show/output.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/result.hpp"

#include <CLI/CLI.hpp>

#include <cstdlib>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app)
    {
        app.add_flag("--all", options_.all, "Everyone's");
        app.add_flag("--json", options_.json, "As JSON");
        add_no_ask_password(app, options_.ask_password);
    }

    std::unique_ptr<VerbCall> read(std::vector<std::string> /*rest*/) const override
    {
        return std::make_unique<CallWith<ListOptions>>(options_);
    }

private:
    ListOptions options_;
};

} // namespace

constinit const Verb list_verb{
    .name = "list", .summary = "Show leases", .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> {
        return std::make_unique<Declared>(app);
    }};

int perform(const ListOptions &options)
{
    ManagerProxy manager;
    const auto leases = with_password_retry(manager, options.ask_password, [&] { return manager.list(options.all); });
    print_result(options.json ? list_as_json(leases) : list_as_text(leases));
    return EXIT_SUCCESS;
}

} // namespace qemutap
