// SPDX-License-Identifier: MIT
//
// The output that scripts, shells, units and recipes parse, byte by byte; of the text form, the lines that users copy.

#include "client/show/output.hpp"

#include "contract/hold.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"
#include "tests/unit/sample_lease.hpp"
#include "tests/unit/shell.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

constexpr std::array all_formats{Format::text, Format::json, Format::qemu, Format::cmdline, Format::env, Format::yocto};

const std::string two_nics_line = "-netdev tap,id=net0,ifname=tap7,script=no,downscript=no "
                                  "-device virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07 "
                                  "-netdev tap,id=net1,ifname=tap8,script=no,downscript=no "
                                  "-device virtio-net-pci,netdev=net1,mac=52:54:00:ab:00:08";
const std::string two_nics_cmdline = "ip=192.168.8.2:::255.255.255.0::eth1:off "
                                     "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0";

LeaseGrant labelled_lease()
{
    auto lease = sample_lease(2);
    lease.label = "ci";
    return lease;
}

LeaseGrant lease_without_addresses()
{
    auto lease = sample_lease(2);
    lease.taps[1].gateway = {};
    lease.taps[1].guest = {};
    lease.taps[1].prefix_length = 0;
    return lease;
}

std::string as(Format format, const LeaseGrant &lease)
{
    return formatted(lease, format, NicOptions{});
}

bool has_line(const std::string &text, const std::string &line)
{
    return contains("\n" + text, "\n" + line + "\n");
}

// A variable's value in a shell that has evaluated the lines.
std::string evaluated(const std::string &lines, const std::string &variable)
{
    return printed_by_sh(lines + "printf %s \"$" + variable + "\"");
}

} // namespace

TEST_CASE("output: the formats are text, json, qemu, cmdline, env and yocto, and no others")
{
    for (const auto &[format, name] :
         {std::pair{Format::text, "text"}, std::pair{Format::json, "json"}, std::pair{Format::qemu, "qemu"},
          std::pair{Format::cmdline, "cmdline"}, std::pair{Format::env, "env"}, std::pair{Format::yocto, "yocto"}}) {
        CAPTURE(name);
        CHECK(text_of(format) == name);
        CHECK(parse_format(name) == format);
    }
    for (const auto *name : {"", "JSON", "xml", "jso", "json ", "yaml", "args"}) {
        CAPTURE(name);
        CHECK(parse_format(name) == std::nullopt);
    }
}

TEST_CASE("output: every form of every lease ends with exactly one newline")
{
    for (const auto &lease : {sample_lease(1), labelled_lease(), sample_lease(32), lease_without_addresses()})
        for (const auto format : all_formats) {
            CAPTURE(text_of(format), lease.taps.size());
            CHECK(as(format, lease).ends_with('\n'));
            CHECK_FALSE(as(format, lease).ends_with("\n\n"));
        }
}

TEST_CASE("output: qemu is QEMU's arguments on one line")
{
    CHECK(as(Format::qemu, sample_lease(2)) == two_nics_line + "\n");
}

TEST_CASE("output: the requested device model is in every form that names one")
{
    NicOptions options;
    options.device = "e1000";
    options.first_netdev = 2;
    CHECK(formatted(sample_lease(1), Format::qemu, options) ==
          "-netdev tap,id=net2,ifname=tap7,script=no,downscript=no "
          "-device e1000,netdev=net2,mac=52:54:00:ab:00:07\n");
    for (const auto format : {Format::text, Format::json, Format::env, Format::yocto}) {
        CAPTURE(text_of(format));
        CHECK(contains(formatted(sample_lease(1), format, options), "e1000,netdev=net2,mac=52:54:00:ab:00:07"));
    }
}

TEST_CASE("output: cmdline is the ip= words on one line")
{
    CHECK(as(Format::cmdline, sample_lease(2)) == two_nics_cmdline + "\n");
}

