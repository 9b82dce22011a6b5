// SPDX-License-Identifier: MIT
//
// Tables of NIC models and machines. tests/guest/NIC_ORDER.md lists the guests that were booted to fill them.

#include "client/guest/nic_order.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace qemutap {

namespace {

// Beginnings of model names, in the order in which Linux links their drivers (drivers/net/Makefile,
// drivers/net/ethernet/Makefile). The first row that a model begins with gives the position of its driver.
constexpr std::array<std::pair<std::string_view, int>, 10> drivers{{
    {"virtio", 0}, // also the bare word, which -nic accepts
    {"ne2k", 1},
    {"pcnet", 2},
    {"tulip", 3},
    {"i82", 4},
    {"e1000e", 6},
    {"e1000", 5},
    {"igb", 7},
    {"rtl8139", 8},
    {"vmxnet3", 9},
}};

struct DefaultModel {
    std::string_view architecture;
    std::string_view machine; // the beginning of its type
    std::string_view model;
};

// The model that a machine gives a NIC without a model. The first matching row counts.
constexpr std::array<DefaultModel, 12> default_models{{
    {"x86_64", "q35", "e1000e"},
    {"x86_64", "pc-q35", "e1000e"},
    {"x86_64", "pc", "e1000"},
    {"i386", "q35", "e1000e"},
    {"i386", "pc-q35", "e1000e"},
    {"i386", "pc", "e1000"},
    {"aarch64", "virt", "virtio-net-pci"},
    {"arm", "virt", "virtio-net-pci"},
    {"mips", "malta", "pcnet"},
    {"mipsel", "malta", "pcnet"},
    {"mips64", "malta", "pcnet"},
    {"mips64el", "malta", "pcnet"},
}};

// The direction in which a machine's guest searches for virtio-mmio devices.
enum class MmioSearch { unknown, from_first_place, from_last_place };

struct MmioMachine {
    std::string_view architecture;
    std::string_view machine; // the beginning of its type
    MmioSearch search;
};

constexpr std::array<MmioMachine, 5> mmio_machines{{
    {"aarch64", "virt", MmioSearch::from_first_place},
    {"arm", "virt", MmioSearch::from_first_place},
    {"riscv64", "virt", MmioSearch::from_last_place},
    {"x86_64", "microvm", MmioSearch::from_last_place},
    {"i386", "microvm", MmioSearch::from_last_place},
}};

// The architecture whose kernel probes channel devices in parallel: the order of NICs differs from boot to boot.
constexpr std::string_view without_order = "s390x";

bool begins_with(std::string_view text, std::string_view beginning)
{
    return text.substr(0, beginning.size()) == beginning;
}

// The position of the model's driver in the table. nullopt: the table does not have the model.
std::optional<int> driver_of(std::string_view model)
{
    const auto found =
        std::find_if(drivers.begin(), drivers.end(), [&](const auto &row) { return begins_with(model, row.first); });
    return found == drivers.end() ? std::nullopt : std::optional{found->second};
}

bool is_x86(const Machine &machine)
{
    return machine.architecture == "x86_64" || machine.architecture == "i386";
}

std::string_view model_of(const Machine &machine, const OwnNic &nic)
{
    if (!nic.model.empty())
        return nic.model;
    const std::string_view type = machine.type.empty() && is_x86(machine) ? "pc" : std::string_view{machine.type};
    const auto found = std::find_if(default_models.begin(), default_models.end(), [&](const DefaultModel &row) {
        return row.architecture == machine.architecture && begins_with(type, row.machine);
    });
    return found == default_models.end() ? std::string_view{} : found->model;
}

bool is_mmio(std::string_view model)
{
    return model == "virtio-net-device";
}

// True for the bus that QEMU uses for devices without `bus=`.
bool is_first_bus(std::string_view bus)
{
    return bus.empty() || bus == "pci.0" || bus == "pcie.0";
}

bool has_place(std::string_view device)
{
    return device.find(",addr=") != std::string_view::npos || device.find(",bus=") != std::string_view::npos;
}

MmioSearch mmio_search(const Machine &machine)
{
    const auto found = std::find_if(mmio_machines.begin(), mmio_machines.end(), [&](const MmioMachine &row) {
        return row.architecture == machine.architecture && begins_with(machine.type, row.machine);
    });
    return found == mmio_machines.end() ? MmioSearch::unknown : found->search;
}

struct Places {
    MmioSearch search;
    bool ours_on_mmio;
    bool theirs_on_mmio;
    bool theirs_has_bus; // a bus other than the first one
};

// True if the guest finds the caller's NIC ("theirs") before the lease's ("ours"), which follows it in the command and
// has the same driver. A kernel with both transports built in probes virtio-mmio before PCI, and a PCI bus before the
// buses of its bridges.
bool comes_first(const Places &places)
{
    if (places.ours_on_mmio != places.theirs_on_mmio)
        return places.theirs_on_mmio;
    if (!places.ours_on_mmio)
        return !places.theirs_has_bus;
    // The lease's NICs have the first places that the caller left free. QEMU gives a NIC without a place one of the
    // last.
    return places.search != MmioSearch::from_first_place || places.theirs_has_bus;
}

// True if the guest is known to find devices of one driver as comes_first() says.
bool is_known(const Places &places)
{
    if (!places.ours_on_mmio && !places.theirs_on_mmio)
        return true;
    // The transport whose driver is loaded first wins. With built-in drivers that is virtio-mmio; with modules it can
    // be either.
    if (places.ours_on_mmio != places.theirs_on_mmio)
        return false;
    return places.search == MmioSearch::from_first_place ||
           (places.search == MmioSearch::from_last_place && !places.theirs_has_bus);
}

// True if Linux finds the caller's NIC first, where the drivers differ. nullopt is a driver that is not in the table.
// It is most likely a physical network card's, and Linux probes those after virtio.
bool driver_comes_first(std::optional<int> theirs, std::optional<int> ours)
{
    if (ours && theirs)
        return *theirs < *ours;
    return ours != driver_of("virtio");
}

} // namespace

