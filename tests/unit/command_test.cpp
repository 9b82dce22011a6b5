// SPDX-License-Identifier: MIT
//
// A caller's command is read as QEMU reads it, and returned with added words and nothing else changed.

#include "client/vmm/command.hpp"

#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

const Words our_nic{"-netdev", "tap,id=tapctl0,fds=5", "-device",
                    "virtio-net-pci,netdev=tapctl0,mac=52:54:00:ab:00:07"};
const Words our_ip{"ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off", "net.ifnames=0"};
const std::string our_ip_text = "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0";

Words joined(Words first, const Words &second)
{
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

CommandFacts facts_of(const Words &arguments)
{
    return look_at(joined({"qemu-system-x86_64"}, arguments));
}

MergedCommand merged(const Words &command)
{
    return merge(command, look_at(command), our_nic, our_ip);
}

// Expects `expected` in place of the caller's words, followed by the added NIC.
void check_merged(const Words &command, const Words &expected)
{
    CAPTURE(command);
    const auto result = merged(command);
    CHECK(result.words == joined(expected, our_nic));
    CHECK(result.warning.has_value() != look_at(command).has_kernel);
}

} // namespace

TEST_CASE("command: without -kernel only the NIC is added after the caller's words")
{
    check_merged({"qemu-system-x86_64", "-m", "512", "disk.img"}, {"qemu-system-x86_64", "-m", "512", "disk.img"});
    check_merged({"qemu-system-x86_64"}, {"qemu-system-x86_64"});
}

TEST_CASE("command: without -kernel an -append stays unchanged, because no kernel would read it")
{
    check_merged({"qemu", "-append", "quiet"}, {"qemu", "-append", "quiet"});
    check_merged({"qemu", "-append", "ip=dhcp"}, {"qemu", "-append", "ip=dhcp"});
}

TEST_CASE("command: the ip= words are added to the caller's -append")
{
    check_merged({"qemu", "-kernel", "bzImage", "-append", "console=ttyS0", "-nographic"},
                 {"qemu", "-kernel", "bzImage", "-append", "console=ttyS0 " + our_ip_text, "-nographic"});
    check_merged({"qemu", "-append", "console=ttyS0", "-kernel", "bzImage"},
                 {"qemu", "-append", "console=ttyS0 " + our_ip_text, "-kernel", "bzImage"});
    check_merged({"qemu", "-kernel", "bzImage", "-append", ""}, {"qemu", "-kernel", "bzImage", "-append", our_ip_text});
}

TEST_CASE("command: with -kernel and no -append one is added")
{
    CHECK(merged({"qemu", "-kernel", "bzImage"}).words ==
          joined(joined({"qemu", "-kernel", "bzImage"}, our_nic), {"-append", our_ip_text}));
}

TEST_CASE("command: of several -append the last is changed, because QEMU uses that one")
{
    check_merged({"qemu", "-kernel", "bzImage", "-append", "first", "-append", "last"},
                 {"qemu", "-kernel", "bzImage", "-append", "first", "-append", "last " + our_ip_text});
    check_merged({"qemu", "-kernel", "bzImage", "-append", "ip=dhcp", "-append", "last"},
                 {"qemu", "-kernel", "bzImage", "-append", "ip=dhcp", "-append", "last " + our_ip_text});
}

TEST_CASE("command: an -append with an ip= stays unchanged, and a warning says so and names the missing words")
{
    const Words command{"qemu", "-kernel", "bzImage", "-append", "quiet ip=dhcp"};
    const auto result = merged(command);
    CHECK(result.words == joined(command, our_nic));
    REQUIRE(result.warning.has_value());
    CAPTURE(*result.warning);
    CHECK(contains(*result.warning, "-append"));
    CHECK(contains(*result.warning, our_ip_text));
    CHECK_FALSE(contains(*result.warning, "\n"));
}

TEST_CASE("command: the ip= words are inserted before a -- in -append")
{
    check_merged({"qemu", "-kernel", "bzImage", "-append", "quiet -- ip=dhcp"},
                 {"qemu", "-kernel", "bzImage", "-append", "quiet " + our_ip_text + " -- ip=dhcp"});
}

TEST_CASE("command: quotes in -append are kept")
{
    check_merged({"qemu", "-kernel", "bzImage", "-append", "dyndbg=\"file a.c +p\" x='y z'"},
                 {"qemu", "-kernel", "bzImage", "-append", "dyndbg=\"file a.c +p\" x='y z' " + our_ip_text});
}

TEST_CASE("command: options with two dashes are recognised too")
{
    check_merged({"qemu", "--kernel", "bzImage", "--append", "quiet"},
                 {"qemu", "--kernel", "bzImage", "--append", "quiet " + our_ip_text});
    CHECK(facts_of({"--netdev", "user,id=tapctl0", "--device", "e1000,netdev=tapctl0"}).nics.size() == 1);
}

