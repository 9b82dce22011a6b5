// SPDX-License-Identifier: MIT
//
// The daemon's options mean the same on the command line and in the configuration file. An invalid one stops the daemon
// before it starts.

#include "daemon/options.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "config.h"
#include "plan/address_plan.hpp"
#include "tests/catch.hpp"
#include "tests/unit/command_line.hpp"
#include "tests/unit/outcome.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

// A test directory that is removed with the object; write() makes the configuration file in it.
class Configuration {
public:
    Configuration()
    {
        auto pattern = (std::filesystem::temp_directory_path() / "qemu-tapd-test-XXXXXX").string();
        if (!::mkdtemp(pattern.data()))
            throw std::runtime_error{"can't make a temporary directory"};
        directory_ = pattern;
    }
    explicit Configuration(const std::string &text)
        : Configuration()
    {
        std::ofstream{path()} << text;
    }
    Configuration(const Configuration &) = delete;
    Configuration &operator=(const Configuration &) = delete;
    ~Configuration() { std::filesystem::remove_all(directory_); }

    std::string path() const { return directory_ / "qemu-tapd.conf"; }

private:
    std::filesystem::path directory_;
};

std::optional<DaemonOptions> parse(const Words &words, const std::string &default_config)
{
    const CommandLine line{"qemu-tapd", words};
    return parse_daemon_options(line.argc(), line.argv(), default_config);
}

// The options of these words without a file.
DaemonOptions from_words(const Words &words)
{
    return parse(words, Configuration{}.path()).value();
}

// The options of this file without words on the command line.
DaemonOptions from_file(const std::string &text)
{
    return parse({}, Configuration{text}.path()).value();
}

std::string texts_of(const std::vector<Ipv4Prefix> &prefixes)
{
    std::string text;
    for (const auto &prefix : prefixes)
        text += (text.empty() ? "" : " ") + prefix.text();
    return text;
}

// Expects an invalid argument with `part` in its text, which is one line.
template <typename Call>
void check_refused(Call call, const std::string &part)
{
    const auto error = tap_error_of(call);
    const std::string text = error.what();
    CAPTURE(text, part);
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(contains(text, part));
    CHECK_FALSE(contains(text, "\n"));
}

// Expects that a value of a key is refused both as an option and as a line of the file.
void check_value_refused(const std::string &key, const std::string &value)
{
    CAPTURE(key, value);
    check_refused([&] { from_words({"--" + key, value}); }, key);
    check_refused([&] { from_file(key + " = " + value + "\n"); }, key);
}

const std::vector<std::pair<std::string, std::string>> every_option{
    {"pool", "10.0.0.0/8"},     {"prefix-length", "30"},    {"first-index", "100"}, {"device-prefix", "vmtap"},
    {"exclude", "10.9.0.0/16"}, {"max-taps-per-user", "5"}, {"max-taps", "50"},     {"log-level", "debug"},
    {"idle-exit", "12"},        {"user", "vmnet"},
};

void check_every_option(const DaemonOptions &options)
{
    CHECK(options.plan.pool.text() == "10.0.0.0/8");
    CHECK(options.plan.prefix_length == 30);
    CHECK(options.plan.first_index == 100);
    CHECK(options.plan.device_prefix == "vmtap");
    CHECK(texts_of(options.plan.exclusions) == "10.9.0.0/16");
    CHECK(options.limits.max_taps_per_user == 5);
    CHECK(options.limits.max_taps == 50);
    CHECK(options.user.name == "vmnet");
    CHECK(options.user.demanded);
    CHECK(options.log_level == "debug");
    CHECK(options.idle_exit_seconds == 12);
}

} // namespace

TEST_CASE("daemon options: without words and a file the documented defaults apply")
{
    CHECK(std::string{default_config_path} == "/etc/qemu-tapd.conf");
    const auto options = from_words({});
    CHECK(options.plan.pool.text() == "192.168.0.0/16");
    CHECK(options.plan.prefix_length == 24);
    CHECK(options.plan.first_index == 7);
    CHECK(options.plan.device_prefix == "tap");
    CHECK(texts_of(options.plan.exclusions) == "192.168.7.0/24 192.168.122.0/24");
    CHECK(options.limits.max_taps_per_user == 32);
    CHECK(options.limits.max_taps == 4096);
    CHECK(options.log_level == "info");
    CHECK(options.runqemu_locks == "/tmp/qemu-tap-locks");
}

TEST_CASE("daemon options: runqemu's directory is an absolute path, and only an option of the command line")
{
    CHECK(from_words({"--runqemu-locks", "/run/locks"}).runqemu_locks == "/run/locks");
    for (const std::string path : {"locks", "", "./locks"})
        check_refused([&] { from_words({"--runqemu-locks=" + path}); }, "runqemu-locks");
    check_refused([] { from_file("runqemu-locks = /run/locks\n"); }, "runqemu-locks");
    CHECK(from_words({"--runqemu-locks-at", "/run/locks"}).runqemu_locks_at == "/run/locks");
    check_refused([] { from_words({"--runqemu-locks-at=locks"}); }, "runqemu-locks-at");
}