bool needs_mmio_place(const Machine &machine)
{
    return machine.architecture.empty() || mmio_search(machine) == MmioSearch::from_first_place;
}

std::string order_warning(unsigned first_nic, const std::string &tap)
{
    const auto nic = "eth" + std::to_string(first_nic);
    return "which of its NICs the guest finds first is its kernel's to say: " + nic + " is taken for " + tap +
           "; if that is wrong, say the number by --first-nic";
}

NicOrder nic_order(const Machine &machine, const std::vector<OwnNic> &own, std::string_view model, unsigned count)
{
    NicOrder order;
    const auto ours = driver_of(model);
    const bool ours_on_mmio = is_mmio(model.substr(0, model.find(',')));
    const bool ours_elsewhere = has_place(model);
    const auto search = mmio_search(machine);
    const bool is_one = own.size() + count == 1;
    order.is_certain = is_one || (machine.architecture != without_order &&
                                  (!ours_on_mmio || count == 1 || search != MmioSearch::unknown));
    for (const auto &nic : own) {
        const auto theirs_model = model_of(machine, nic);
        const auto theirs = driver_of(theirs_model);
        if (!ours || !theirs || *ours != *theirs) {
            order.first += driver_comes_first(theirs, ours) ? 1 : 0;
            order.is_certain = false;
            continue;
        }
        const Places places{.search = search,
                            .ours_on_mmio = ours_on_mmio,
                            .theirs_on_mmio = is_mmio(theirs_model),
                            .theirs_has_bus = !is_first_bus(nic.bus)};
        order.first += comes_first(places) ? 1 : 0;
        order.is_certain = order.is_certain && is_known(places) && !nic.has_address && !ours_elsewhere;
    }
    return order;
}

NicOrder placed_order(const Machine &machine, std::vector<PlacedNic> nics, unsigned count)
{
    std::stable_partition(nics.begin(), nics.end(), [](const PlacedNic &placed) { return placed.nic.is_machines; });
    const auto first = std::find_if(nics.begin(), nics.end(), [](const PlacedNic &placed) { return placed.tap == 0u; });
    NicOrder order;
    order.first = first == nics.end() ? 0 : static_cast<unsigned>(first - nics.begin());
    unsigned in_turn = 0;
    for (auto placed = first; placed != nics.end() && placed->tap == in_turn; ++placed)
        ++in_turn;
    const bool is_alike = std::all_of(nics.begin(), nics.end(), [&](const PlacedNic &placed) {
        const auto model = model_of(machine, placed.nic);
        const auto driver = driver_of(model);
        return driver && driver == driver_of(model_of(machine, nics.front().nic)) && !is_mmio(model) &&
               is_first_bus(placed.nic.bus) && !placed.nic.has_address;
    });
    order.is_certain =
        nics.empty() || (in_turn == count && (nics.size() == 1 || (is_alike && machine.architecture != without_order)));
    return order;
}

std::string model_beside(const Machine &machine, const OwnNic &nic)
{
    const auto model = model_of(machine, nic);
    const auto driver = driver_of(model);
    return driver && driver != driver_of("virtio-net-pci") ? std::string{model} : "virtio-net-pci";
}

} // namespace qemutap
