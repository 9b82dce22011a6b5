// SPDX-License-Identifier: MIT
//
// The address plan: what index N determines, which settings are refused, and how a label finds its earlier N.

#include "plan/address_plan.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"

#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

Ipv4Prefix prefix(const char *text)
{
    return *Ipv4Prefix::parse(text);
}

PlanSettings settings(const char *pool, unsigned length, unsigned first = 0)
{
    PlanSettings made;
    made.pool = prefix(pool);
    made.prefix_length = length;
    made.first_index = first;
    return made;
}

std::string refusal(const PlanSettings &bad)
{
    try {
        AddressPlan{bad, 0};
    } catch (const TapError &error) {
        CHECK(error.code() == ErrorCode::invalid_argument);
        return error.what();
    }
    return "accepted";
}

bool is_excluded(const AddressPlan &plan, unsigned index)
{
    return plan.is_excluded(plan.network(Profile::standard, index));
}

} // namespace

TEST_CASE("N determines the device name, the subnet, both addresses and both MACs")
{
    const AddressPlan plan{{}, 0xab};
    CHECK(plan.pool().device_name(7) == "tap7");
    CHECK(plan.pool().subnet(7).text() == "192.168.7.0/24");
    CHECK(plan.pool().gateway(7).text() == "192.168.7.1/24");
    CHECK(guest_address(plan.pool().gateway(7).address).text() == "192.168.7.2");
    CHECK(plan.tap(Profile::standard, 7, {}).port.guest_mac.text() == "52:54:00:ab:00:07");
    CHECK(plan.tap(Profile::standard, 7, {}).port.host_mac.text() == "fe:54:00:ab:00:07");
    CHECK(plan.tap(Profile::standard, 0x1234, {}).port.guest_mac.text() == "52:54:00:ab:12:34");
}

TEST_CASE("by default N runs from 7 to 254")
{
    const AddressPlan plan{{}, 0};
    CHECK(plan.pool().first_index() == 7);
    CHECK(plan.pool().last_index() == 254);
    CHECK(plan.pool().size() == 248);
}

TEST_CASE("there are over 16,000 subnets of /30, one after the other")
{
    const AddressPlan plan{settings("192.168.0.0/16", 30), 0};
    CHECK(plan.pool().last_index() == 16382);
    CHECK(plan.pool().subnet(0).text() == "192.168.0.0/30");
    CHECK(plan.pool().subnet(1).text() == "192.168.0.4/30");
    CHECK(plan.pool().gateway(16382).text() == "192.168.255.249/30");
}

TEST_CASE("no guest's MAC is one that QEMU or runqemu assigns")
{
    const AddressPlan plan{{}, 0x12};
    CHECK(plan.tap(Profile::standard, 0x3456, {}).port.guest_mac.text() == "52:54:00:13:34:56");
}

TEST_CASE("an index of more than two bytes does not exist")
{
    const AddressPlan plan{settings("10.0.0.0/8", 30), 0};
    CHECK(plan.pool().last_index() == 65535);
}

TEST_CASE("runqemu's network and libvirt's default network are excluded by default")
{
    const AddressPlan plan{{}, 0};
    CHECK(is_excluded(plan, 7));
    CHECK_FALSE(is_excluded(plan, 8));
    CHECK(is_excluded(plan, 122));
    CHECK_FALSE(is_excluded(plan, 121));
    CHECK_FALSE(is_excluded(plan, 123));
}

TEST_CASE("an exclusion shorter or longer than a subnet's prefix excludes the subnets that it overlaps")
{
    PlanSettings made;
    made.exclusions = {prefix("192.168.16.0/20"), prefix("192.168.9.64/26")};
    const AddressPlan plan{made, 0};
    for (const unsigned index : {16U, 31U, 9U})
        CHECK(is_excluded(plan, index));
    for (const unsigned index : {15U, 32U, 8U, 10U})
        CHECK_FALSE(is_excluded(plan, index));
}

