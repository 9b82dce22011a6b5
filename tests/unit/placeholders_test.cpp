// SPDX-License-Identifier: MIT
//
// Commands of other programs than QEMU: which placeholders are filled, which text stays unchanged, and what is refused
// before anything is acquired. The manual page itself provides the examples.

#include "client/vmm/placeholders.hpp"

#include "client/verbs/command_line.hpp"
#include "client/verbs/run.hpp"
#include "common/error.hpp"
#include "contract/hold.hpp"
#include "tests/catch.hpp"
#include "tests/unit/command_line.hpp"
#include "tests/unit/outcome.hpp"
#include "tests/unit/sample_lease.hpp"
#include "tests/unit/shell.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

using Words = std::vector<std::string>;

TapRequest request_of(unsigned count, unsigned queues = 1, Hold hold = Hold::fd)
{
    TapRequest request;
    request.count = count;
    request.queues = queues;
    request.hold = hold;
    return request;
}

// For each tap as many numbers as it has queues, from 5 upwards.
std::vector<TapDescriptors> sample_descriptors(const LeaseGrant &lease, bool vhost = false)
{
    int next = 5;
    std::vector<TapDescriptors> taps(lease.taps.size());
    for (std::size_t i = 0; i < lease.taps.size(); ++i) {
        for (unsigned queue = 0; queue < lease.taps[i].queues; ++queue)
            taps[i].queues.push_back(next++);
        for (unsigned queue = 0; vhost && queue < lease.taps[i].queues; ++queue)
            taps[i].vhost.push_back(next++);
    }
    return taps;
}

LeaseGrant lease_of(unsigned count, unsigned queues = 1)
{
    auto lease = sample_lease(count);
    for (auto &tap : lease.taps)
        tap.queues = queues;
    return lease;
}

// One argument after its placeholders are filled.
std::string filled(const std::string &argument, unsigned count = 2, unsigned queues = 1)
{
    const auto lease = lease_of(count, queues);
    return with_placeholders({"vmm", argument}, lease, sample_descriptors(lease)).at(1);
}

bool is_placeholder(const std::string &argument)
{
    return has_placeholders({"vmm", argument}, request_of(2));
}

void check_refused(const std::string &argument, const TapRequest &request, const std::string &text)
{
    CAPTURE(argument);
    const auto error = tap_error_of([&] { has_placeholders({"vmm", "before", argument}, request); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string{error.what()} == text);
}

// The page's source with literal text as it is printed.
std::string printed_page()
{
    std::ifstream file{QEMU_TAPCTL_PAGE};
    std::string page{std::istreambuf_iterator<char>{file}, {}};
    for (const auto &[written, meant] : {std::pair{"\\-", "-"}, {"\\(aq", "'"}, {"\\e", "\\"}})
        for (auto at = page.find(written); at != std::string::npos; at = page.find(written, at + 1))
            page.replace(at, std::string{written}.size(), meant);
    return page;
}

// The page's example for this program, as sh(1) reads it.
RunOptions example_of(const std::string &program)
{
    const auto page = printed_page();
    const auto program_at = page.find(" -- " + program + " ");
    const std::string name = "\nqemu-tapctl ";
    const auto begin = page.rfind(name, program_at);
    const auto end = page.find("\n.Ed", program_at);
    if (program_at == std::string::npos || begin == std::string::npos || end == std::string::npos)
        throw std::runtime_error{"the page has no example of " + program};
    const auto behind_name = begin + name.size();
    const auto printed = printed_by_sh("printf '%s\\036' " + page.substr(behind_name, end - behind_name));
    Words words;
    for (std::size_t at = 0; at < printed.size(); at = printed.find('\036', at) + 1)
        words.push_back(printed.substr(at, printed.find('\036', at) - at));
    const CommandLine line{"qemu-tapctl", words};
    const auto call = parse_command_line(line.argc(), line.argv());
    return dynamic_cast<const CallWith<RunOptions> &>(*call).options();
}

// The example's command with the sample lease filled in.
Words started_example(const std::string &program)
{
    const auto options = example_of(program);
    REQUIRE(has_placeholders(options.command, options.request));
    const auto lease = lease_of(options.request.count, options.request.queues);
    const bool by_name = options.request.hold == Hold::name;
    return with_placeholders(options.command, lease,
                             by_name ? std::vector<TapDescriptors>{} : sample_descriptors(lease));
}

} // namespace

TEST_CASE("placeholders: each is filled with the lease's value, by the number of the tap")
{
    CHECK(filled("{tap0} {tap1}") == "tap7 tap8");
    CHECK(filled("{fd0} {fd1}") == "5 6");
    CHECK(filled("{mac0} {mac1}") == "52:54:00:ab:00:07 52:54:00:ab:00:08");
    CHECK(filled("{gateway0} {gateway1}") == "192.168.7.1 192.168.8.1");
    CHECK(filled("{client0} {client1}") == "192.168.7.2 192.168.8.2");
    CHECK(filled("{prefix0} {netmask0}") == "24 255.255.255.0");
    CHECK(filled("{queues0} {virtqueues0}") == "1 2");
    CHECK(filled("{lease} {count}") == "0123456789abcdef 2");
    CHECK(filled("{cmdline}") == "ip=192.168.8.2:::255.255.255.0::eth1:off "
                                 "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0");
}

