// SPDX-License-Identifier: MIT
//
// The `ip=` words as exact text, and their place in a command line that has other words.

#include "client/guest/kernel_cmdline.hpp"

#include "tests/catch.hpp"
#include "tests/unit/sample_lease.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

const Words sample_words{"ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off", "net.ifnames=0"};
const std::string sample_text = "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0";

// Expects that a command line that already has an address for the guest stays unchanged.
void check_left_alone(const std::string &cmdline)
{
    CAPTURE(cmdline);
    CHECK(with_words(cmdline, sample_words) == std::nullopt);
}

void check_added(const std::string &cmdline, const std::string &expected)
{
    CAPTURE(cmdline);
    const auto added = with_words(cmdline, sample_words);
    REQUIRE(added.has_value());
    CHECK(*added == expected);
}

} // namespace

TEST_CASE("kernel cmdline: one NIC has every field, and the guest's name of the NIC, never the tap's")
{
    CHECK(kernel_cmdline_words(sample_lease(1)) == sample_words);
    CHECK(kernel_cmdline(sample_lease(1)) == sample_text);
}

TEST_CASE("kernel cmdline: of two NICs the secondary comes first and has no gateway, the primary comes last")
{
    CHECK(kernel_cmdline_words(sample_lease(2)) == Words{"ip=192.168.8.2:::255.255.255.0::eth1:off",
                                                         "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off",
                                                         "net.ifnames=0"});
    CHECK(kernel_cmdline(sample_lease(2)) == "ip=192.168.8.2:::255.255.255.0::eth1:off "
                                             "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0");
}

TEST_CASE("kernel cmdline: of four NICs only the last word has a gateway, and it is the primary's")
{
    CHECK(kernel_cmdline_words(sample_lease(4)) ==
          Words{"ip=192.168.8.2:::255.255.255.0::eth1:off", "ip=192.168.9.2:::255.255.255.0::eth2:off",
                "ip=192.168.10.2:::255.255.255.0::eth3:off", "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off",
                "net.ifnames=0"});
}

TEST_CASE("kernel cmdline: by runqemu's rule the host's address is a /32, and the guest has runqemu's netmask")
{
    auto lease = sample_lease(1);
    lease.taps.front().prefix_length = 32;
    CHECK(kernel_cmdline_words(lease) == sample_words);
}

TEST_CASE("kernel cmdline: NICs before the added ones change only the guest's names of the added ones")
{
    CHECK(kernel_cmdline(sample_lease(2), 1) == "ip=192.168.8.2:::255.255.255.0::eth2:off "
                                                "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth1:off net.ifnames=0");
    CHECK(kernel_cmdline(sample_lease(1), 10) == "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth10:off net.ifnames=0");
}

TEST_CASE("kernel cmdline: taps need not be adjacent or sorted")
{
    auto lease = sample_lease(1, 254);
    lease.taps.push_back(sample_tap(9));
    CHECK(kernel_cmdline(lease) == "ip=192.168.9.2:::255.255.255.0::eth1:off "
                                   "ip=192.168.254.2::192.168.254.1:255.255.255.0::eth0:off net.ifnames=0");
}

TEST_CASE("kernel cmdline: the netmask is that of the subnet's prefix length")
{
    struct Length {
        unsigned length;
        std::string mask;
    };
    for (const auto &[length, mask] :
         {Length{1, "128.0.0.0"}, Length{8, "255.0.0.0"}, Length{15, "255.254.0.0"}, Length{16, "255.255.0.0"},
          Length{20, "255.255.240.0"}, Length{23, "255.255.254.0"}, Length{24, "255.255.255.0"},
          Length{25, "255.255.255.128"}, Length{29, "255.255.255.248"}, Length{30, "255.255.255.252"}}) {
        CAPTURE(length);
        auto lease = sample_lease(1);
        lease.taps.front().prefix_length = length;
        CHECK(kernel_cmdline(lease) == "ip=192.168.7.2::192.168.7.1:" + mask + "::eth0:off net.ifnames=0");
    }
}

