// SPDX-License-Identifier: MIT
//
// The position of the first added NIC among the guest's. tests/guest/test_nic_order.py boots guests that count so.

#include "client/guest/nic_order.hpp"
#include "client/vmm/command.hpp"
#include "client/vmm/placeholders.hpp"

#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

struct Cell {
    Words command;
    std::string model; // of the added NICs
    unsigned first;
    bool is_certain;
    unsigned count = 1; // of the added NICs
};

void check(const std::vector<Cell> &cells)
{
    for (const auto &cell : cells) {
        CAPTURE(cell.command, cell.model);
        const auto facts = look_at(cell.command);
        const auto order = nic_order(facts.machine, facts.nics, cell.model, cell.count);
        CHECK(order.first == cell.first);
        CHECK(order.is_certain == cell.is_certain);
    }
}

const std::string pc = "qemu-system-x86_64";
const std::string arm64 = "/usr/bin/qemu-system-aarch64";
const std::string arm = "qemu-system-arm";
const std::string virtio = "virtio-net-pci";
const std::string on_mmio = "virtio-net-device";

} // namespace

TEST_CASE("nic order: NICs of one driver are found in the order of the command line")
{
    check({{{pc}, virtio, 0, true},
           {{pc, "-nic", "none"}, virtio, 0, true},
           {{pc, "-device", "virtio-net-pci,netdev=a"}, virtio, 1, true},
           {{pc, "-device", "virtio-net-pci-non-transitional,netdev=a"}, virtio, 1, true},
           {{pc, "-nic", "user,model=virtio-net-pci", "-nic", "user,model=virtio"}, virtio, 2, true},
           {{pc, "-nic", "user"}, "e1000", 1, true},
           {{pc, "-net", "nic", "-net", "user"}, "e1000", 1, true},
           {{pc, "-M", "q35", "-nic", "user"}, "e1000e", 1, true},
           {{pc, "-machine", "type=q35,accel=kvm", "-nic", "user"}, "e1000e", 1, true},
           {{arm64, "-M", "virt", "-nic", "user"}, virtio, 1, true},
           {{"qemu-system-mipsel", "-M", "malta", "-nic", "user"}, "pcnet", 1, true},
           {{"qemu-kvm", "-nic", "user"}, "e1000", 1, true},
           {{"taskset", "1", pc, "-nic", "user"}, "e1000", 1, true}});
}

TEST_CASE("nic order: of several drivers Linux probes the first one first, which modules may change")
{
    check({{{pc, "-nic", "user"}, virtio, 0, false},
           {{pc, "-net", "nic", "-net", "user"}, virtio, 0, false},
           {{pc, "-M", "q35", "-nic", "user"}, virtio, 0, false},
           {{pc, "-nic", "user"}, "rtl8139", 1, false},
           {{pc, "-device", "vmxnet3"}, "e1000", 0, false},
           {{pc, "-device", "virtio-net-pci,netdev=a", "-device", "e1000,netdev=b"}, virtio, 1, false},
           {{pc, "-device", "virtio-net-pci,netdev=a"}, "e1000", 1, false}});
}

TEST_CASE("nic order: a NIC of an unknown model comes after virtio and before an unknown device")
{
    check({{{pc, "-device", "rocker"}, virtio, 0, false},
           {{pc, "-device", "rocker"}, "e1000", 1, false},
           {{pc, "-device", "virtio-net-pci"}, "rocker", 1, false},
           {{"qemu-system-ppc64", "-M", "pseries", "-nic", "user"}, virtio, 0, false},
           {{"qemu-system-arm", "-M", "versatilepb", "-nic", "user"}, virtio, 0, false},
           {{"./boot", "-nic", "user"}, virtio, 0, false}});
}

TEST_CASE("nic order: a bus behind a bridge comes after the first bus, and a chosen place can be anywhere")
{
    check({{{pc, "-device", "virtio-net-pci,netdev=a,bus=rp1"}, virtio, 0, true},
           {{pc, "-device", R"({"driver":"virtio-net-pci","netdev":"a","bus":"rp1"})"}, virtio, 0, true},
           {{pc, "-device", "virtio-net-pci,netdev=a,bus=pci.0"}, virtio, 1, true},
           {{pc, "-device", "virtio-net-pci,netdev=a,addr=1e"}, virtio, 1, false},
           {{pc, "-device", "virtio-net-pci,netdev=a"}, "virtio-net-pci,bus=rp1", 1, false}});
}

TEST_CASE("nic order: on virtio-mmio the added NICs have the first places, those without a place and PCI come last")
{
    check({{{arm64, "-M", "virt", "-device", "virtio-net-device,netdev=a"}, on_mmio, 0, true},
           {{arm64, "-M", "virt", "-device", "virtio-net-device,netdev=a,bus=virtio-mmio-bus.0"}, on_mmio, 1, true},
           {{arm64, "-M", "virt", "-device", "virtio-net-pci,netdev=a"}, on_mmio, 0, false},
           {{arm64, "-M", "virt", "-device", "virtio-net-device,netdev=a"}, virtio, 1, false},
           {{arm64, "-M", "virt"}, on_mmio, 0, true, 3},
           {{arm, "-M", "virt,highmem=off", "-device", "virtio-net-device,netdev=a"}, on_mmio, 0, true, 2}});
}

