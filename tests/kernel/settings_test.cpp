// SPDX-License-Identifier: MIT
//
// I10 over the real kernel: the settings of a tap, their changes by another program, and what a guest can do to its
// host. The test plays the guest: it writes frames into the tap and reads the host's frames.

#include "common/error.hpp"
#include "contract/descriptors.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"
#include "daemon/core/tap_service.hpp"
#include "daemon/host/links.hpp"
#include "daemon/host/tun.hpp"
#include "tests/kernel/private_network.hpp"

#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <string>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

struct NoMarks : NameMarks {
    void mark(const std::string &) noexcept override {}
    void unmark(const std::string &) noexcept override {}
    void mark_only(const std::set<std::string> &) noexcept override {}
};

PlanSettings without_exclusions()
{
    PlanSettings settings;
    settings.exclusions.clear();
    return settings;
}

struct Service {
    AddressPlan plan{without_exclusions(), 1};
    Tun tun;
    Links links;
    NoMarks marks;
    Moment now = 1000s;
    unsigned ids = static_cast<unsigned>(::getpid());
    TapService service{plan,
                       {},
                       tun,
                       links,
                       marks,
                       [this] {
                           auto digits = std::to_string(++ids);
                           return std::string(16 - digits.size(), '0') + digits;
                       },
                       [this] { return now; }};

    Acquired acquire(Hold hold, unsigned count = 1, Profile profile = Profile::standard)
    {
        TapRequest request;
        request.hold = hold;
        request.count = count;
        request.profile = profile;
        return service.acquire(64123, request);
    }

    // Runs the loop once, a second after the last time.
    SettingsReport turn()
    {
        now += 1s;
        service.sweep();
        return service.keep_settings();
    }

    // True if the kernel has announced something that would wake the loop.
    bool is_woken()
    {
        pollfd monitor{links.view().fd(), POLLIN, 0};
        return ::poll(&monitor, 1, 0) == 1;
    }

    SettingsReport turn_if_woken() { return is_woken() ? turn() : SettingsReport{}; }

    // Handles the announcements of the daemon's own changes until there are none.
    void settle()
    {
        while (is_woken() || service.next_deadline())
            turn();
    }
};

std::string path_of(const TapSetting &setting, const std::string &device)
{
    const bool ipv4 = setting.kind == SettingKind::ipv4;
    return std::string{"/proc/sys/net/"} + (ipv4 ? "ipv4" : "ipv6") + "/conf/" + device + "/" +
           std::string{setting.name};
}

int read_setting(const std::string &path)
{
    int value = -1;
    std::ifstream{path} >> value;
    return value;
}

void write_setting(const std::string &path, int value)
{
    std::ofstream file{path};
    file << value << std::flush;
    INFO(path);
    REQUIRE(file.good());
}

bool is_multicast(const std::string &device)
{
    return std::system(("ip link show dev " + device + " | grep -q '[<,]MULTICAST[,>]'").c_str()) == 0;
}

// The value that sysctl(8) or ip(8) shows.
int shown(const TapSetting &setting, const std::string &device)
{
    if (setting.kind == SettingKind::multicast)
        return is_multicast(device) ? 1 : 0;
    return read_setting(path_of(setting, device));
}

void change(const PrivateNetwork &network, const TapSetting &setting, const std::string &device)
{
    if (setting.kind == SettingKind::multicast)
        network.ip("link set dev " + device + " multicast on");
    else
        write_setting(path_of(setting, device), setting.value == 0 ? 1 : 0);
}

std::vector<std::string> names_in(const SettingsReport &report)
{
    std::vector<std::string> names;
    for (const auto &put_back : report.put_back)
        names.emplace_back(tap_settings.at(put_back.row).name);
    return names;
}

void check_as_promised(const std::string &device, Profile profile = Profile::standard)
{
    for (const auto &setting : tap_settings) {
        INFO(full_name(setting, device));
        CHECK(shown(setting, device) == promised_value(setting, profile));
    }
}

} // namespace

TEST_CASE("I10 what a guest may do: a new tap has each setting, whatever the defaults for new devices are")
{
    const PrivateNetwork network;
    for (const auto &setting : tap_settings)
        if (setting.kind != SettingKind::multicast)
            write_setting(path_of(setting, "default"), setting.value == 0 ? 1 : 0);
    Service service;
    const auto hold = GENERATE(Hold::fd, Hold::name);
    const auto acquired = service.acquire(hold, 2);
    check_as_promised("tap7");
    check_as_promised("tap8");
    const auto report = service.turn();
    CHECK(report.put_back.empty());
    CHECK(report.problems.empty());
}

TEST_CASE("I10 what a guest may do: the first tap by runqemu's rule has proxy_arp, and the service keeps it so")
{
    const PrivateNetwork network;
    Service service;
    CHECK(service.turn().put_back.empty()); // a service does not report what it corrects at its start
    const auto acquired = service.acquire(Hold::name, 2, Profile::runqemu);
    const auto &[runqemus, further] = std::tie(acquired.grant.taps.at(0).name, acquired.grant.taps.at(1).name);
    check_as_promised(runqemus, Profile::runqemu);
    check_as_promised(further);
    CHECK(shown(tap_settings.at(setting_row("proxy_arp")), runqemus) == 1);
    for (const auto &[device, harmful] : {std::pair{runqemus, 0}, std::pair{further, 1}}) {
        write_setting("/proc/sys/net/ipv4/conf/" + device + "/proxy_arp", harmful);
        service.now += 20s;
        const auto report = service.turn();
        REQUIRE(names_in(report) == std::vector<std::string>{"proxy_arp"});
        CHECK(report.put_back[0].device == device);
        CHECK(report.put_back[0].promised == 1 - harmful);
    }
    check_as_promised(runqemus, Profile::runqemu);
    check_as_promised(further);
}

