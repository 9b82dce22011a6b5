// SPDX-License-Identifier: MIT
//
// The configuration file, read without a command line. tests/unit/daemon_options_test.cpp has what the daemon's options
// make of the same lines.

#include "plan/configuration.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

using namespace qemutap;

namespace {

ServiceSettings settings_in(const std::string &text)
{
    auto path = (std::filesystem::temp_directory_path() / "qemu-tapd-test-XXXXXX").string();
    const int descriptor = ::mkstemp(path.data());
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    std::ofstream{path} << text;
    struct Removal {
        std::string path;
        ~Removal() { std::filesystem::remove(path); }
    } removal{path};
    return read_settings(path);
}

std::string refusal_of(const std::string &text)
{
    return tap_error_of([&] { settings_in(text); }).what();
}

} // namespace

TEST_CASE("configuration: lines of one key are one item, and comments are none")
{
    std::istringstream lines{
        "# taps\n\nexclude = 10.8.0.0/16\n; more\npool=10.0.0.0/8\r\nexclude =\t10.9.0.0/16 10.7.0.0/16\n"
        "user =\n"};
    const auto items = parse_configuration(lines);
    REQUIRE(items.size() == 3);
    CHECK(items[0].key == "exclude");
    CHECK(items[0].words == Words{"10.8.0.0/16", "10.9.0.0/16", "10.7.0.0/16"});
    CHECK(items[1].words == Words{"10.0.0.0/8"});
    CHECK(items[2].words == Words{""});
}

TEST_CASE("configuration: every shared setting is read, and the daemon's own are passed over")
{
    const auto settings =
        settings_in("pool = 10.0.0.0/8\nprefix-length = 30\nfirst-index = 100\ndevice-prefix = vmtap\n"
                    "exclude = 10.9.0.0/16\nreserve = 4242 web 142\nmax-taps-per-user = 5\n"
                    "max-taps = 50\nlog-level = debug\nidle-exit = 12\nuser = vmnet\n");
    CHECK(settings.plan.pool.text() == "10.0.0.0/8");
    CHECK(settings.plan.prefix_length == 30);
    CHECK(settings.plan.first_index == 100);
    CHECK(settings.plan.device_prefix == "vmtap");
    REQUIRE(settings.plan.exclusions.size() == 1);
    CHECK(settings.plan.exclusions.front().text() == "10.9.0.0/16");
    CHECK(settings.plan.reservations ==
          std::vector<Reservation>{{.user = "4242", .uid = 4242, .label = "web", .index = 142}});
    CHECK(settings.limits.max_taps_per_user == 5);
    CHECK(settings.limits.max_taps == 50);
}

TEST_CASE("configuration: without a file the defaults hold")
{
    CHECK(setting_differences(read_settings("/nonexistent/qemu-tapd.conf"), {}).empty());
}

TEST_CASE("configuration: a file that is no file is refused by name")
{
    const std::string text = tap_error_of([] { read_settings("/dev"); }).what();
    CHECK(text == "can't read the configuration file /dev: it is no regular file");
}

TEST_CASE("configuration: an error names the line or the key")
{
    CHECK(refusal_of("pool 10.0.0.0/8\n") == "line \"pool 10.0.0.0/8\" is no `key = value`");
    CHECK(refusal_of("reserve = root web\n") ==
          "line \"reserve = root web\": reserve is a user or uid, a label and an index, such as alice web 42");
    CHECK(refusal_of("max_taps = 5\n") == "there is no setting \"max_taps\"");
    CHECK(refusal_of("max-taps = 5\nmax-taps = 6\n") == "max-taps takes one value, and is given once");
    CHECK(refusal_of("max-taps = many\n") == "max-taps \"many\" is no whole number");
    CHECK(refusal_of("pool = all\n") == "pool \"all\" is no IPv4 prefix such as 192.168.0.0/16");
}

TEST_CASE("configuration: the text of each setting is the value that the file would have")
{
    ServiceSettings settings;
    settings.plan.reservations = {{.user = "4242", .uid = 4242, .label = "web", .index = 42}};
    std::string text;
    for (const auto &row : setting_rows())
        for (const auto &value : row.values(settings))
            text += std::string{row.key} + " = " + value + "\n";
    CHECK(setting_differences(settings_in(text), settings).empty());
}