TEST_CASE("output: json is one object with the documented keys in their order")
{
    auto lease = labelled_lease();
    lease.taps.pop_back();
    lease.taps[0].queues = 2;
    lease.idle_timeout_seconds = 60;
    CHECK(as(Format::json, lease) == R"({
  "lease": "0123456789abcdef",
  "label": "ci",
  "uid": 1000,
  "hold": "name",
  "idle_timeout": 60,
  "attended": false,
  "taps": [
    {
      "name": "tap7",
      "index": 7,
      "gateway": "192.168.7.1",
      "client": "192.168.7.2",
      "guest": "192.168.7.2",
      "prefix_length": 24,
      "mac": "52:54:00:ab:00:07",
      "queues": 2,
      "vhost": false
    }
  ],
  "qemu_args": [
    "-netdev",
    "tap,id=net0,ifname=tap7,script=no,downscript=no,queues=2",
    "-device",
    "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=6"
  ],
  "kernel_cmdline": "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0"
}
)");
}

TEST_CASE("output: json has every tap in order, and an empty label if there is none")
{
    const auto object = nlohmann::json::parse(as(Format::json, sample_lease(2)));
    CHECK(object.at("label") == "");
    REQUIRE(object.at("taps").size() == 2);
    CHECK(object.at("taps")[0].at("name") == "tap7");
    CHECK(object.at("taps")[1].at("name") == "tap8");
    CHECK(object.at("taps")[1].at("index") == 8);
    CHECK(object.at("qemu_args").size() == 8);
    CHECK(object.at("kernel_cmdline") == two_nics_cmdline);
}

TEST_CASE("output: a list as json is an array, and every element is the same object that up prints")
{
    CHECK(list_as_json({}) == "[]\n");
    const std::vector<LeaseGrant> leases{labelled_lease(), sample_lease(1, 9)};
    const auto array = nlohmann::ordered_json::parse(list_as_json(leases));
    REQUIRE(array.size() == 2);
    for (std::size_t i = 0; i < leases.size(); ++i)
        CHECK(array[i].dump() == nlohmann::ordered_json::parse(as(Format::json, leases[i])).dump());
}

TEST_CASE("output: in the list a lease held by descriptors has every key but QEMU's arguments")
{
    auto lease = sample_lease(1);
    lease.hold = Hold::fd;
    lease.attended = true;
    lease.taps[0].vhost = true;
    CHECK(nlohmann::ordered_json::parse(list_as_json({lease})).dump() ==
          R"([{"lease":"0123456789abcdef","label":"","uid":1000,"hold":"fd","idle_timeout":0,"attended":true,)"
          R"("taps":[{"name":"tap7","index":7,)"
          R"("gateway":"192.168.7.1","client":"192.168.7.2","guest":"192.168.7.2","prefix_length":24,)"
          R"("mac":"52:54:00:ab:00:07","queues":1,"vhost":true}],"qemu_args":[],)"
          R"("kernel_cmdline":"ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0"}])");
}

TEST_CASE("output: env is one quoted KEY=value line for each fact")
{
    CHECK(as(Format::env, labelled_lease()) == "QEMU_TAP_LEASE=\"0123456789abcdef\"\n"
                                               "QEMU_TAP_LABEL=\"ci\"\n"
                                               "QEMU_TAP_COUNT=\"2\"\n"
                                               "QEMU_TAP_0_NAME=\"tap7\"\n"
                                               "QEMU_TAP_0_GATEWAY=\"192.168.7.1\"\n"
                                               "QEMU_TAP_0_CLIENT=\"192.168.7.2\"\n"
                                               "QEMU_TAP_0_PREFIX_LENGTH=\"24\"\n"
                                               "QEMU_TAP_0_MAC=\"52:54:00:ab:00:07\"\n"
                                               "QEMU_TAP_1_NAME=\"tap8\"\n"
                                               "QEMU_TAP_1_GATEWAY=\"192.168.8.1\"\n"
                                               "QEMU_TAP_1_CLIENT=\"192.168.8.2\"\n"
                                               "QEMU_TAP_1_PREFIX_LENGTH=\"24\"\n"
                                               "QEMU_TAP_1_MAC=\"52:54:00:ab:00:08\"\n"
                                               "QEMU_TAP_ARGS=\"" +
                                                   two_nics_line +
                                                   "\"\n"
                                                   "QEMU_TAP_CMDLINE=\"" +
                                                   two_nics_cmdline + "\"\n");
}

