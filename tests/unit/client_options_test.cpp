// SPDX-License-Identifier: MIT
//
// The client's command line is read into values, or refused in one line that names the mistake.

#include "client/verbs/args.hpp"
#include "client/verbs/command_line.hpp"
#include "client/verbs/down.hpp"
#include "client/verbs/help.hpp"
#include "client/verbs/lease_options.hpp"
#include "client/verbs/list.hpp"
#include "client/verbs/run.hpp"
#include "client/verbs/runqemu.hpp"
#include "client/verbs/up.hpp"

#include "common/error.hpp"
#include "config.h"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "tests/catch.hpp"
#include "tests/unit/command_line.hpp"
#include "tests/unit/outcome.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

std::unique_ptr<VerbCall> parse(const Words &words)
{
    const CommandLine line{"qemu-tapctl", words};
    return parse_command_line(line.argc(), line.argv());
}

template <typename Options>
Options parse_as(const Words &words)
{
    const auto call = parse(words);
    CAPTURE(words);
    const auto *typed = dynamic_cast<const CallWith<Options> *>(call.get());
    REQUIRE(typed);
    return typed->options();
}

// Expects an invalid argument with `part` in its text, which is one line of printable ASCII.
void check_refused(const Words &words, const std::string &part = "")
{
    CAPTURE(words);
    const auto error = tap_error_of([&] { parse(words); });
    const std::string text = error.what();
    CAPTURE(text, part);
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(contains(text, part));
    CHECK(text.find_first_not_of(" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
                                 "abcdefghijklmnopqrstuvwxyz{|}~") == std::string::npos);
}

// Expects that both verbs that request taps refuse these words.
void check_request_refused(const Words &words, const std::string &part)
{
    Words up{"up"};
    up.insert(up.end(), words.begin(), words.end());
    check_refused(up, part);
    Words run{"run"};
    run.insert(run.end(), words.begin(), words.end());
    run.insert(run.end(), {"--", "qemu"});
    check_refused(run, part);
}

} // namespace

TEST_CASE("client options: up alone is one tap held by name, printed as text, with a virtio NIC")
{
    const auto up = parse_as<UpOptions>({"up"});
    TapRequest expected;
    expected.hold = Hold::name;
    CHECK(up.request == expected);
    CHECK(up.nic.device == "virtio-net-pci");
    CHECK(up.nic.first_netdev == 0);
    CHECK(up.format == Format::text);
}

TEST_CASE("client options: up takes count, queues, device, label, idle timeout and format")
{
    const auto up = parse_as<UpOptions>({"up", "--count", "2", "--queues=4", "--device", "e1000,romfile=", "--label",
                                         "ci", "--idle-timeout", "15min", "--format", "env"});
    TapRequest expected;
    expected.hold = Hold::name;
    expected.count = 2;
    expected.queues = 4;
    expected.label = "ci";
    expected.idle_timeout_seconds = 900;
    CHECK(up.request == expected);
    CHECK(up.nic.device == "e1000,romfile=");
    CHECK(up.format == Format::env);
}

TEST_CASE("client options: up and args accept every format by name, and up accepts json as --json too")
{
    CHECK(parse_as<UpOptions>({"up", "--json"}).format == Format::json);
    for (const auto format : {Format::text, Format::json, Format::qemu, Format::cmdline, Format::env, Format::yocto}) {
        const std::string name{text_of(format)};
        CHECK(parse_as<UpOptions>({"up", "--format", name}).format == format);
        CHECK(parse_as<ArgsOptions>({"args", "ci", "--format", name}).format == format);
    }
    for (const std::string name : {"xml", "JSON", "", "jso"}) {
        check_refused({"up", "--format", name}, "format");
        check_refused({"args", "ci", "--format", name}, "format");
    }
}

TEST_CASE("client options: run alone is one tap held by its descriptor, without vhost")
{
    const auto run = parse_as<RunOptions>({"run", "--", "qemu-system-x86_64", "-m", "512"});
    CHECK(run.request == TapRequest{});
    CHECK(run.nic.device == "virtio-net-pci");
    CHECK(run.command == Words{"qemu-system-x86_64", "-m", "512"});
}

