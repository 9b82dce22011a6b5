// SPDX-License-Identifier: MIT
//
// The words that Yocto's runqemu gets for a lease, as exact lists: a prefix for its own tap, and arguments of QEMU and
// the guest's kernel for the further ones.

#include "client/vmm/runqemu.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"
#include "tests/unit/sample_lease.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

// A lease of the profile for runqemu: the first tap by runqemu's rule with number 3, alone with its guest, and standard
// ones.
LeaseGrant sample_lease_of_runqemu(unsigned count)
{
    auto lease = sample_lease(count);
    auto &first = lease.taps.front();
    first.name = "rq01234567t3";
    first.index = 3;
    first.gateway = {0xc0a80707};
    first.guest = {0xc0a80708};
    first.prefix_length = 32;
    return lease;
}

const std::string usual_image = "[config_bsp]\n"
                                "qb_machine = -machine q35,i8042=off\n"
                                "qb_network_device = -device virtio-net-pci,netdev=net0,mac=@MAC@\n"
                                "qb_opt_append = -device virtio-vga -display sdl\n"
                                "qb_system_name = qemu-system-x86_64\n";

// The client's choice of model, without --device.
NicOptions own_choice()
{
    NicOptions options;
    options.device.clear();
    return options;
}

Words with_further(const Words &arguments, unsigned count)
{
    const auto result = with_further_taps(arguments, sample_lease_of_runqemu(count), own_choice(), usual_image);
    CHECK_FALSE(result.warning.has_value());
    return result.words;
}

const std::string second_nic = "-netdev tap,id=tapctl0,ifname=tap8,script=no,downscript=no "
                               "-device virtio-net-pci,netdev=tapctl0,mac=52:54:00:ab:00:08";
const std::string primary = "ip=192.168.7.8::192.168.7.7:255.255.255.0::eth0:off net.ifnames=0";
const std::string second_ip = "ip=192.168.8.2:::255.255.255.0::eth1:off ";

} // namespace

TEST_CASE("runqemu: OE_TAP_NAME is the device's name without its number")
{
    CHECK(lock_file(sample_lease_of_runqemu(1).taps.front()) == "/tmp/qemu-tap-locks/rq01234567t3.lock");
    CHECK(tap_name_prefix(sample_lease_of_runqemu(1).taps.front()) == "rq01234567t");
    auto tap = sample_tap(7);
    tap.name = "rqt126";
    CHECK(tap_name_prefix(tap) == "rqt");
}

TEST_CASE("runqemu: a lease of one tap needs no words")
{
    const Words given{"core-image-minimal", "nographic", "qemuparams=-m 512", "bootparams=quiet"};
    CHECK(with_further(given, 1) == given);
    CHECK(with_further({}, 1).empty());
}

TEST_CASE("runqemu: further taps are NICs after runqemu's own, and its own ip= is repeated last")
{
    CHECK(with_further({"qemux86-64", "nographic"}, 2) ==
          Words{"qemux86-64", "nographic", "qemuparams=" + second_nic, "bootparams=" + second_ip + primary});
    CHECK(with_further({}, 3) ==
          Words{"qemuparams=" + second_nic +
                    " -netdev tap,id=tapctl1,ifname=tap9,script=no,downscript=no "
                    "-device virtio-net-pci,netdev=tapctl1,mac=52:54:00:ab:00:09",
                "bootparams=" + second_ip + "ip=192.168.9.2:::255.255.255.0::eth2:off " + primary});
}

TEST_CASE("runqemu: the caller's words for QEMU and the kernel come first, where runqemu reads them")
{
    CHECK(with_further({"bootparams=quiet debug", "kvm", "qemuparams=-m 512 -snapshot", "sdl"}, 2) ==
          Words{"bootparams=quiet debug " + second_ip + primary, "kvm", "qemuparams=-m 512 -snapshot " + second_nic,
                "sdl"});
    // runqemu uses the last of several.
    CHECK(with_further({"qemuparams=-m 512", "qemuparams=-m 256", "bootparams=a", "bootparams=b"}, 2) ==
          Words{"qemuparams=-m 512", "qemuparams=-m 256 " + second_nic, "bootparams=a",
                "bootparams=b " + second_ip + primary});
    CHECK(with_further({"bootparams=quiet -- single"}, 2).front() ==
          "bootparams=quiet " + second_ip + primary + " -- single");
    CHECK(with_further({"bootparams=net.ifnames=1"}, 2).front() ==
          "bootparams=net.ifnames=1 " + second_ip + "ip=192.168.7.8::192.168.7.7:255.255.255.0::eth0:off");
}

