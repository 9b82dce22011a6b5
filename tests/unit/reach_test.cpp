// SPDX-License-Identifier: MIT
//
// The words added to a command reach the QEMU in it, or a text says what to do.

#include "client/vmm/reach.hpp"

#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

std::string problem(const Words &command)
{
    return reach_problem(command, look_at(command)).value_or(ReachProblem{}).text;
}

const std::string start = "cd D && exec qemu-system-x86_64 -m 512";
const std::string start_with_all = start + " \"$@\"";

} // namespace

TEST_CASE("reach: words reach QEMU itself, a script in a file, and programs that start these")
{
    for (const auto &command :
         {Words{"qemu-system-x86_64", "-name", "sh", "-cpu", "host"}, Words{"./boot.sh"},
          Words{"sh", "./boot.sh", "-c"}, Words{"bash", "-e", "./boot.sh"}, Words{"env", "A=b", "qemu-system-arm"},
          Words{"make", "run"}, Words{"flock", "lock", "qemu-system-x86_64", "-cpu", "host"},
          Words{"taskset", "-c", "0", "./boot.sh"}, Words{"unshare", "--net", "qemu-system-x86_64"}, Words{"sh"},
          Words{"sh", "-c"}, Words{"su", "alice"}})
        CHECK(problem(command) == "");
}

TEST_CASE("reach: a script given as an argument that does not pass its arguments on loses the added words")
{
    for (const auto &command :
         {Words{"sh", "-c", start}, Words{"/bin/bash", "-lc", start}, Words{"bash", "-o", "pipefail", "-c", start},
          Words{"bash", "-euo", "pipefail", "-c", start}, Words{"bash", "-c", "-e", start},
          Words{"bash", "--norc", "-c", start}, Words{"sh", "-c", start, "sh"},
          Words{"env", "A=b", "dash", "-c", start}, Words{"timeout", "60", "sh", "-ec", start},
          Words{"su", "-", "alice", "-c", start}, Words{"runuser", "-u", "alice", "--command", start},
          Words{"sh", "-c", "./boot.sh"}}) {
        CAPTURE(command);
        CHECK(contains(problem(command), "\"$@\""));
        CHECK(contains(problem(command), "{fds0}"));
        CHECK_FALSE(contains(problem(command), "\n"));
    }
}

TEST_CASE("reach: a script that passes its arguments on needs a name before them")
{
    CHECK(problem({"sh", "-c", start_with_all, "sh"}) == "");
    CHECK(problem({"sh", "-c", start + " $*", "sh"}) == "");
    CHECK(problem({"bash", "-c", start + " \"${@}\"", "x", "-snapshot"}) == "");
    CHECK(problem({"sh", "-c", "exec \"$0\" \"$@\"", "qemu-system-x86_64"}) == "");
    CHECK(problem({"sh", "-c", "exec qemu-kvm -m 512 \"$0\" \"$@\""}) == "");
    CHECK(problem({"fish", "-c", "qemu-kvm $argv"}) == "");
}

TEST_CASE("reach: a script that names QEMU is distinguished from one that may need no tap")
{
    const auto names_qemu = [](const std::string &script) {
        const Words command{"sh", "-c", script};
        return reach_problem(command, look_at(command)).value().names_qemu;
    };
    CHECK(names_qemu(start));
    CHECK(names_qemu("/usr/libexec/qemu-kvm -m 512"));
    CHECK_FALSE(names_qemu("./boot.sh"));
}

TEST_CASE("reach: without that name the first added word would be taken for it")
{
    CHECK(contains(problem({"sh", "-c", start_with_all}), "put a name behind it"));
}

TEST_CASE("reach: some programs pass no arguments to their script, whatever the script does with them")
{
    for (const auto &command : {Words{"flock", "lock", "-c", start_with_all},
                                Words{"script", "-qc", start_with_all, "log"}, Words{"sg", "kvm", "-c", start}}) {
        CAPTURE(command);
        CHECK(contains(problem(command), "{fds0}"));
        CHECK_FALSE(contains(problem(command), "put a name"));
    }
}