TEST_CASE("settings without a usable index are refused, and the error names the setting")
{
    CHECK(refusal(settings("192.168.0.0/16", 0)) ==
          "prefix-length 0 is out of range: 1 to 30, a subnet holds a gateway and a guest address");
    CHECK(refusal(settings("192.168.0.0/16", 31)) ==
          "prefix-length 31 is out of range: 1 to 30, a subnet holds a gateway and a guest address");
    CHECK(refusal(settings("192.168.0.0/16", 32)) ==
          "prefix-length 32 is out of range: 1 to 30, a subnet holds a gateway and a guest address");
    CHECK(refusal(settings("192.168.0.0/16", 12)) ==
          "prefix-length 12 is shorter than the pool's: 192.168.0.0/16 holds no such subnet");
    CHECK(
        refusal(settings("192.168.7.0/24", 24)) ==
        "pool 192.168.7.0/24 is too small: it holds 1 subnets of /24, its last one is not used, and first-index is 0");
    CHECK(refusal(settings("192.168.0.0/16", 24, 255)) ==
          "pool 192.168.0.0/16 is too small: it holds 256 subnets of /24, its last one is not used, and first-index "
          "is 255");
    CHECK(refusal(settings("192.168.7.1/16", 24)) ==
          "pool 192.168.7.1/16 has bits beyond its length: did you mean 192.168.0.0/16?");
    CHECK(refusal(settings("224.0.0.0/8", 24)) ==
          "pool 224.0.0.0/8 is no block of unicast addresses with a length of 8 or more");
    CHECK(refusal(settings("127.0.0.0/8", 24)) ==
          "pool 127.0.0.0/8 is no block of unicast addresses with a length of 8 or more");
    CHECK(refusal(settings("0.0.0.0/0", 8)) ==
          "pool 0.0.0.0/0 is no block of unicast addresses with a length of 8 or more");
}

TEST_CASE("the smallest pools with an index are accepted")
{
    CHECK(AddressPlan{settings("192.168.0.0/23", 24), 0}.pool().size() == 1);
    CHECK(AddressPlan{settings("192.168.0.0/16", 24, 254), 0}.pool().size() == 1);
    CHECK(AddressPlan{settings("10.0.0.0/29", 30), 0}.pool().size() == 1);
}

TEST_CASE("device prefixes that cannot begin a device name are refused")
{
    const std::string bad = GENERATE("", "tap1", "7tap", "-rf", "ta p", "tap%d", "abcdefghijk", "\x1b[2J", "t\xff");
    PlanSettings made;
    made.device_prefix = bad;
    CHECK(refusal(made).find("makes no device name") != std::string::npos);
}

TEST_CASE("a device prefix of ten letters leaves room for five digits")
{
    auto made = settings("10.0.0.0/8", 30);
    made.device_prefix = "abcdefghij";
    CHECK(AddressPlan{made, 0}.pool().device_name(65535).size() == 15);
}

TEST_CASE("without a label the search starts at the first index")
{
    CHECK(AddressPlan{{}, 0}.search_start(Profile::standard, 1000, "") == 7);
}

TEST_CASE("a label always starts the search at the same usable index, another owner's label elsewhere")
{
    const AddressPlan plan{{}, 0};
    CHECK(plan.search_start(Profile::standard, 1000, "web") == plan.search_start(Profile::standard, 1000, "web"));
    CHECK(plan.search_start(Profile::standard, 1000, "web") != plan.search_start(Profile::standard, 1001, "web"));
    std::set<unsigned> starts;
    for (unsigned i = 0; i < 1000; ++i) {
        const auto start = plan.search_start(Profile::standard, 1000, "vm" + std::to_string(i));
        REQUIRE(start >= plan.pool().first_index());
        REQUIRE(start <= plan.pool().last_index());
        starts.insert(start);
    }
    CHECK(starts.size() > 200); // of 248, so they are spread
}

TEST_CASE("by runqemu's rule N determines a name with the lease's id, two addresses of 192.168.7.0/24, and other MACs")
{
    const AddressPlan plan{{}, 0xab};
    const auto tap = plan.tap(Profile::runqemu, 5, "0123456789abcdef");
    CHECK(tap.device == "rq01234567t5");
    CHECK(tap.own_prefix == "rq01234567t");
    CHECK(tap.network.prefixes == std::vector<Ipv4Prefix>{prefix("192.168.7.11/32"), prefix("192.168.7.12/32")});
    CHECK(tap.network.gateway == prefix("192.168.7.11/32"));
    CHECK(tap.route == prefix("192.168.7.12/32"));
    CHECK(tap.port.guest_mac.text() == "52:54:01:ab:00:05");
    CHECK(tap.port.host_mac.text() == "fe:54:01:ab:00:05");
    CHECK(guest_address(tap.network.gateway.address).text() == "192.168.7.12");
}

TEST_CASE("by runqemu's rule N is 0 to 126 under all settings, and the longest name fits")
{
    const AddressPlan plan{settings("10.0.0.0/8", 30, 100), 0};
    CHECK(plan.indexes(Profile::runqemu).first == 0);
    CHECK(plan.indexes(Profile::runqemu).size == 127);
    const auto last = plan.tap(Profile::runqemu, 126, "ffffffffffffffff");
    CHECK(last.device == "rqfffffffft126");
    CHECK(last.network.gateway.text() == "192.168.7.253/32");
    CHECK(last.route->text() == "192.168.7.254/32");
    CHECK(plan.indexes(Profile::standard).first == plan.pool().first_index());
    CHECK(plan.indexes(Profile::standard).size == plan.pool().size());
}