TEST_CASE("runqemu: the caller's own NICs are between runqemu's and the added ones")
{
    const std::string own = "-netdev user,id=net1 -device virtio-net-pci,netdev=net1";
    CHECK(with_further({"qemuparams=" + own}, 2) ==
          Words{"qemuparams=" + own + " " + second_nic,
                "bootparams=ip=192.168.8.2:::255.255.255.0::eth2:off " + primary});
}

TEST_CASE("runqemu: a caller's NIC of another driver comes after the added ones, and a warning names the assumption")
{
    const auto result = with_further_taps({"qemuparams=-netdev user,id=a -device e1000,netdev=a"},
                                          sample_lease_of_runqemu(2), own_choice(), usual_image);
    CHECK(result.words.back() == "bootparams=ip=192.168.8.2:::255.255.255.0::eth1:off " + primary);
    CHECK(contains(result.warning.value_or(""), "--first-nic"));
}

TEST_CASE("runqemu: if the caller gives the first added NIC's number, runqemu's own is eth0 or comes after the added")
{
    auto options = own_choice();
    options.first_nic = 2;
    CHECK(with_further_taps({}, sample_lease_of_runqemu(2), options, usual_image).words.back() ==
          "bootparams=ip=192.168.8.2:::255.255.255.0::eth2:off " + primary);
    options.first_nic = 0;
    CHECK(with_further_taps({}, sample_lease_of_runqemu(3), options, usual_image).words.back() ==
          "bootparams=ip=192.168.8.2:::255.255.255.0::eth0:off ip=192.168.9.2:::255.255.255.0::eth1:off "
          "ip=192.168.7.8::192.168.7.7:255.255.255.0::eth2:off net.ifnames=0");
}

TEST_CASE("runqemu: words come from the image's settings, and from runqemu's defaults where these have none")
{
    CHECK(qemu_words(usual_image) == Words{"qemu-system-x86_64", "-device", "virtio-net-pci,netdev=net0,mac=@MAC@",
                                           "-device", "virtio-vga", "-display", "sdl", "-machine", "q35,i8042=off"});
    const Words silent{"qemu", "-device", "virtio-net-pci,netdev=net0"};
    for (const std::string text :
         {"", "\n\n", "qb_machine", "qb_machines = -M pc\nxqb_machine = -M pc", "qb_machine ="})
        CHECK(qemu_words(text) == silent);
    CHECK(qemu_words("qb_machine=-M pc").back() == "pc");
}

TEST_CASE("runqemu: further NICs have the driver of runqemu's own NIC, so that the guest finds that one first")
{
    const auto beside = [](const std::string &machine, const std::string &own, NicOptions options = own_choice()) {
        return with_further_taps({}, sample_lease_of_runqemu(2), std::move(options),
                                 "qb_system_name = " + machine + "\nqb_network_device = " + own);
    };
    const auto model_of = [](const RunqemuArguments &result) {
        const auto begin = result.words.front().find("-device ") + 8;
        return result.words.front().substr(begin, result.words.front().find(',', begin) - begin);
    };
    struct Row {
        std::string machine, own, model;
    };
    const std::string pc = "qemu-system-x86_64";
    const std::string arm = "qemu-system-arm\nqb_machine = -machine virt,highmem=off";
    for (const auto &row :
         {Row{pc, "-device e1000,netdev=net0,mac=@MAC@", "e1000"},
          Row{pc, "-device virtio-net-pci,netdev=net0", "virtio-net-pci"},
          Row{pc, "-device rtl8139,netdev=net0", "rtl8139"}, Row{pc, "-net nic,macaddr=@MAC@", "e1000"}}) {
        CAPTURE(row.own);
        const auto result = beside(row.machine, row.own);
        CHECK(model_of(result) == row.model);
        CHECK_FALSE(result.warning);
        CHECK(result.words.back() == "bootparams=" + second_ip + primary);
    }
    // An unknown driver, a driver that the caller chose, and a transport that comes first if it is built in.
    for (const auto &result : {beside(pc, "-device rocker"), beside(pc, "-device e1000,netdev=net0", NicOptions{}),
                               beside(arm, "-device virtio-net-device,netdev=net0,mac=@MAC@")}) {
        CHECK(model_of(result) == "virtio-net-pci");
        CHECK(contains(result.warning.value_or(""), "--first-nic"));
    }
}