TEST_CASE("placeholders: the descriptors of several queues are one list, with colons or with commas")
{
    CHECK(filled("{fds0} {fds1}", 2, 2) == "5:6 7:8");
    CHECK(filled("{fdlist0} {fdlist1}", 2, 2) == "5,6 7,8");
    CHECK(filled("{queues1} {virtqueues1}", 2, 3) == "3 6");
    CHECK(filled("{fds0} {fdlist0}") == "5 5");
}

TEST_CASE("placeholders: vhost descriptors are a list of their own")
{
    const auto lease = lease_of(1, 2);
    CHECK(with_placeholders({"vmm", "{fds0} {vhostfds0}"}, lease, sample_descriptors(lease, true)) ==
          Words{"vmm", "5:6 7:8"});
}

TEST_CASE("placeholders: they can be anywhere in an argument, several in one, and other arguments stay unchanged")
{
    CHECK(with_placeholders({"vmm", "--net", "fd={fd0},mac={mac0}", "{tap1}x", "", "plain"}, lease_of(2),
                            sample_descriptors(lease_of(2))) ==
          Words{"vmm", "--net", "fd=5,mac=52:54:00:ab:00:07", "tap8x", "", "plain"});
}

TEST_CASE("placeholders: with hold name there are no descriptors, and all others are the same")
{
    CHECK(with_placeholders({"vmm", "{tap0},{mac0}"}, lease_of(1), {}) == Words{"vmm", "tap7,52:54:00:ab:00:07"});
    CHECK(has_placeholders({"vmm", "{tap0}"}, request_of(1, 1, Hold::name)));
}

TEST_CASE("placeholders: text of another form is not a placeholder")
{
    for (const std::string text : {"",
                                   "{",
                                   "}",
                                   "{}",
                                   "{0}",
                                   "{{}}",
                                   "{ tap0 }",
                                   "{tap0",
                                   "tap0}",
                                   "{Tap0}",
                                   "{TAP0}",
                                   "{tap-0}",
                                   "{tap_0}",
                                   "{tap0x}",
                                   "{0tap}",
                                   R"({"tap0": {"a": [{"b": 1}]}})",
                                   R"({"driver":"virtio-net-pci","netdev":"n"})",
                                   "{tap0,tap1}",
                                   "{\ntap0}",
                                   "{\xc3\xa4}",
                                   "a{b{c"}) {
        CAPTURE(text);
        CHECK_FALSE(is_placeholder(text));
        CHECK(filled(text) == text);
    }
}

TEST_CASE("placeholders: within JSON only placeholders are filled")
{
    CHECK(filled(R"({"net":[{"host_dev_name":"{tap0}","guest_mac":"{mac0}"}],"n":{count}})") ==
          R"({"net":[{"host_dev_name":"tap7","guest_mac":"52:54:00:ab:00:07"}],"n":2})");
}

TEST_CASE("placeholders: the shell's ${name} is left to the shell")
{
    for (const std::string text : {"echo ${count} ${tap0}", "${home}", "a$${lease}"}) {
        CAPTURE(text);
        CHECK_FALSE(is_placeholder(text));
        CHECK(filled(text) == text);
    }
}

TEST_CASE("placeholders: doubled braces become single ones, around known and unknown names")
{
    CHECK(filled("{{tap0}}") == "{tap0}");
    CHECK(filled("awk '{{print}}'") == "awk '{print}'");
    CHECK(filled("${{count}}") == "${count}");
    CHECK(filled("{{tap9}} {tap0} {{x}}") == "{tap9} tap7 {x}");
    CHECK_FALSE(is_placeholder("{{tap0}} {{print}}"));
    CHECK(is_placeholder("{{tap0}} {tap0}"));
    CHECK(filled("{{tap0}") == "{tap7");
    CHECK(filled("{tap0}}") == "tap7}");
}

TEST_CASE("placeholders: a value that was filled in is not read again")
{
    auto lease = lease_of(1);
    lease.taps.front().name = "{mac0}";
    CHECK(with_placeholders({"vmm", "{tap0}"}, lease, {}) == Words{"vmm", "{mac0}"});
}

TEST_CASE("placeholders: the program's name is not filled")
{
    CHECK_FALSE(has_placeholders({"{tap0}"}, request_of(1)));
    CHECK_FALSE(has_placeholders({"{nonsense}", "x"}, request_of(1)));
    CHECK(with_placeholders({"{tap0}", "{tap0}"}, lease_of(1), {}) == Words{"{tap0}", "tap7"});
}

