// SPDX-License-Identifier: MIT
//
// The options that QEMU and libvirt pass to their bridge helper are read into a socket and a label, or refused in one
// line that names the mistake.

#include "client/programs/tap_helper/options.hpp"

#include "common/error.hpp"
#include "config.h"
#include "tests/catch.hpp"
#include "tests/unit/command_line.hpp"
#include "tests/unit/outcome.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

std::optional<HelperOptions> parse(const Words &words)
{
    const CommandLine line{"qemu-tap-helper", words};
    return parse_helper_options(line.argc(), line.argv());
}

void check_parsed(const Words &words, int socket, const std::string &label)
{
    const auto options = parse(words);
    CAPTURE(words);
    REQUIRE(options.has_value());
    CHECK(options->socket == socket);
    CHECK(options->label == label);
}

void check_refused(const Words &words, const std::string &part)
{
    CAPTURE(words);
    const auto error = tap_error_of([&] { parse(words); });
    const std::string text = error.what();
    CAPTURE(text, part);
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(contains(text, part));
    CHECK_FALSE(contains(text, "\n"));
}

} // namespace

TEST_CASE("helper options: the orders of QEMU and libvirt are accepted", "[helper]")
{
    check_parsed({"--use-vnet", "--fd=7", "--br=web"}, 7, "web");
    check_parsed({"--use-vnet", "--br=web", "--fd=27"}, 27, "web");
    check_parsed({"--br=web", "--use-vnet", "--fd=3"}, 3, "web");
    check_parsed({"--br=web", "--fd=0"}, 0, "web");
}

TEST_CASE("helper options: a bridge is a label, and QEMU's default bridge is none", "[helper]")
{
    check_parsed({"--use-vnet", "--fd=7", "--br=br0"}, 7, "");
    check_parsed({"--use-vnet", "--fd=7"}, 7, "");
    check_parsed({"--fd=7", "--br=br00"}, 7, "br00");
    check_parsed({"--fd=7", "--br=virbr0"}, 7, "virbr0");
    check_parsed({"--fd=7", "--br=a.b_c:d@e+f-9"}, 7, "a.b_c:d@e+f-9");
    check_parsed({"--fd=7", "--br=" + std::string(63, 'x')}, 7, std::string(63, 'x'));
    check_refused({"--fd=7", "--br=" + std::string(64, 'x')}, "label");
    check_refused({"--fd=7", "--br=two words"}, "two words");
    check_refused({"--fd=7", "--br=-web"}, "\"-web\"");
    check_refused({"--fd=7", "--br=a\nb"}, "label");
}

TEST_CASE("helper options: a request for more than one descriptor is refused", "[helper]")
{
    for (const std::string bridge : {"web,queues=2", "web,queues=1", "web,count=2", "web,", ",", "br0,vhost=on"}) {
        check_refused({"--fd=7", "--br=" + bridge}, "one tap with one queue");
        check_refused({"--fd=7", "--br=" + bridge}, "qemu-tapctl run");
    }
}

TEST_CASE("helper options: a descriptor is a number", "[helper]")
{
    check_parsed({"--fd=2147483647"}, 2147483647, "");
    check_refused({"--fd=2147483648"}, "2147483648");
    check_refused({"--fd=4294967296"}, "4294967296");
    for (const std::string number : {"-1", "07", "0x7", "7 ", "seven", "7,8"})
        check_refused({"--fd=" + number}, "--fd");
    check_refused({"--fd="}, "--fd");
    check_refused({"--use-vnet", "--br=web"}, "--fd");
    check_refused({}, "--fd");
}

TEST_CASE("helper options: options of another protocol are refused", "[helper]")
{
    check_refused({"--fd=7", "--br=web", "--queues=2"}, "--queues");
    check_refused({"--fd=7", "--br=web", "web"}, "web");
    check_refused({"--fd=7", "--fd=8"}, "--fd");
    check_refused({"--fd=7", "--br=a", "--br=b"}, "--br");
}

TEST_CASE("helper options: with --help or --version nothing else is done", "[helper]")
{
    const auto help = captured([] { return parse({"--help"}); });
    CHECK_FALSE(help.result.has_value());
    CHECK(contains(help.text, "--use-vnet"));
    const auto version = captured([] { return parse({"--version"}); });
    CHECK_FALSE(version.result.has_value());
    CHECK(version.text == std::string{"qemu-tap-helper "} + QEMU_TAPCTL_VERSION + "\n");
}