TEST_CASE("kernel cmdline: an empty command line becomes the words alone")
{
    check_added("", sample_text);
}

TEST_CASE("kernel cmdline: the words are added after the existing text, which stays unchanged")
{
    check_added("console=ttyS0", "console=ttyS0 " + sample_text);
    check_added("console=ttyS0 ", "console=ttyS0 " + sample_text);
    check_added("root=/dev/vda  rw quiet", "root=/dev/vda  rw quiet " + sample_text);
    check_added("dyndbg=\"file a.c +p\" quiet", "dyndbg=\"file a.c +p\" quiet " + sample_text);
}

TEST_CASE("kernel cmdline: the words are inserted before a lone --, because all after it is for the init program")
{
    check_added("quiet -- single", "quiet " + sample_text + " -- single");
    check_added("quiet --", "quiet " + sample_text + " --");
    check_added("-- single", sample_text + " -- single");
    check_added("a -- b -- c", "a " + sample_text + " -- b -- c");
    check_added("quiet -- ip=dhcp net.ifnames=1", "quiet " + sample_text + " -- ip=dhcp net.ifnames=1");
}

TEST_CASE("kernel cmdline: two dashes within a word end nothing")
{
    check_added("init=/bin/x --verbose a--b", "init=/bin/x --verbose a--b " + sample_text);
    check_added("note=\"a -- b\"", "note=\"a -- b\" " + sample_text);
}

TEST_CASE("kernel cmdline: two quoted dashes are a lone --, because the kernel strips such quotes")
{
    check_added("quiet \"--\" single", "quiet " + sample_text + " \"--\" single");
    check_added("quiet \"--", "quiet " + sample_text + " \"--");
}

TEST_CASE("kernel cmdline: the words are inserted before an unclosed quote, which would swallow them")
{
    check_added("quiet note=\"see there", "quiet " + sample_text + " note=\"see there");
    check_added("\"quiet rw -- single", sample_text + " \"quiet rw -- single");
    check_added("a=\"b c\" d=\"e\"f\"", "a=\"b c\" " + sample_text + " d=\"e\"f\"");
}

TEST_CASE("kernel cmdline: a command line with an ip= anywhere stays unchanged")
{
    for (const auto *cmdline :
         {"ip=dhcp", "ip=", "quiet ip=dhcp", "ip=dhcp quiet", "quiet ip=10.0.0.2::10.0.0.1 rw", "quiet\tip=dhcp",
          "quiet\nip=dhcp", "quiet\rip=dhcp", "quiet\fip", "quiet\vip=dhcp", "ip=dhcp -- single", "a=\"b c\" ip=none"})
        check_left_alone(cmdline);
}

TEST_CASE("kernel cmdline: an ip= that is quoted as a whole counts too, because the kernel strips such quotes")
{
    check_left_alone("\"ip=dhcp\" quiet");
    check_left_alone("quiet \"ip\" rw");
    check_left_alone("quiet \"ip=dhcp");
}

TEST_CASE("kernel cmdline: text that only resembles ip= does not count")
{
    for (const std::string cmdline : {"rip=1", "ipv6.disable=1", "nfs.ip=1", "note=\"see ip=dhcp there\"", "ip6=dhcp",
                                      "note=ip=dhcp", "rd.neednet=1"})
        check_added(cmdline, cmdline + " " + sample_text);
}

TEST_CASE("kernel cmdline: a word whose key exists already is not added again")
{
    check_added("net.ifnames=0 quiet", "net.ifnames=0 quiet ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off");
    check_added("net.ifnames=1", "net.ifnames=1 ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off");
}

TEST_CASE("kernel cmdline: several words with one key are all added")
{
    CHECK(with_words("quiet", kernel_cmdline_words(sample_lease(2))) ==
          "quiet ip=192.168.8.2:::255.255.255.0::eth1:off ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off "
          "net.ifnames=0");
}