TEST_CASE("client options: run takes count, queues, vhost, device and label")
{
    const auto run = parse_as<RunOptions>({"run", "--count", "2", "--queues", "2", "--vhost", "yes", "--device",
                                           "virtio-net-device", "--label", "ci", "--", "qemu"});
    TapRequest expected;
    expected.count = 2;
    expected.queues = 2;
    expected.vhost = VhostChoice::required;
    expected.label = "ci";
    CHECK(run.request == expected);
    CHECK(run.nic.device == "virtio-net-device");
    CHECK(parse_as<RunOptions>({"run", "--vhost", "auto", "--", "qemu"}).request.vhost == VhostChoice::when_possible);
    CHECK(parse_as<RunOptions>({"run", "--vhost", "no", "--", "qemu"}).request.vhost == VhostChoice::no);
}

TEST_CASE("client options: run, up and list take --no-ask-password, and ask without it; other verbs refuse it")
{
    CHECK(parse_as<RunOptions>({"run", "--", "qemu"}).ask_password);
    CHECK(parse_as<UpOptions>({"up"}).ask_password);
    CHECK(parse_as<ListOptions>({"list", "--all"}).ask_password);
    CHECK_FALSE(parse_as<RunOptions>({"run", "--no-ask-password", "--", "qemu"}).ask_password);
    CHECK_FALSE(parse_as<UpOptions>({"up", "--no-ask-password"}).ask_password);
    CHECK_FALSE(parse_as<ListOptions>({"list", "--no-ask-password", "--all"}).ask_password);
    CHECK(parse_as<RunOptions>({"run", "--", "qemu", "--no-ask-password"}).ask_password);
    check_refused({"down", "--no-ask-password", "ci"}, "--no-ask-password");
    check_refused({"args", "--no-ask-password", "ci"}, "--no-ask-password");
    check_refused({"up", "--ask-password"}, "--ask-password");
}

TEST_CASE("client options: all verbs that print or add NICs take the number of the first one")
{
    CHECK(parse_as<RunOptions>({"run", "--", "qemu"}).nic.first_nic == std::nullopt);
    CHECK(parse_as<RunOptions>({"run", "--first-nic", "0", "--", "qemu"}).nic.first_nic == 0u);
    CHECK(parse_as<RunqemuOptions>({"runqemu", "--first-nic", "2", "--device", "e1000", "--"}).nic.first_nic == 2u);
    CHECK(parse_as<RunqemuOptions>({"runqemu", "--device", "e1000", "--"}).nic.device == "e1000");
    CHECK(parse_as<UpOptions>({"up", "--first-nic=1"}).nic.first_nic == 1u);
    CHECK(parse_as<ArgsOptions>({"args", "web", "--first-nic", "999"}).nic.first_nic == 999u);
    for (const std::string number : {"1000", "-1", "x", ""})
        check_refused({"up", "--first-nic=" + number}, "--first-nic");
    check_refused({"list", "--first-nic", "1"}, "--first-nic");
}

TEST_CASE("client options: run and up take --user, and the other verbs refuse it")
{
    CHECK(parse_as<RunOptions>({"run", "--", "qemu"}).user == std::nullopt);
    CHECK(parse_as<RunOptions>({"run", "--user", "vm", "--", "qemu"}).user == "vm");
    CHECK(parse_as<RunOptions>({"run", "--user=vm", "--", "qemu", "--user", "x"}).user == "vm");
    check_refused({"run", "--user", "--", "qemu"}, "--user");
    check_refused({"run", "--user", "a", "--user", "b", "--", "qemu"}, "--user");
    CHECK(parse_as<UpOptions>({"up"}).user == std::nullopt);
    CHECK(parse_as<UpOptions>({"up", "--user", "vm"}).user == "vm");
    check_refused({"args", "web", "--user", "vm"}, "--user");
    check_refused({"list", "--user", "vm"}, "--user");
}