TEST_CASE("daemon options: every option is read from the command line")
{
    Words words;
    for (const auto &[key, value] : every_option)
        words.insert(words.end(), {"--" + key, value});
    check_every_option(from_words(words));
}

TEST_CASE("daemon options: every option is read from the file by the same name")
{
    std::string text;
    for (const auto &[key, value] : every_option)
        text += key + " = " + value + "\n";
    check_every_option(from_file(text));
}

TEST_CASE("daemon options: the command line wins over the file, whose other settings still apply")
{
    const Configuration file{"max-taps = 50\nprefix-length = 30\nexclude = 10.9.0.0/16\n"};
    const auto options = parse({"--max-taps", "60", "--exclude", "10.8.0.0/16"}, file.path()).value();
    CHECK(options.limits.max_taps == 60);
    CHECK(options.plan.prefix_length == 30);
    CHECK(texts_of(options.plan.exclusions) == "10.8.0.0/16");
}

TEST_CASE("daemon options: a file named by --config is read instead of the default one")
{
    const Configuration by_default{"max-taps = 50\nmax-taps-per-user = 5\n"};
    const Configuration named{"max-taps = 60\n"};
    const auto options = parse({"--config", named.path()}, by_default.path()).value();
    CHECK(options.limits.max_taps == 60);
    CHECK(options.limits.max_taps_per_user == 32);
}

TEST_CASE("daemon options: a missing file named by --config is an error that names it")
{
    const Configuration absent;
    check_refused([&] { parse({"--config", absent.path()}, absent.path()); }, absent.path());
}

TEST_CASE("daemon options: an empty file, comments and blank lines are accepted")
{
    CHECK(from_file("").limits.max_taps == 4096);
    CHECK(from_file("# taps\n\n   # more\nmax-taps = 50\n\n").limits.max_taps == 50);
    CHECK(from_file("max-taps=50").limits.max_taps == 50);
}

TEST_CASE("daemon options: a line of the file that is not `key = value` is refused and quoted")
{
    for (const std::string line :
         {"x", "pool", "= 5", "[taps]", "[]", "\"pool\" = 10.0.0.0/8", ".pool = 10.0.0.0/8", ". = 1", ".00/29",
          "-- = 1", "++ = 1", "-pool = 10.0.0.0/8", "pool 10.0.0.0/8", "max taps = 50", "'''", "Pool = 10.0.0.0/8"}) {
        check_refused([&] { from_file(line + "\n"); }, "no `key = value`");
        check_refused([&] { from_file("max-taps = 50\n" + line); }, "no `key = value`");
    }
}

TEST_CASE("daemon options: values in the file are taken literally, without the white space around them")
{
    CHECK(from_file("\t max-taps \t=\t 50 \r\n").limits.max_taps == 50);
    CHECK(texts_of(from_file("exclude = 10.8.0.0/16\t 10.9.0.0/16\r\n").plan.exclusions) == "10.8.0.0/16 10.9.0.0/16");
    check_refused([] { from_file("log-level = \"error\"\n"); }, "log-level");
    check_refused([] { from_file("max-taps = 50 # taps\n"); }, "max-taps");
    check_refused([] { from_file("exclude = [10.8.0.0/16, 10.9.0.0/16]\n"); }, "exclude");
}

TEST_CASE("daemon options: an error repeats no control character of the file")
{
    const std::string text = tap_error_of([] { from_file("log-level = \x1b[31m\x01\n"); }).what();
    CHECK(text.find_first_of("\x1b\x01") == std::string::npos);
}

TEST_CASE("daemon options: --exclude can be given several times, and replaces the default")
{
    const auto options = from_words({"--exclude", "10.8.0.0/16", "--max-taps", "50", "--exclude", "10.9.0.0/16"});
    CHECK(texts_of(options.plan.exclusions) == "10.8.0.0/16 10.9.0.0/16");
}

TEST_CASE("daemon options: exclude can be given several times in the file, on adjacent lines and apart")
{
    CHECK(texts_of(from_file("exclude = 10.8.0.0/16\nexclude = 10.9.0.0/16\n").plan.exclusions) ==
          "10.8.0.0/16 10.9.0.0/16");
    CHECK(texts_of(from_file("exclude = 10.8.0.0/16\nmax-taps = 50\nexclude = 10.9.0.0/16\n").plan.exclusions) ==
          "10.8.0.0/16 10.9.0.0/16");
}