TEST_CASE("command: a value that looks like an option is still a value")
{
    check_merged({"qemu", "-kernel", "-append", "-append", "quiet"},
                 {"qemu", "-kernel", "-append", "-append", "quiet " + our_ip_text});
    check_merged({"qemu", "-kernel", "bzImage", "-append", "-kernel"},
                 {"qemu", "-kernel", "bzImage", "-append", "-kernel " + our_ip_text});
    check_merged({"qemu", "-name", "-kernel", "disk.img"}, {"qemu", "-name", "-kernel", "disk.img"});
    CHECK(facts_of({"-name", "-nic", "user"}).nics.size() == 0);
}

TEST_CASE("command: an option without a value does not hide the option after it")
{
    // From qemu(1) of 7.2 and later.
    const Words run_state{"-S", "-s", "-no-reboot", "-no-shutdown", "-daemonize", "-preconfig", "-snapshot"};
    const Words display{"-nographic", "--nographic", "-full-screen", "-portrait", "-h", "-help", "-version"};
    const Words machine{"-enable-kvm", "-usb",           "-mem-prealloc", "-no-acpi",
                        "-no-hpet",    "-no-fd-bootchk", "-semihosting"};
    const Words others{"-nodefaults", "-no-user-config", "-only-migratable", "-singlestep", "-enable-sync-profile"};
    const Words rare{"-win2k-hack", "-xen-attach", "-xen-domid-restrict", "-audio-help", "-perfmap", "-jitdump"};
    for (const auto &options : {run_state, display, machine, others, rare})
        for (const auto &option : options) {
            CAPTURE(option);
            CHECK(facts_of({option, "-kernel", "bzImage"}).has_kernel);
            CHECK(facts_of({option, "-nic", "user"}).nics.size() == 1);
        }
}

TEST_CASE("command: a value that begins with a dash does not hide the option after it")
{
    for (const std::string option : {"-m", "-cpu", "-machine", "-drive", "-serial", "-monitor", "-display", "-smp",
                                     "-initrd", "-hda", "-object", "-chardev", "-global", "-fw_cfg"}) {
        CAPTURE(option);
        CHECK_FALSE(facts_of({option, "-kernel", "bzImage"}).has_kernel);
    }
}

TEST_CASE("command: words before QEMU stay there and hide none of QEMU's options")
{
    const Words qemu{"qemu-system-x86_64", "-kernel", "bzImage", "-append", "quiet"};
    const Words expected{"qemu-system-x86_64", "-kernel", "bzImage", "-append", "quiet " + our_ip_text};
    for (const auto &wrapper :
         {Words{"taskset", "-c", "0,1"}, Words{"taskset", "0x3"}, Words{"env", "LANG=C"}, Words{"env", "-i"},
          Words{"env", "-u", "DISPLAY", "A=b"}, Words{"nice", "-n", "5"}, Words{"nice"}, Words{"gdb", "--args"},
          Words{"gdb", "-ex", "run", "--args"}, Words{"strace", "-f", "-o", "trace"},
          Words{"timeout", "--foreground", "60"}, Words{"systemd-run", "--user", "--scope", "--"},
          Words{"setsid", "-w"}, Words{"numactl", "--cpunodebind=0", "--membind=0"}, Words{"unshare", "--net"},
          Words{"env", "--"}, Words{"stdbuf", "-o", "L"}})
        check_merged(joined(wrapper, qemu), joined(wrapper, expected));
}

TEST_CASE("command: words before QEMU are not counted as NICs")
{
    CHECK(look_at({"unshare", "--net", "qemu", "-m", "512"}).nics.size() == 0);
    CHECK(look_at({"taskset", "-c", "0", "qemu", "-nic", "user"}).nics.size() == 1);
}

TEST_CASE("command: an -append or -kernel without a value is left for QEMU to report")
{
    CHECK_FALSE(facts_of({"-kernel"}).has_kernel);
    CHECK(facts_of({"-kernel", "bzImage", "-append"}).append == std::nullopt);
}

TEST_CASE("command: the caller's NICs by -nic are counted")
{
    CHECK(facts_of({"-nic", "user"}).nics.size() == 1);
    CHECK(facts_of({"-nic", "user,model=e1000,id=tapctl0"}).nics.size() == 1);
    CHECK(facts_of({"-nic", "tap,ifname=x", "-nic", "bridge,br=br0"}).nics.size() == 2);
    CHECK(facts_of({"-nic", "none"}).nics.size() == 0);
}

TEST_CASE("command: the caller's NICs by -net are counted, and their back ends are not")
{
    CHECK(facts_of({"-net", "nic", "-net", "user"}).nics.size() == 1);
    CHECK(facts_of({"-net", "nic,model=e1000,netdev=tapctl0", "-netdev", "user,id=tapctl0"}).nics.size() == 1);
    CHECK(facts_of({"-net", "nic", "-net", "nic", "-net", "tap"}).nics.size() == 2);
    CHECK(facts_of({"-net", "none"}).nics.size() == 0);
    CHECK(facts_of({"-net", "user"}).nics.size() == 0);
}

