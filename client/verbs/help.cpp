// SPDX-License-Identifier: MIT
//
// Opens one manual page that describes all verbs. Containers often have neither man(1) nor pages, so --help is the
// alternative.

#include "client/verbs/help.hpp"

#include "client/launch/launch.hpp"
#include "client/verbs/command_line.hpp"
#include "client/verbs/result.hpp"
#include "common/unique_fd.hpp"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace qemutap {

namespace {

class Declared final : public VerbOptions {
public:
    explicit Declared(CLI::App &app) { app.add_option("VERB", given_.verb, "A verb of qemu-tapctl"); }

    std::unique_ptr<VerbCall> read(std::vector<std::string> /*rest*/) const override
    {
        help_text(given_.verb); // throws for an unknown verb
        return std::make_unique<CallWith<HelpOptions>>(given_);
    }

private:
    HelpOptions given_;
};

// `man -w` only looks for the page.
bool has_page()
{
    const pid_t child = ::fork();
    if (child == 0) {
        const UniqueFd nowhere{::open("/dev/null", O_RDWR | O_CLOEXEC)};
        ::dup2(nowhere.get(), STDOUT_FILENO);
        ::dup2(nowhere.get(), STDERR_FILENO);
        ::execlp("man", "man", "-w", "1", "qemu-tapctl", nullptr);
        ::_exit(EXIT_FAILURE);
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace

constinit const Verb help_verb{
    .name = "help", .summary = "Open the manual page", .declare = [](CLI::App &app) -> std::unique_ptr<VerbOptions> {
        return std::make_unique<Declared>(app);
    }};

int perform(const HelpOptions &options)
{
    if (has_page())
        return become({"man", "1", "qemu-tapctl"}, {});
    warn("the manual page can't be shown: man(1) or the page qemu-tapctl(1) is not installed. The text of --help "
         "follows");
    print_result(help_text(options.verb));
    return EXIT_SUCCESS;
}

} // namespace qemutap