TEST_CASE("daemon options: a name that passwd(5) does not allow is refused as user, whether the host has it or not")
{
    for (const std::string name : {"", "\xc1", "vm:net", "vm\x7fnet"})
        check_value_refused("user", name);
    check_refused([] { from_words({"--user", "vm net"}); }, "user \"vm net\" is no name");
    CHECK(from_file("user = dom\\vm.net@example_1$\n").user.name == "dom\\vm.net@example_1$");
}

TEST_CASE("daemon options: reserve takes a user or uid, a label and an index, any number of times")
{
    const std::vector<Reservation> both{{.user = "root", .uid = 0, .label = "web", .index = 42},
                                        {.user = "4242", .uid = 4242, .label = "web", .index = 43}};
    CHECK(from_words({}).plan.reservations.empty());
    CHECK(from_words({"--reserve", "root", "web", "42", "--max-taps", "50", "--reserve", "4242", "web", "43"})
              .plan.reservations == both);
    CHECK(from_file("reserve = root web 42\nmax-taps = 50\n reserve\t=  4242\tweb  43 \n").plan.reservations == both);
    CHECK(parse({"--reserve", "0", "db", "8"}, Configuration{"reserve = root web 42\n"}.path())->plan.reservations ==
          std::vector<Reservation>{{.user = "0", .uid = 0, .label = "db", .index = 8}});
}

TEST_CASE("daemon options: an invalid reserve is refused, and the error quotes it")
{
    const std::vector<std::pair<Words, std::string>> cases{
        {{"no-such-user", "web", "42"}, "there is no user \"no-such-user\""},
        {{"4294967295", "web", "42"}, "there is no user \"4294967295\""},
        {{"-1", "web", "42"}, "there is no user \"-1\""},
        {{"root", ".web", "42"}, "a label is 1 to 63 bytes"},
        {{"root", std::string(64, 'x'), "42"}, "a label is 1 to 63 bytes"},
        {{"root", "web", "x"}, "index \"x\" is no whole number"},
        {{"root", "web", "042"}, "index \"042\" is no whole number"},
        {{"root", "web", "99999999999"}, "is no whole number"},
    };
    for (const auto &[words, why] : cases) {
        const auto line = "reserve = " + words[0] + " " + words[1] + " " + words[2] + "\n";
        CAPTURE(line);
        check_refused([&] { from_file(line); }, why);
        check_refused([&] { from_file(line); }, "reserve \"" + words[0] + " ");
    }
    check_refused([] { from_words({"--reserve", "root", "web", "x"}); }, "reserve \"root web x\"");
    for (const std::string value : {"", "root", "root web", "root web 42 43", "root web 42 root db 43"})
        check_refused([&] { from_file("reserve = " + value + "\nmax-taps = 50\n"); }, "reserve");
    check_refused([] { from_file("reserve = root\nreserve = web 42\n"); }, "reserve = root");
    check_refused([] { from_words({"--reserve", "root", "web"}); }, "reserve");
}

TEST_CASE("daemon options: a value given twice is refused with its key, on adjacent lines and apart")
{
    check_refused([] { from_words({"--max-taps", "50", "--max-taps", "60"}); }, "max-taps");
    check_refused([] { from_file("max-taps = 50\nmax-taps = 60\n"); }, "max-taps");
    check_refused([] { from_file("max-taps = 50\npool = 10.0.0.0/8\nmax-taps = 60\n"); }, "max-taps");
}

TEST_CASE("daemon options: an unknown key is refused by name, alone and among valid ones")
{
    check_refused([] { from_file("bogus = 1\n"); }, "bogus");
    check_refused([] { from_file("max-taps = 50\nmax_taps = 50\npool = 10.0.0.0/8\n"); }, "max_taps");
    check_refused([] { from_file("Pool = 10.0.0.0/8\n"); }, "Pool");
    check_refused([] { from_file("[limits]\nmax-taps = 50\n"); }, "limits");
}

TEST_CASE("daemon options: an unknown option and a surplus word are refused by name")
{
    check_refused([] { from_words({"--bogus"}); }, "--bogus");
    check_refused([] { from_words({"--max-tap", "5"}); }, "--max-tap");
    check_refused([] { from_words({"bogus"}); }, "bogus");
    check_refused([] { from_words({"--pool"}); }, "--pool");
}

TEST_CASE("daemon options: text that is not a number is refused with its key")
{
    for (const std::string key : {"prefix-length", "first-index", "max-taps-per-user", "max-taps", "idle-exit"})
        for (const std::string value :
             {"", "many", "1.5", "-1", "5x", "4294967296", "4294967312", "99999999999999999999"})
            check_value_refused(key, value);
}