TEST_CASE("command: the caller's NICs by -device are counted, with and without a netdev")
{
    CHECK(facts_of({"-netdev", "user,id=a", "-device", "virtio-net-pci,netdev=a"}).nics.size() == 1);
    CHECK(facts_of({"-netdev", "user,id=a", "-device", "spapr-vlan,netdev=a"}).nics.size() == 1);
    CHECK(facts_of({"-device", "driver=e1000,netdev=a"}).nics.size() == 1);
    const Words virtio{"virtio-net", "virtio-net-pci", "virtio-net-device", "virtio-net-pci-non-transitional"};
    const Words intel{"e1000", "e1000-82544gc", "e1000e", "igb", "i82550", "i82551", "i82557a", "i82562", "i82801"};
    const Words others{"ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "tulip", "usb-net", "vmxnet3"};
    for (const auto &models : {virtio, intel, others})
        for (const auto &model : models) {
            CAPTURE(model);
            CHECK(facts_of({"-device", model}).nics.size() == 1);
            CHECK(facts_of({"-device", model + ",mac=52:54:00:00:00:01"}).nics.size() == 1);
        }
}

TEST_CASE("command: the caller's NICs by a -device in JSON are counted, with and without a netdev")
{
    CHECK(facts_of({"-device", R"({"driver":"virtio-net-pci","netdev":"hostnet0","id":"nic"})"}).nics.size() == 1);
    CHECK(facts_of({"-device", R"({ "netdev" : "a", "driver" : "spapr-vlan" })"}).nics.size() == 1);
    CHECK(facts_of({"-device", R"({"driver":"e1000","mac":"52:54:00:00:00:01"})"}).nics.size() == 1);
    CHECK(facts_of({"-device", R"({"driver":"virtio-blk-pci","drive":"d"})"}).nics.size() == 0);
}

TEST_CASE("command: other devices, and netdevs alone, are not counted as NICs")
{
    CHECK(facts_of({"-device", "virtio-blk-pci,drive=d", "-device", "virtio-rng-pci"}).nics.size() == 0);
    CHECK(facts_of({"-device", "qemu-xhci"}).nics.size() == 0);
    CHECK(facts_of({"-netdev", "user,id=tapctl0"}).nics.size() == 0);
    CHECK(facts_of({"-object", "filter-dump,id=f,netdev=tapctl0,file=dump"}).nics.size() == 0);
}

TEST_CASE("command: the added netdevs get numbers after the caller's")
{
    CHECK(facts_of({"-m", "512"}).first_free_netdev == 0);
    CHECK(facts_of({"-netdev", "user,id=tapctl0", "-device", "e1000,netdev=tapctl0"}).first_free_netdev == 1);
    CHECK(facts_of({"-netdev", "user,id=tapctl3", "-netdev", "user,id=tapctl1"}).first_free_netdev == 4);
    CHECK(facts_of({"-netdev", "id=tapctl10,type=user"}).first_free_netdev == 11);
    CHECK(facts_of({"-nic", "user,id=tapctl0"}).first_free_netdev == 1);
    CHECK(facts_of({"-net", "nic,netdev=tapctl2", "-net", "user"}).first_free_netdev == 3);
    CHECK(facts_of({"-netdev", R"({"type":"user","id":"tapctl0"})"}).first_free_netdev == 1);
    CHECK(facts_of({"-device", R"({"driver":"e1000","netdev":"tapctl5"})"}).first_free_netdev == 6);
}

TEST_CASE("command: the added netdevs' numbers collide with none of the caller's, however high those are")
{
    const auto first_free = [](const Words &ids) {
        Words arguments;
        for (const auto &id : ids)
            arguments.insert(arguments.end(), {"-netdev", "user,id=" + id});
        return facts_of(arguments).first_free_netdev;
    };
    CHECK(first_free({"tapctl999999"}) == 1'000'000);
    CHECK(first_free({"tapctl999999", "tapctl1000000"}) == 1'000'001);
    CHECK(first_free({"tapctl999998", "tapctl1000030"}) == 1'000'031);
    CHECK(first_free({"tapctl3", "tapctl2000000"}) == 4);
    CHECK(first_free({"tapctl999999999"}) == 0);
}

TEST_CASE("command: names that only resemble tapctlI use no number")
{
    for (const auto *value :
         {"user,id=hosttapctl0", "user,id=mytapctl0", "user,id=tapctl0x", "user,id=tapctls", "user,id=tapctl",
          "user,id=tapctl-0", "user,id=tapctl_0", "user,id=tapctl99999999999999999999"}) {
        CAPTURE(value);
        CHECK(facts_of({"-netdev", value}).first_free_netdev == 0);
    }
}

TEST_CASE("command: values of other options use no number")
{
    CHECK(facts_of({"-name", "tapctl7", "-kernel", "tapctl8", "-append", "tapctl9"}).first_free_netdev == 0);
}