TEST_CASE("I10 what a guest may do: the next turn reverts each setting that another program has changed")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::fd, 2);
    CHECK(service.turn().put_back.empty());
    for (const auto &setting : tap_settings) {
        INFO(setting.name);
        service.now += 20s;
        change(network, setting, "tap8");
        const auto report = service.turn();
        CHECK(names_in(report) == std::vector<std::string>{std::string{setting.name}});
        CHECK(report.problems.empty());
        if (report.put_back.size() == 1) {
            CHECK(report.put_back[0].device == "tap8");
            CHECK(report.put_back[0].found == (setting.value == 0 ? 1 : 0));
        }
        check_as_promised("tap8");
        check_as_promised("tap7");
        CHECK(service.turn().put_back.empty());
    }
    // The taps still belong to a complete lease.
    CHECK(service.service.leases({}).size() == 1);
}

TEST_CASE("I10 what a guest may do: the kernel announces changes of these settings and of no others")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::fd); // without a carrier IPv6 would start, and be announced, later
    std::set<std::string> announced;
    for (const auto &setting : tap_settings) {
        service.settle();
        change(network, setting, "tap7");
        if (service.is_woken())
            announced.emplace(setting.name);
        service.turn();
    }
    CHECK(announced ==
          std::set<std::string>{"rp_filter", "proxy_arp", "ignore_routes_with_linkdown", "disable_ipv6", "multicast"});
}

TEST_CASE("I10 what a guest may do: after a change of all devices' defaults every setting of every tap is checked")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::name, 3);
    service.settle();
    // As after `sysctl --system` with net.ipv4.conf.*: announced settings and others.
    for (const char *device : {"tap7", "tap8", "tap9"})
        for (const char *name : {"arp_ignore", "route_localnet", "rp_filter"})
            write_setting(path_of(tap_settings.at(setting_row(name)), device), 2);
    const auto report = service.turn_if_woken();
    CHECK(names_in(report) == std::vector<std::string>{"rp_filter", "arp_ignore", "route_localnet"});
    for (const auto &put_back : report.put_back)
        CHECK(put_back.more == 2);
    for (const char *device : {"tap7", "tap8", "tap9"})
        check_as_promised(device);
    service.settle();
}

TEST_CASE("I10 what a guest may do: a tap gets no address even if IPv6 is enabled for all devices")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::fd);
    write_setting("/proc/sys/net/ipv6/conf/all/disable_ipv6", 1);
    service.settle();
    write_setting("/proc/sys/net/ipv6/conf/all/disable_ipv6", 0);
    CHECK(read_setting("/proc/sys/net/ipv6/conf/tap7/disable_ipv6") == 0);
    // The tap has no IPv6 address in between either.
    network.ip("-6 addr show dev tap7 | grep inet6 && exit 1 || true");
    CHECK(names_in(service.turn_if_woken()) == std::vector<std::string>{"disable_ipv6"});
    check_as_promised("tap7");
}

TEST_CASE("I3 only ours: settings of foreign devices stay unchanged, whatever their alias is")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::name);
    network.ip("tuntap add mine mode tap");
    network.ip("link set mine up alias \"$(ip -j link show tap7 | sed 's/.*\"ifalias\":\"\\([^\"]*\\)\".*/\\1/')\"");
    write_setting("/proc/sys/net/ipv4/conf/mine/rp_filter", 2);
    write_setting("/proc/sys/net/ipv4/conf/tap7/rp_filter", 2);
    CHECK(service.turn().put_back.size() == 1);
    CHECK(read_setting("/proc/sys/net/ipv4/conf/mine/rp_filter") == 2);
    CHECK(read_setting("/proc/sys/net/ipv4/conf/tap7/rp_filter") == 1);
    CHECK(is_multicast("mine"));
}

TEST_CASE("I10 what a guest may do: a new service corrects what it finds, and does not report settings new to it")
{
    const PrivateNetwork network;
    std::optional<Service> service{std::in_place};
    service->acquire(Hold::name);
    service->acquire(Hold::name);
    for (const auto &setting : tap_settings)
        if (!setting.in_first_version)
            for (const char *device : {"tap7", "tap8"})
                change(network, setting, device);
    const bool changed = GENERATE(false, true);
    if (changed)
        write_setting("/proc/sys/net/ipv4/conf/tap8/arp_ignore", 0);
    service.emplace();
    const auto report = service->turn();
    CHECK(report.problems.empty());
    CHECK(report.put_back.empty() == !changed);
    check_as_promised("tap7");
    check_as_promised("tap8");
    CHECK(service->turn().put_back.empty());
}

TEST_CASE("I10 what a guest may do: a tap that was moved to another namespace and back, renamed or set down is kept")
{
    const PrivateNetwork network;
    Service service;
    const auto acquired = service.acquire(Hold::name);
    network.ip("link set tap7 down");
    network.ip("link set tap7 name other");
    network.ip("link set other up");
    for (const auto &setting : tap_settings)
        change(network, setting, "other");
    const auto report = service.turn();
    CHECK(report.problems.empty());
    CHECK(report.put_back.size() == tap_settings.size());
    check_as_promised("other");
}