TEST_CASE("client options: nothing after the -- of run is an option of the client")
{
    const Words command{"gdb", "--args", "qemu", "--count", "7", "--help", "--", "--version", "", "-append", "a b"};
    Words words{"run", "--count", "2", "--"};
    words.insert(words.end(), command.begin(), command.end());
    const auto run = parse_as<RunOptions>(words);
    CHECK(run.request.count == 2);
    CHECK(run.command == command);
    CHECK(parse_as<RunOptions>({"run", "--", "--", "qemu"}).command == Words{"--", "qemu"});
}

TEST_CASE("client options: run without a command is refused")
{
    check_refused({"run"}, "run needs a command");
    check_refused({"run", "--"}, "run needs a command");
    check_refused({"run", "--count", "2"}, "run needs a command");
    check_refused({"run", "--count", "2", "--"}, "run needs a command");
}

TEST_CASE("client options: the first word of run that is neither an option nor an option's value begins the command")
{
    CHECK(parse_as<RunOptions>({"run", "qemu", "-m", "1"}).command == Words{"qemu", "-m", "1"});
    CHECK(parse_as<RunOptions>({"run", "qemu", "--", "disk.img"}).command == Words{"qemu", "--", "disk.img"});
    CHECK(parse_as<RunOptions>({"run", "run", "up"}).command == Words{"run", "up"});
    CHECK(parse_as<RunOptions>({"run", "-", "x"}).command == Words{"-", "x"});
    const auto run = parse_as<RunOptions>(
        {"run", "--count", "2", "--label=ci", "--no-ask-password", "qemu", "--count", "7", "--help", "--bogus"});
    CHECK(run.request.count == 2);
    CHECK(run.request.label == "ci");
    CHECK_FALSE(run.ask_password);
    CHECK(run.command == Words{"qemu", "--count", "7", "--help", "--bogus"});
    check_refused({"run", "--label", "qemu"}, "run needs a command");
}

TEST_CASE("client options: a mistyped verb or option gets a hint, and the error names that word alone")
{
    check_refused({"upp"}, "there is no \"upp\"; did you mean \"up\"?");
    check_refused({"--verson"}, "there is no option \"--verson\"; did you mean \"--version\"?");
    check_refused({"up", "--cout", "2"}, "there is no option \"--cout\" of up; did you mean \"--count\"?");
    check_refused({"run", "--cout", "2", "qemu", "-m", "1"},
                  "there is no option \"--cout\" of run; did you mean \"--count\"?");
    check_refused({"up", "-count", "2"}, "did you mean \"--count\"?");
    check_refused({"up", "--bogus=x", "--other"}, "there is no option \"--bogus\" of up (see qemu-tapctl up --help)");
    check_refused({"runqemu", "-d", "qemux86-64"}, "there is no option \"-d\" of runqemu; write --");
    check_refused({"list", "ci", "web"}, "list takes no further word \"ci\"");
}

TEST_CASE("client options: help takes one verb or none")
{
    CHECK(parse_as<HelpOptions>({"help"}).verb.empty());
    CHECK(parse_as<HelpOptions>({"help", "up"}).verb == "up");
    check_refused({"help", "upp"}, "did you mean \"up\"?");
    check_refused({"help", "up", "down"}, "down");
}

TEST_CASE("client options: without a word the program prints its help and refuses the command line")
{
    std::string message;
    const auto [code, text] = captured([&] {
        try {
            parse({});
        } catch (const TapError &error) {
            message = error.what();
            return error.code();
        }
        return ErrorCode::failed;
    });
    CHECK(code == ErrorCode::invalid_argument);
    CHECK(text == help_text(""));
    CHECK(message == "a command is missing");
}

TEST_CASE("client options: an option without its value does not take the -- as the value")
{
    check_refused({"run", "--label", "--", "qemu"}, "--label");
    check_refused({"up", "--count"}, "--count");
}

TEST_CASE("client options: down takes leases, labels and taps, or --all")
{
    CHECK(parse_as<DownOptions>({"down", "ci", "tap7", "0123456789abcdef"}).names ==
          Words{"ci", "tap7", "0123456789abcdef"});
    CHECK_FALSE(parse_as<DownOptions>({"down", "ci"}).all);
    const auto all = parse_as<DownOptions>({"down", "--all"});
    CHECK(all.all);
    CHECK(all.names.empty());
}