TEST_CASE("daemon options: text that is not a prefix is refused with its key")
{
    for (const std::string key : {"pool", "exclude"})
        for (const std::string value : {"192.168.0.0", "192.168.0.0/33", "192.168.0.0/", "192.168/16", "300.0.0.0/8",
                                        "fe80::/10", "all", "/16", "192.168.0.0/-1"})
            check_value_refused(key, value);
}

TEST_CASE("daemon options: prefixes of every length from 1 to 30 are read")
{
    for (unsigned length = 1; length <= 30; ++length) {
        const auto text = "128.0.0.0/" + std::to_string(length);
        CHECK(from_words({"--pool", text}).plan.pool.text() == text);
        CHECK(from_file("prefix-length = " + std::to_string(length) + "\n").plan.prefix_length == length);
    }
}

TEST_CASE("daemon options: impossible address plans are refused before anything starts, from file and command line")
{
    for (const std::string length : {"0", "31", "32", "33", "15"}) {
        CAPTURE(length);
        check_refused([&] { AddressPlan(from_file("prefix-length = " + length + "\n").plan, 0x5a); }, "prefix");
        check_refused([&] { AddressPlan(from_words({"--prefix-length", length}).plan, 0x5a); }, "prefix");
    }
    REQUIRE_THROWS_AS(AddressPlan(from_file("pool = 192.168.8.0/24\n").plan, 0x5a), TapError);
    REQUIRE_THROWS_AS(AddressPlan(from_file("first-index = 255\n").plan, 0x5a), TapError);
}

TEST_CASE("daemon options: log levels are debug, info, warning and error; any other is refused")
{
    for (const std::string level : {"debug", "info", "warning", "error"})
        CHECK(from_words({"--log-level", level}).log_level == level);
    for (const std::string level : {"verbose", "INFO", "7"})
        check_value_refused("log-level", level);
}

TEST_CASE("daemon options: --version and --help print to stdout, and nothing else is done")
{
    const auto version = captured([] { return parse({"--version"}, default_config_path); });
    CHECK(version.result == std::nullopt);
    CHECK(version.text == std::string{"qemu-tapd "} + QEMU_TAPCTL_VERSION + "\n");
    const auto help = captured([] { return parse({"--help"}, default_config_path); });
    CHECK(help.result == std::nullopt);
    for (const auto &[key, value] : every_option)
        CHECK(contains(help.text, "--" + key));
    CHECK(contains(help.text, "--config"));
}

TEST_CASE("daemon options: --end-leases is an option of the command line and not a setting of the file")
{
    CHECK_FALSE(from_words({}).end_leases);
    CHECK(from_words({"--end-leases"}).end_leases);
    check_refused([] { from_file("end-leases = true\n"); }, "end-leases");
}

TEST_CASE("daemon options: an idle exit of 0 is not the same as none")
{
    CHECK(from_words({}).idle_exit_seconds == std::nullopt);
    CHECK(from_words({"--idle-exit", "0"}).idle_exit_seconds == 0);
}

TEST_CASE("daemon options: changes are described in words, one text for each setting")
{
    const auto before = from_words({});
    CHECK(differences(before, before).empty());
    Words words;
    for (const auto &[key, value] : every_option)
        words.insert(words.end(), {"--" + key, value});
    CHECK(differences(before, from_words(words)) ==
          Words{"pool 192.168.0.0/16 is 10.0.0.0/8 now", "prefix-length 24 is 30 now", "first-index 7 is 100 now",
                "device-prefix tap is vmtap now", "exclude 192.168.7.0/24,192.168.122.0/24 is 10.9.0.0/16 now",
                "max-taps-per-user 32 is 5 now", "max-taps 4096 is 50 now", "log-level info is debug now",
                "idle-exit unset is 12 now", "user \"qemu-tapd\" will be \"vmnet\" from the next start on"});
    CHECK(differences(from_words({"--exclude", "10.1.0.0/16", "--exclude", "10.2.0.0/16"}), before) ==
          Words{"exclude 10.1.0.0/16,10.2.0.0/16 is 192.168.7.0/24,192.168.122.0/24 now"});
    const auto reserved = from_file("reserve = root web 42\nreserve = 4242 web 43\n");
    CHECK(differences(before, reserved) == Words{"reserve nothing is root web 42,4242 web 43 now"});
    CHECK(differences(reserved, before) == Words{"reserve root web 42,4242 web 43 is nothing now"});
}

TEST_CASE("daemon options: a daemon started on demand exits after 30 s, one started by hand stays")
{
    CHECK(seconds_until_leaving(from_words({}), true) == 30);
    CHECK(seconds_until_leaving(from_words({}), false) == std::nullopt);
    for (const bool on_demand : {true, false}) {
        CHECK(seconds_until_leaving(from_words({"--idle-exit", "7"}), on_demand) == 7);
        CHECK(seconds_until_leaving(from_words({"--idle-exit", "0"}), on_demand) == std::nullopt);
    }
}