TEST_CASE("placeholders: an unknown one is refused, and the error lists the known ones")
{
    check_refused("{nic0}", request_of(1),
                  "\"{nic0}\" in the command is no placeholder: there are {tap0}, {fd0}, {fds0}, {fdlist0}, "
                  "{vhostfds0}, {mac0}, {gateway0}, {client0}, {prefix0}, {netmask0}, {queues0}, {virtqueues0}, "
                  "{lease}, {count}, {cmdline}; {{nic0}} stands for the text");
    const auto error = tap_error_of([] { has_placeholders({"sh", "-c", "awk '{print}'"}, request_of(1)); });
    CHECK(contains(error.what(), "{{print}} stands for the text"));
}

TEST_CASE("placeholders: a number without a tap is refused, and the error lists the valid ones")
{
    check_refused("a{tap1}", request_of(1),
                  "\"{tap1}\" in the command is of no tap: 1 is asked for, and there is {tap0}");
    check_refused("{mac2}", request_of(2),
                  "\"{mac2}\" in the command is of no tap: 2 are asked for, and there are {mac0} to {mac1}");
    for (const std::string number : {"00", "01", "4294967296", "99999999999999999999999"}) {
        CAPTURE(number);
        const auto error = tap_error_of([&] { has_placeholders({"vmm", "{tap" + number + "}"}, request_of(2)); });
        CHECK(contains(error.what(), "is of no tap"));
    }
}

TEST_CASE("placeholders: a missing or surplus number is refused, and the error has the right spelling")
{
    check_refused("{tap}", request_of(1),
                  "\"{tap}\" in the command does not say of which tap: the first one's is {tap0}");
    check_refused("{count0}", request_of(1),
                  "\"{count0}\" in the command is the whole lease's and has no number: it is {count}");
}

TEST_CASE("placeholders: a single descriptor is refused if the tap has none or several")
{
    check_refused("{fd0}", request_of(1, 2),
                  "\"{fd0}\" in the command is one descriptor, and 2 queues are asked for: there are {fds0}, with "
                  "colons, and {fdlist0}, with commas");
    for (const std::string name : {"fd", "fds", "fdlist", "vhostfds"})
        check_refused("{" + name + "1}", request_of(2, 1, Hold::name),
                      "\"{" + name + "1}\" in the command is of no lease held by name: the program opens {tap1}");
    check_refused("{vhostfds0}", request_of(1), "\"{vhostfds0}\" in the command is there with --vhost yes only");
    auto possible = request_of(1);
    possible.vhost = VhostChoice::when_possible;
    check_refused("{vhostfds0}", possible, "\"{vhostfds0}\" in the command is there with --vhost yes only");
    possible.vhost = VhostChoice::required;
    CHECK(has_placeholders({"vmm", "{fd0} {vhostfds0}"}, possible));
}

TEST_CASE("placeholders: the page's example for Cloud Hypervisor starts this command")
{
    CHECK(started_example("cloud-hypervisor") ==
          Words{"cloud-hypervisor", "--cpus", "boot=2", "--memory", "size=1G", "--kernel", "vmlinux", "--disk",
                "path=root.img", "--cmdline",
                "console=hvc0 root=/dev/vda ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0", "--net",
                "fd=[5,6],num_queues=4,mac=52:54:00:ab:00:07"});
}

TEST_CASE("placeholders: the page's example for crosvm starts this command")
{
    CHECK(started_example("crosvm") ==
          Words{"crosvm", "run", "--mem", "size=1024", "--block", "path=root.img,root", "--net",
                "tap-fd=5,mac=52:54:00:ab:00:07", "--net", "tap-fd=6,mac=52:54:00:ab:00:08", "-p",
                "ip=192.168.8.2:::255.255.255.0::eth1:off ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off "
                "net.ifnames=0",
                "vmlinux"});
}

TEST_CASE("placeholders: the page's example for Firecracker starts this command")
{
    CHECK(started_example("sh -c") == Words{"sh", "-c",
                                            "\n    printf \"%s\\n\" \"$1\" >vm.json\n"
                                            "    exec firecracker --no-api --config-file vm.json",
                                            "-", R"({
  "boot-source": {"kernel_image_path": "vmlinux",
    "boot_args": "console=ttyS0 reboot=k panic=1 ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0"},
  "drives": [{"drive_id": "root", "path_on_host": "root.img",
    "is_root_device": true, "is_read_only": false}],
  "network-interfaces": [{"iface_id": "eth0",
    "guest_mac": "52:54:00:ab:00:07", "host_dev_name": "tap7"}]})"});
}

TEST_CASE("placeholders: the page's example for systemd-vmspawn starts this command")
{
    CHECK(started_example("env") ==
          Words{"env",
                "SYSTEMD_VMSPAWN_QEMU_EXTRA=-netdev tap,id=net0,ifname=tap7,script=no,downscript=no "
                "-device virtio-net-pci,netdev=net0,mac=52:54:00:ab:00:07",
                "systemd-vmspawn", "--image=root.img", "--linux=vmlinuz",
                "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0"});
}