TEST_CASE("client options: down with neither a name nor --all, or with both, is refused")
{
    check_refused({"down"}, "--all");
    check_refused({"down", "--all", "ci"}, "--all");
    check_refused({"down", "ci", "--all"}, "--all");
}

TEST_CASE("client options: list takes --all and --json and no name")
{
    CHECK_FALSE(parse_as<ListOptions>({"list"}).all);
    CHECK_FALSE(parse_as<ListOptions>({"list"}).json);
    CHECK(parse_as<ListOptions>({"list", "--all"}).all);
    CHECK(parse_as<ListOptions>({"list", "--json"}).json);
    const auto both = parse_as<ListOptions>({"list", "--json", "--all"});
    CHECK(both.all);
    CHECK(both.json);
    check_refused({"list", "ci"}, "ci");
}

TEST_CASE("client options: args takes one name, and prints QEMU's arguments unless a format is given")
{
    const auto args = parse_as<ArgsOptions>({"args", "ci"});
    CHECK(args.name == "ci");
    CHECK(args.format == Format::qemu);
    CHECK(args.nic.device == "virtio-net-pci");
    CHECK(parse_as<ArgsOptions>({"args", "ci", "--device", "e1000"}).nic.device == "e1000");
    check_refused({"args"});
    check_refused({"args", "ci", "other"}, "other");
}

TEST_CASE("client options: a command line with an unknown verb, or an option in its place, is refused")
{
    check_refused({"bogus"}, "bogus");
    check_refused({"UP"}, "UP");
    check_refused({"--count", "2"});
}

TEST_CASE("client options: an unknown option of a verb is refused by name")
{
    for (const std::string option : {"--bogus", "--interactive", "--hold", "--all", "--uid"}) {
        check_refused({"up", option}, option);
        check_refused({"run", option, "--", "qemu"}, option);
    }
    check_refused({"up", "--vhost", "no"}, "--vhost");
    for (const std::string option : {"--idle-timeout", "--format", "--json"})
        check_refused({"run", option, "5", "--", "qemu"}, option);
    check_refused({"list", "--format", "json"}, "--format");
    check_refused({"list", "--count", "2"}, "--count");
    check_refused({"down", "--json"}, "--json");
    check_refused({"args", "ci", "--label", "x"}, "--label");
    check_refused({"up", "extra"}, "extra");
    check_refused({"up", "--coun", "2"}, "--coun");
}

TEST_CASE("client options: counts and queues at both ends of their ranges are accepted")
{
    CHECK(parse_as<UpOptions>({"up", "--count", "1"}).request.count == 1);
    CHECK(parse_as<UpOptions>({"up", "--count", "32", "--queues", "16"}).request.count == 32);
    CHECK(parse_as<RunOptions>({"run", "--count", "16", "--", "qemu"}).request.count == 16);
    CHECK(parse_as<RunOptions>({"run", "--queues", "16", "--", "qemu"}).request.queues == 16);
}

TEST_CASE("client options: counts and queues out of range, and other text, are refused")
{
    for (const std::string count : {"0", "33", "10000", "4294967295", "4294967296", "4294967297", "-1", "1.5", "two",
                                    "2x", "", " ", "99999999999999999999"})
        check_request_refused({"--count", count}, "count");
    for (const std::string queues : {"0", "17", "4294967297", "-1", "many", ""})
        check_request_refused({"--queues", queues}, "queues");
}

TEST_CASE("client options: a run that needs more than 16 descriptors is refused")
{
    check_refused({"run", "--count", "17", "--", "qemu"}, "16");
    check_refused({"run", "--count", "9", "--queues", "2", "--", "qemu"}, "16");
    check_refused({"run", "--count", "9", "--vhost", "yes", "--", "qemu"}, "16");
}

TEST_CASE("client options: labels of 1 and 63 bytes are accepted")
{
    for (const auto &label : {std::string{"a"}, std::string(63, 'a'), std::string{"A._:@+-"}}) {
        CHECK(parse_as<UpOptions>({"up", "--label", label}).request.label == label);
        CHECK(parse_as<RunOptions>({"run", "--label=" + label, "--", "qemu"}).request.label == label);
    }
}