TEST_CASE("nic order: if the guest probes virtio-mmio's last place first, NICs keep their order and get no place")
{
    const std::string riscv = "qemu-system-riscv64";
    const Words own{"-device", "virtio-net-device,netdev=a"};
    check({{{pc, "-M", "microvm,acpi=off", own[0], own[1]}, on_mmio, 1, true, 2},
           {{pc, "-M", "microvm", own[0], own[1]}, on_mmio, 1, true},
           {{riscv, "-M", "virt", own[0], own[1]}, on_mmio, 1, true, 2},
           {{riscv, "-M", "virt"}, on_mmio, 0, true, 2},
           {{riscv, "-M", "virt", own[0], own[1] + ",bus=virtio-mmio-bus.5"}, on_mmio, 1, false}});
    for (const Words &command : {Words{pc, "-M", "microvm,acpi=off"},
                                 {pc, "-M", "microvm"},
                                 {riscv, "-M", "virt"},
                                 {"qemu-system-m68k", "-M", "virt"}})
        CHECK_FALSE(needs_mmio_place(look_at(command).machine));
    for (const Words &command : {Words{arm64, "-M", "virt,acpi=off"}, {arm, "-M", "virt"}, {"./boot-arm"}})
        CHECK(needs_mmio_place(look_at(command).machine));
}

TEST_CASE("nic order: several NICs on an untested machine, or with a kernel that keeps no order, are not certain")
{
    check({{{"qemu-system-m68k", "-M", "virt"}, on_mmio, 0, false, 2},
           {{"qemu-system-m68k", "-M", "virt"}, on_mmio, 0, true},
           {{"qemu-system-s390x"}, "virtio-net-ccw", 0, false, 2},
           {{"qemu-system-s390x"}, "virtio-net-ccw", 0, true},
           {{"qemu-system-s390x", "-device", "virtio-net-ccw,netdev=a"}, "virtio-net-ccw", 1, false}});
}

TEST_CASE("nic order: NICs that the caller connects by placeholders are counted in their order, -nic first")
{
    struct Row {
        Words words;
        unsigned first;
        bool is_certain;
    };
    const Words ours{"-netdev", "tap,id=a,fd={fd0}", "-device", "virtio-net-pci,netdev=a,mac={mac0}"};
    const Words second{"-netdev", "tap,id=b,fds={fds1}", "-device", "virtio-net-pci,netdev=b"};
    const Words own{"-netdev", "user,id=u", "-device", "virtio-net-pci,netdev=u"};
    const auto joined = [](std::vector<Words> parts) {
        Words words;
        for (auto &part : parts)
            words.insert(words.end(), part.begin(), part.end());
        return words;
    };
    for (const auto &row :
         {Row{joined({ours}), 0, true}, Row{joined({own, ours}), 1, true}, Row{joined({ours, own}), 0, true},
          Row{joined({ours, {"-nic", "user,model=virtio-net-pci"}}), 1, true},
          Row{joined({ours, {"-nic", "user"}}), 1, false},
          Row{joined({{"-nic", "user"}, {"-nic", "tap,fd={fd0},mac={mac0}"}}), 1, true},
          Row{{"-M", "vexpress-a9", "-nic", "tap,fd={fd0},mac={mac0}"}, 0, true},
          Row{joined({ours, {"-device", "virtio-net-pci,netdev=x,addr=2"}}), 0, false},
          Row{joined({ours, {"-readconfig", "more"}}), 0, false}, Row{{"-nic", "user"}, 0, false}}) {
        CAPTURE(row.words);
        const auto order = order_by_placeholders(joined({{pc}, row.words, {"-append", "{cmdline}"}}), 1);
        CHECK(order.first == row.first);
        CHECK(order.is_certain == row.is_certain);
        // Without an assumption there is nothing to warn about.
        CHECK(order_by_placeholders(joined({{pc}, row.words}), 1).is_certain);
        CHECK(order_by_placeholders(joined({{"crosvm"}, row.words, {"{cmdline}"}}), 1).is_certain);
    }
    const auto of_two = [&](std::vector<Words> parts) {
        return order_by_placeholders(joined({{pc, "-append", "{cmdline}"}, joined(std::move(parts))}), 2);
    };
    CHECK(of_two({own, ours, second}).is_certain);
    CHECK(of_two({own, ours, second}).first == 1);
    for (const auto &order : {of_two({ours, own, second}), of_two({second, ours}),
                              of_two({{"-netdev", "tap,id=a,fd={fd0}", "-device", "virtio-net-device,netdev=a",
                                       "-netdev", "tap,id=b,fd={fd1}", "-device", "virtio-net-device,netdev=b"}})})
        CHECK_FALSE(order.is_certain);
}

TEST_CASE("nic order: the warning names the assumption and the option that replaces it")
{
    const auto warning = order_warning(2, "tap8");
    for (const auto *part : {"eth2", "tap8", "--first-nic"})
        CHECK(contains(warning, part));
    CHECK_FALSE(contains(warning, "\n"));
}
