// SPDX-License-Identifier: MIT
//
// The arguments that connect QEMU to a lease, as exact lists.

#include "client/vmm/args.hpp"

#include "tests/catch.hpp"
#include "tests/unit/sample_lease.hpp"
#include "tests/unit/shell.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

LeaseGrant lease_with_queues(unsigned count, unsigned queues)
{
    auto lease = sample_lease(count);
    for (auto &tap : lease.taps)
        tap.queues = queues;
    return lease;
}

NicOptions model(const std::string &device)
{
    NicOptions options;
    options.device = device;
    return options;
}

// The value of the first -device.
std::string device_of(const LeaseGrant &lease, const std::string &device)
{
    return qemu_args(lease, model(device)).at(3);
}

} // namespace

TEST_CASE("args: taps held by name are opened by ifname= without scripts, in pairs, in the order of the taps")
{
    CHECK(qemu_args(sample_lease(2), NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,ifname=tap7,script=no,downscript=no", "-device",
                "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07", "-netdev",
                "tap,id=net1,ifname=tap8,script=no,downscript=no", "-device",
                "virtio-net-pci,netdev=net1,mac=52:54:00:ab:00:08"});
}

TEST_CASE("args: a tap held by descriptors is given as fds=, even if it has only one")
{
    CHECK(qemu_args(sample_lease(1), {{{5}, {}}}, NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,fds=5", "-device", "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07"});
}

TEST_CASE("args: each of several taps has its own descriptors")
{
    CHECK(qemu_args(sample_lease(2), {{{5}, {}}, {{9}, {}}}, NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,fds=5", "-device", "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07",
                "-netdev", "tap,id=net1,fds=9", "-device", "virtio-net-pci,netdev=net1,mac=52:54:00:ab:00:08"});
}

TEST_CASE("args: several queues by name are written on both the netdev and the virtio device")
{
    CHECK(qemu_args(lease_with_queues(1, 4), NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,ifname=tap7,script=no,downscript=no,queues=4", "-device",
                "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=10"});
}

TEST_CASE("args: several queues by descriptors are written on the device only, because fds= has their number")
{
    CHECK(qemu_args(lease_with_queues(1, 2), {{{5, 6}, {}}}, NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,fds=5:6", "-device",
                "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=6"});
}

TEST_CASE("args: a multi-queue PCI device has two vectors per queue and two more; one queue has no vectors=")
{
    CHECK(device_of(lease_with_queues(1, 1), "virtio-net-pci") == "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07");
    for (unsigned queues = 2; queues <= 16; ++queues) {
        CAPTURE(queues);
        CHECK(device_of(lease_with_queues(1, queues), "virtio-net-pci") ==
              "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=" + std::to_string(2 * queues + 2));
    }
}

TEST_CASE("args: vhost=on is written together with the vhost descriptors")
{
    CHECK(qemu_args(sample_lease(1), {{{5}, {7}}}, NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,fds=5,vhost=on,vhostfds=7", "-device",
                "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07"});
    CHECK(qemu_args(lease_with_queues(2, 2), {{{5, 6}, {7, 8}}, {{9, 10}, {11, 12}}}, NicOptions{}) ==
          Words{"-netdev", "tap,id=net0,fds=5:6,vhost=on,vhostfds=7:8", "-device",
                "virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=6", "-netdev",
                "tap,id=net1,fds=9:10,vhost=on,vhostfds=11:12", "-device",
                "virtio-net-pci,netdev=net1,mac=52:54:00:ab:00:08,mq=on,vectors=6"});
}

TEST_CASE("args: vhost without descriptors is never written, whatever the grant says")
{
    auto lease = sample_lease(1);
    lease.taps.front().vhost = true;
    CHECK(qemu_args(lease, NicOptions{}).at(1) == "tap,id=net0,ifname=tap7,script=no,downscript=no");
    CHECK(qemu_args(lease, {{{5}, {}}}, NicOptions{}).at(1) == "tap,id=net0,fds=5");
}

TEST_CASE("args: numbering begins with the requested netdev, and the device uses the same number")
{
    NicOptions options;
    options.first_netdev = 3;
    CHECK(qemu_args(sample_lease(2), options) == Words{"-netdev", "tap,id=net3,ifname=tap7,script=no,downscript=no",
                                                       "-device", "virtio-net-pci,netdev=net3,mac=52:54:00:ab:00:07",
                                                       "-netdev", "tap,id=net4,ifname=tap8,script=no,downscript=no",
                                                       "-device", "virtio-net-pci,netdev=net4,mac=52:54:00:ab:00:08"});
}

TEST_CASE("args: after a caller's command the netdevs have ids of their own")
{
    NicOptions options;
    options.netdev = added_netdev;
    CHECK(qemu_args(sample_lease(1), options) == Words{"-netdev", "tap,id=tapctl0,ifname=tap7,script=no,downscript=no",
                                                       "-device",
                                                       "virtio-net-pci,netdev=tapctl0,mac=52:54:00:ab:00:07"});
}

TEST_CASE("args: no bus address is written if QEMU is to choose it")
{
    auto options = model("virtio-net-device");
    options.first_mmio_bus = std::nullopt;
    CHECK(qemu_args(sample_lease(1), options).at(3) == "virtio-net-device,netdev=net0,mac=52:54:00:ab:00:07");
}

TEST_CASE("args: ifname= is the kernel's name of the device, even if it is no longer tapN")
{
    auto lease = sample_lease(1);
    lease.taps.front().name = "vm-lan";
    CHECK(qemu_args(lease, NicOptions{}).at(1) == "tap,id=net0,ifname=vm-lan,script=no,downscript=no");
}

TEST_CASE("args: another model has its own name and no virtio properties, even with several queues")
{
    for (const std::string name : {"e1000", "e1000e", "rtl8139", "vmxnet3", "usb-net", "ne2k_pci"}) {
        CAPTURE(name);
        CHECK(device_of(lease_with_queues(1, 1), name) == name + ",netdev=net0,mac=52:54:00:ab:00:07");
        CHECK(device_of(lease_with_queues(1, 4), name) == name + ",netdev=net0,mac=52:54:00:ab:00:07");
    }
}

TEST_CASE("args: all of virtio's PCI models are multi-queue")
{
    for (const std::string name : {"virtio-net-pci-transitional", "virtio-net-pci-non-transitional"}) {
        CAPTURE(name);
        CHECK(device_of(lease_with_queues(1, 2), name) == name + ",netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=6");
    }
}

TEST_CASE("args: a model can have properties, which come before the added ones")
{
    CHECK(device_of(lease_with_queues(1, 1), "e1000,romfile=") == "e1000,romfile=,netdev=net0,mac=52:54:00:ab:00:07");
    CHECK(device_of(lease_with_queues(1, 2), "virtio-net-pci,romfile=,disable-legacy=on") ==
          "virtio-net-pci,romfile=,disable-legacy=on,netdev=net0,mac=52:54:00:ab:00:07,mq=on,vectors=6");
}

TEST_CASE("args: virtio-net-device names its transport, or the guest would find the NICs in reverse order")
{
    CHECK(qemu_args(sample_lease(2), model("virtio-net-device")) ==
          Words{"-netdev", "tap,id=net0,ifname=tap7,script=no,downscript=no", "-device",
                "virtio-net-device,netdev=net0,mac=52:54:00:ab:00:07,bus=virtio-mmio-bus.0", "-netdev",
                "tap,id=net1,ifname=tap8,script=no,downscript=no", "-device",
                "virtio-net-device,netdev=net1,mac=52:54:00:ab:00:08,bus=virtio-mmio-bus.1"});
}

TEST_CASE("args: virtio-net-device is multi-queue without vectors=, which it does not have")
{
    CHECK(device_of(lease_with_queues(1, 2), "virtio-net-device") ==
          "virtio-net-device,netdev=net0,mac=52:54:00:ab:00:07,mq=on,bus=virtio-mmio-bus.0");
}

TEST_CASE("args: a device model is a name with properties that need no quoting")
{
    for (const auto *text : {"virtio-net-pci", "e1000", "ne2k_pci", "e1000-82544gc", "virtio-net-pci,romfile=",
                             "virtio-net-pci,host_mtu=1500,addr=05.0", "e1000,romfile=/usr/share/qemu/efi.rom"}) {
        CAPTURE(text);
        CHECK(is_device_model(text));
    }
}

TEST_CASE("args: text that QEMU or a shell could misread is not a device model")
{
    using namespace std::string_view_literals;
    for (const auto text : {""sv,        "-device"sv,   "--help"sv,  ",netdev=net9"sv, "virtio net"sv,
                            "$(x)"sv,    "e1000;x"sv,   "e1000\n"sv, "e1000'"sv,       "e1000\""sv,
                            "e1000\\"sv, "e1000\x1b"sv, "caf\xe9"sv, "e1000\0"sv,      R"({"driver":"e1000"})"sv,
                            " e1000"sv,  "e1000 "sv,    "e1000*"sv,  "e1000#"sv,       "~e1000"sv}) {
        CAPTURE(text);
        CHECK_FALSE(is_device_model(text));
    }
}

TEST_CASE("args: words that need no quoting are joined by spaces unchanged")
{
    CHECK(shell_line(qemu_args(sample_lease(1), NicOptions{})) ==
          "-netdev tap,id=net0,ifname=tap7,script=no,downscript=no "
          "-device virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07");
    CHECK(shell_line({}).empty());
}

TEST_CASE("args: sh reads every word back unchanged, whatever is in it")
{
    const Words quoted{"it's", "a\"b", "'", "back\\slash", "", "two words", "two\nlines", "caf\xc3\xa9"};
    const Words special{"plain", "$(x)", "`x`", "$HOME", "semi;colon", "*", "~", "#no-comment", "a&b", "!", ""};
    for (const auto &words : {quoted, special}) {
        std::string expected;
        for (const auto &word : words)
            expected += word + "|";
        CHECK(printed_by_sh("printf '%s|' " + shell_line(words)) == expected);
    }
}