TEST_CASE("client options: an empty label is refused, not taken for no label")
{
    check_request_refused({"--label", ""}, "label");
    check_request_refused({"--label="}, "label");
}

TEST_CASE("client options: labels that are too long or have other bytes are refused, and not repeated raw")
{
    for (const auto &label :
         {std::string(64, 'a'), std::string(65, 'a'), std::string(10'000, 'a'), std::string{"two\nlines"},
          std::string{"\x1b[31mred"}, std::string{"caf\xe9"}, std::string{"caf\xc3\xa9"}, std::string{"$(x)"},
          std::string{"a b"}, std::string{"a=b"}, std::string{".hidden"}, std::string{"a\x7f"}})
        check_request_refused({"--label", label}, "label");
    check_request_refused({"--label=-rf"}, "label");
}

TEST_CASE("client options: run requests taps without virtio headers by --vnet off, for descriptors only")
{
    CHECK(parse_as<RunOptions>({"run", "--", "x"}).request.vnet);
    CHECK(parse_as<RunOptions>({"run", "--vnet", "on", "--hold", "name", "--", "x"}).request.vnet);
    CHECK_FALSE(parse_as<RunOptions>({"run", "--vnet=off", "--", "x"}).request.vnet);
    check_refused({"run", "--vnet", "maybe", "--", "x"}, "--vnet \"maybe\"");
    check_refused({"run", "--vnet", "off", "--hold", "name", "--", "x"}, "vnet off needs hold 'fd'");
    check_refused({"run", "--vnet", "off", "--vhost", "auto", "--", "x"}, "vhost");
    check_refused({"up", "--vnet", "off"}, "--vnet");
}

TEST_CASE("client options: an invalid choice of vhost or device is refused")
{
    for (const std::string choice : {"maybe", "on", "YES", ""})
        check_refused({"run", "--vhost", choice, "--", "qemu"}, "vhost");
    for (const std::string device : {"", "$(x)", "virtio net", "e1000;x", "e1000\n", ",netdev=x", "\x1b"}) {
        check_request_refused({"--device", device}, "device");
        check_refused({"args", "ci", "--device", device}, "device");
    }
}

TEST_CASE("client options: an idle timeout is a number of seconds, minutes, hours or days, 1 s to 365 d")
{
    struct Timeout {
        std::string text;
        std::uint64_t seconds;
    };
    for (const auto &[text, seconds] :
         {Timeout{"1", 1}, Timeout{"90", 90}, Timeout{"90s", 90}, Timeout{"1s", 1}, Timeout{"15min", 900},
          Timeout{"2h", 7200}, Timeout{"1d", 86400}, Timeout{"365d", 31'536'000}, Timeout{"8760h", 31'536'000},
          Timeout{"525600min", 31'536'000}, Timeout{"31536000s", 31'536'000}, Timeout{"31536000", 31'536'000}}) {
        CAPTURE(text);
        CHECK(parse_idle_timeout(text) == seconds);
        CHECK(parse_as<UpOptions>({"up", "--idle-timeout", text}).request.idle_timeout_seconds == seconds);
    }
}

TEST_CASE("client options: any other text is refused as idle timeout")
{
    const Words out_of_range{"0", "0s", "0d", "31536001", "31536001s", "525601min", "8761h", "366d"};
    const Words overflowing{"18446744073709551616", "99999999999999999999", "213503982334602d"};
    const Words other_units{"1m", "1w", "1y", "90S", "1H", "90sec", "90 s", "1h30min", "min", "s", "soon"};
    const Words other_numbers{"", "-1", "+1", " 90", "90 ", "1.5h", "090", "0x10", "1e3"};
    for (const auto &texts : {out_of_range, overflowing, other_units, other_numbers})
        for (const auto &text : texts) {
            CAPTURE(text);
            CHECK(parse_idle_timeout(text) == std::nullopt);
            check_refused({"up", "--idle-timeout=" + text}, "idle-timeout");
        }
}

TEST_CASE("client options: --help of every verb prints to stdout, and nothing else is done")
{
    for (const auto &words : {Words{"--help"}, Words{"up", "--help"}, Words{"run", "--help"}, Words{"down", "--help"},
                              Words{"list", "--help"}, Words{"args", "--help"}}) {
        CAPTURE(words);
        const auto [options, text] = captured([&] { return parse(words); });
        CHECK(options == nullptr);
        CHECK(contains(text, "qemu-tapctl"));
    }
}

TEST_CASE("client options: --version prints the program's name and version")
{
    const auto [options, text] = captured([] { return parse({"--version"}); });
    CHECK(options == nullptr);
    CHECK(text == std::string{"qemu-tapctl "} + QEMU_TAPCTL_VERSION + "\n");
}

TEST_CASE("client options: the help documents the exit statuses")
{
    auto [options, text] = captured([] { return parse({"--help"}); });
    std::ranges::replace(text, '\n', ' ');
    CHECK(contains(text, " 0 success;"));
    for (const auto &[status, meaning] : exit_status_meanings())
        CHECK(contains(text, " " + std::to_string(status) + " " + meaning + ";"));
    CHECK(contains(text, " 126 the command"));
    CHECK(contains(text, " 127 the command"));
}

TEST_CASE("client options: a number has only one spelling")
{
    for (const char *number : {"", "010", "+5", "-1", "0x10", " 3", "3 ", "1e3", "4294967296"})
        check_refused({"up", "--count", number});
}

TEST_CASE("client options: run holds its taps by descriptors, or by name as long as the command runs")
{
    for (const Words &words : {Words{"run", "--", "vmm"}, Words{"run", "--hold", "fd", "--", "vmm"}}) {
        CAPTURE(words);
        const auto run = parse_as<RunOptions>(words);
        CHECK(run.request.hold == Hold::fd);
        CHECK_FALSE(run.request.attended);
    }
    const auto run = parse_as<RunOptions>({"run", "--hold=name", "--count", "32", "--", "vmm"});
    CHECK(run.request.hold == Hold::name);
    CHECK(run.request.attended);
    CHECK_FALSE(parse_as<UpOptions>({"up"}).request.attended);
}

TEST_CASE("client options: an unknown hold is refused, and so are vhost descriptors of taps by name")
{
    check_refused({"run", "--hold", "names", "--", "vmm"}, "--hold \"names\" must be fd or name");
    check_refused({"run", "--hold", "", "--", "vmm"}, "--hold \"\"");
    check_refused({"run", "--hold", "name", "--vhost", "yes", "--", "vmm"}, "needs hold 'fd'");
    check_refused({"up", "--hold", "name"}, "--hold");
}

TEST_CASE("client options: runqemu requests an attended lease of its profile and passes its arguments on unchanged")
{
    const auto runqemu = parse_as<RunqemuOptions>(
        {"runqemu", "--count", "2", "--label", "image", "--no-ask-password", "--", "qemux86-64", "--", "--count", ""});
    TapRequest expected;
    expected.count = 2;
    expected.hold = Hold::name;
    expected.attended = true;
    expected.profile = Profile::runqemu;
    expected.label = "image";
    CHECK(runqemu.request == expected);
    CHECK(runqemu.arguments == Words{"qemux86-64", "--", "--count", ""});
    CHECK_FALSE(runqemu.ask_password);
    CHECK(runqemu.nic.device.empty());
    CHECK(parse_as<RunqemuOptions>({"runqemu"}).arguments.empty());
    CHECK(parse_as<RunqemuOptions>({"runqemu", "--"}).ask_password);
}

TEST_CASE("client options: runqemu takes arguments without --, and refuses unknown options and networks without taps")
{
    CHECK(parse_as<RunqemuOptions>({"runqemu", "--count", "2", "qemux86-64", "-d", "--"}).arguments ==
          Words{"qemux86-64", "-d", "--"});
    check_refused({"runqemu", "--queues", "2", "--"}, "--queues");
    check_refused({"runqemu", "--count", "33", "--"}, "33");
    check_refused({"runqemu", "--", "nographic", "slirp"}, "\"slirp\"");
}
