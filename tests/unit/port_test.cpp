// SPDX-License-Identifier: MIT
//
// Ports of a network: the guest's address and both MACs by position, and how many ports a network has.

#include "plan/port.hpp"

#include "contract/profile.hpp"
#include "plan/address_plan.hpp"
#include "tests/catch.hpp"

#include <set>
#include <string>

using namespace qemutap;

namespace {

Ipv4Prefix prefix(const char *text)
{
    return *Ipv4Prefix::parse(text);
}

} // namespace

TEST_CASE("port P of network N has the guest address .2+P")
{
    const AddressPlan plan{{}, 0xab};
    const auto network = plan.network(Profile::standard, 9);
    CHECK(plan.port(network, 0).guest.text() == "192.168.9.2");
    CHECK(plan.port(network, 1).guest.text() == "192.168.9.3");
    CHECK(plan.port(network, 252).guest.text() == "192.168.9.254");
}

TEST_CASE("port 0 has the MACs of a tap alone, and each further port has its own third byte")
{
    const AddressPlan plan{{}, 0xab};
    const auto network = plan.network(Profile::standard, 9);
    CHECK(plan.port(network, 0).guest_mac.text() == "52:54:00:ab:00:09");
    CHECK(plan.port(network, 0).guest_mac == plan.tap(Profile::standard, 9, {}).port.guest_mac);
    CHECK(plan.port(network, 0).host_mac.text() == "fe:54:00:ab:00:09");
    CHECK(plan.port(network, 1).guest_mac.text() == "52:54:02:ab:00:09");
    CHECK(plan.port(network, 252).guest_mac.text() == "52:54:fd:ab:00:09");
}

TEST_CASE("no two ports of a host share a MAC, whichever rule their networks have")
{
    const AddressPlan plan{{}, 0x12};
    std::set<std::string> macs;
    std::size_t ports = 0;
    for (const auto &rule : address_rules())
        for (unsigned index = 7; index < 127; ++index)
            for (unsigned position = 0; position < (rule.own_block ? 1 : max_ports); ++position, ++ports) {
                const auto port = plan.port(plan.network(rule.profile, index), position);
                macs.insert(port.guest_mac.text());
                macs.insert(port.host_mac.text());
            }
    CHECK(macs.size() == 2 * ports);
}

TEST_CASE("a network has as many ports as guests fit beside its gateway")
{
    CHECK(port_count(prefix("192.168.9.1/24")) == 253);
    CHECK(port_count(prefix("192.168.9.1/30")) == 1);
    CHECK(port_count(prefix("192.168.9.1/29")) == 5);
    CHECK(port_count(prefix("10.0.0.1/8")) == max_ports);
    CHECK(port_count(prefix("192.168.7.11/32")) == 1);
}