TEST_CASE("the standard rule determines the same from N as the plan")
{
    const AddressPlan plan{{}, 0xab};
    const auto tap = plan.tap(Profile::standard, 9, "0123456789abcdef");
    CHECK(tap.device == "tap9");
    CHECK(tap.own_prefix.empty());
    CHECK(tap.network.prefixes == std::vector<Ipv4Prefix>{prefix("192.168.9.0/24")});
    CHECK(tap.network.gateway == prefix("192.168.9.1/24"));
    CHECK_FALSE(tap.route);
}

TEST_CASE("taps by runqemu's rule ignore the exclusion of runqemu's network, and obey all others")
{
    const auto excluded = [](std::vector<Ipv4Prefix> exclusions, unsigned index) {
        PlanSettings made;
        made.exclusions = std::move(exclusions);
        const AddressPlan plan{made, 0};
        return plan.is_excluded(plan.network(Profile::runqemu, index));
    };
    CHECK_FALSE(excluded(PlanSettings{}.exclusions, 0));
    CHECK_FALSE(excluded({prefix("192.168.7.0/24")}, 126));
    CHECK(excluded({prefix("192.168.7.0/24"), prefix("192.168.7.0/25")}, 0));
    CHECK_FALSE(excluded({prefix("192.168.7.0/24"), prefix("192.168.7.0/25")}, 126));
    CHECK(excluded({prefix("192.168.7.254/32")}, 126));
    CHECK(excluded({prefix("192.168.7.253/32")}, 126));
    CHECK_FALSE(excluded({prefix("192.168.7.255/32")}, 126));
    CHECK(excluded({prefix("192.168.0.0/16")}, 3));
}

TEST_CASE("a label leads to an index by runqemu's rule too")
{
    const AddressPlan plan{{}, 0};
    CHECK(plan.search_start(Profile::runqemu, 1000, "") == 0);
    std::set<unsigned> starts;
    for (int i = 0; i < 200; ++i) {
        const auto start = plan.search_start(Profile::runqemu, 1000, "vm" + std::to_string(i));
        REQUIRE(start < 127);
        starts.insert(start);
    }
    CHECK(starts.size() > 60);
}

TEST_CASE("a reservation needs a usable index, and an index and a label without another reservation")
{
    auto with = [](std::vector<Reservation> reservations) {
        PlanSettings made;
        made.reservations = std::move(reservations);
        return made;
    };
    const Reservation web{.user = "alice", .uid = 1000, .label = "web", .index = 42};
    const Reservation database{.user = "1000", .uid = 1000, .label = "db", .index = 43};
    const Reservation bobs{.user = "bob", .uid = 1001, .label = "web", .index = 44};
    const AddressPlan plan{with({web, database, bobs}), 0};
    CHECK(*plan.reservation_of(1000, "web") == web);
    CHECK(*plan.reservation_of(1000, "db") == database);
    CHECK(*plan.reservation_of(1001, "web") == bobs);
    CHECK(plan.reservation_of(1001, "db") == nullptr);
    CHECK(plan.reservation_of(1000, "") == nullptr);
    for (const unsigned index : {42u, 43u, 44u}) {
        CHECK(plan.is_reserved(Profile::standard, index));
        CHECK_FALSE(plan.is_reserved(Profile::runqemu, index));
    }
    CHECK_FALSE(plan.is_reserved(Profile::standard, 45));

    const auto at = [&](unsigned index) {
        auto other = web;
        other.index = index;
        return refusal(with({other}));
    };
    CHECK(at(6) == "reserve \"alice web 6\": index 6 is out of range: 7 to 254");
    CHECK(at(255) == "reserve \"alice web 255\": index 255 is out of range: 7 to 254");
    CHECK(at(122) == "reserve \"alice web 122\": index 122 is never given, as its subnet 192.168.122.0/24 overlaps an "
                     "exclusion");
    CHECK(at(254) == "accepted");
    auto same_index = bobs;
    same_index.index = 42;
    CHECK(refusal(with({web, same_index})) == "reserve \"bob web 42\": index 42 is reserved twice");
    auto same_label = database;
    same_label.label = "web";
    CHECK(refusal(with({web, same_label})) ==
          "reserve \"1000 web 43\": this user's label \"web\" has another reservation already");
}