TEST_CASE("output: a shell that evaluates env has the values in its variables")
{
    const auto lines = as(Format::env, sample_lease(2));
    CHECK(evaluated(lines, "QEMU_TAP_LABEL").empty());
    CHECK(evaluated(lines, "QEMU_TAP_1_CLIENT") == "192.168.8.2");
    CHECK(evaluated(lines, "QEMU_TAP_ARGS") == two_nics_line);
    CHECK(evaluated(lines, "QEMU_TAP_CMDLINE") == two_nics_cmdline);
}

// The kernel allows any byte but a slash, a colon and a space in a name, and the daemon reports the current name.
TEST_CASE("output: a shell that evaluates env runs nothing, whatever name a tap was given")
{
    for (const std::string name : {"$(id)", "it's", "a;id", "`id`", "$HOME", "a\"b", "a\\b", "vm~lan"}) {
        CAPTURE(name);
        auto lease = sample_lease(1);
        lease.taps[0].name = name;
        const auto lines = as(Format::env, lease);
        CHECK(evaluated(lines, "QEMU_TAP_0_NAME") == name);
        CHECK(evaluated(lines, "QEMU_TAP_ARGS") == shell_line(qemu_args(lease, NicOptions{})));
    }
}

TEST_CASE("output: yocto is runqemu's three variables, with the NICs as QEMU's arguments")
{
    CHECK(as(Format::yocto, sample_lease(2)) ==
          "QB_NETWORK_DEVICE = \"-device virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07 "
          "-device virtio-net-pci,netdev=net1,mac=52:54:00:ab:00:08\"\n"
          "QB_TAP_OPT = \"-netdev tap,id=net0,ifname=tap7,script=no,downscript=no "
          "-netdev tap,id=net1,ifname=tap8,script=no,downscript=no\"\n"
          "QB_CMDLINE_IP_TAP = \"" +
              two_nics_cmdline + "\"\n");
}

TEST_CASE("output: text has the lease, a row for each tap, and lines to copy")
{
    const auto text = as(Format::text, labelled_lease());
    CAPTURE(text);
    CHECK(has_line(text, "Lease 0123456789abcdef, label ci"));
    CHECK(has_line(text, "TAP   GATEWAY         CLIENT       MAC                QUEUES"));
    CHECK(has_line(text, "tap7  192.168.7.1/24  192.168.7.2  52:54:00:ab:00:07  1"));
    CHECK(has_line(text, "tap8  192.168.8.1/24  192.168.8.2  52:54:00:ab:00:08  1"));
    CHECK(has_line(text, "  " + two_nics_line));
    CHECK(has_line(text, "  '" + two_nics_cmdline + "'"));
    CHECK(has_line(text, "  qemu-tapctl down ci"));
}

TEST_CASE("output: text names a lease without a label by its id")
{
    const auto text = as(Format::text, sample_lease(1));
    CAPTURE(text);
    CHECK(has_line(text, "Lease 0123456789abcdef"));
    CHECK(has_line(text, "  qemu-tapctl down 0123456789abcdef"));
}

TEST_CASE("output: a list as text has a row for each tap below a header, with columns as wide as their widest cell")
{
    auto other = sample_lease(1, 254);
    other.hold = Hold::fd;
    other.uid = 0;
    other.taps[0].queues = 4;
    CHECK(list_as_text({labelled_lease(), other}) ==
          "LEASE             LABEL  UID   HOLD  TAP     GATEWAY           CLIENT         MAC                QUEUES\n"
          "0123456789abcdef  ci     1000  name  tap7    192.168.7.1/24    192.168.7.2    52:54:00:ab:00:07  1\n"
          "0123456789abcdef  ci     1000  name  tap8    192.168.8.1/24    192.168.8.2    52:54:00:ab:00:08  1\n"
          "0123456789abcdef  -      0     fd    tap254  192.168.254.1/24  192.168.254.2  52:54:00:ab:00:fe  4\n");
    CHECK(list_as_text({}) == "LEASE  LABEL  UID  HOLD  TAP  GATEWAY  CLIENT  MAC  QUEUES\n");
}

TEST_CASE("output: for a tap whose address was removed no guest is given 0.0.0.0")
{
    const auto lease = lease_without_addresses();
    for (const auto format : {Format::cmdline, Format::qemu, Format::env, Format::yocto, Format::text, Format::json}) {
        CAPTURE(text_of(format));
        CHECK_FALSE(contains(as(format, lease), "ip=0.0.0.0"));
    }
}