TEST_CASE("runqemu: without the image's settings a warning names the assumption")
{
    const auto result = with_further_taps({"qemux86-64"}, sample_lease_of_runqemu(2), own_choice(), std::nullopt);
    CHECK(result.words == Words{"qemux86-64", "qemuparams=" + second_nic, "bootparams=" + second_ip + primary});
    CHECK(contains(result.warning.value_or(""), "eth1 is taken for tap8"));
    auto told = own_choice();
    told.first_nic = 1;
    CHECK_FALSE(with_further_taps({}, sample_lease_of_runqemu(2), told, std::nullopt).warning);
}

TEST_CASE("runqemu: a bootparams= with an ip= stays unchanged, with a warning, and the NICs are still added")
{
    const auto result =
        with_further_taps({"bootparams=ip=dhcp"}, sample_lease_of_runqemu(2), own_choice(), usual_image);
    CHECK(result.words == Words{"bootparams=ip=dhcp", "qemuparams=" + second_nic});
    CHECK(result.warning ==
          "bootparams= has an ip= already and was left as it is; the guest would need " + second_ip + primary);
}

TEST_CASE("runqemu: a Python script that chooses its tap by lock and does not read OE_TAP_NAME is refused")
{
    const std::string reason =
        "it does not know OE_TAP_NAME and would make a tap with sudo; the runqemu of Yocto 4.3 or later is needed. An "
        "older one gets taps from: qemu-tapctl run --hold name -- runqemu ... slirp qemuparams=..., as qemu-tapctl(1) "
        "describes";
    const std::string locks = "lockdir = \"/tmp/qemu-tap-locks\"\n";
    for (const std::string interpreter : {"#!/usr/bin/env python3", "#!/usr/bin/python3 -B", "#! /opt/bin/python3.11"})
        CHECK(runqemu_problem(interpreter + "\n" + locks) == reason);
    struct Row {
        std::string script, why;
    };
    for (const auto &[script, why] : {
             Row{"#!/usr/bin/env python3\n" + locks + "if 'OE_TAP_NAME' in os.environ:\n", "it reads the variable"},
             Row{"#!/usr/bin/env python3\nos.execv(newer, sys.argv)\n", "a wrapper in Python"},
             Row{"#!/bin/sh\nls /tmp/qemu-tap-locks # not python\nexec /opt/newer/runqemu \"$@\"\n", "a wrapper of sh"},
             Row{"# python\n" + locks, "no script"},
             Row{"#!/usr/bin/env python3", "nothing but an interpreter"},
             Row{"", "not readable"},
         }) {
        CAPTURE(why);
        CHECK(runqemu_problem(script) == std::nullopt);
    }
}

TEST_CASE("runqemu: arguments that make it use no tap are refused by name")
{
    for (const std::string word : {"slirp", "nonetwork", "bridge=br0", "bridge="}) {
        CAPTURE(word);
        const auto error = tap_error_of([&] { require_tap_network({"qemux86-64", word}); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(contains(error.what(), "\"" + word + "\""));
    }
    require_tap_network({"qemux86-64", "nographic", "kvm", "kvm-vhost", "slirps", "image-slirp.qemuboot.conf",
                         "qemuparams=slirp", "bootparams=bridge=x"});
}
