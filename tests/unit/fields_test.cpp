// SPDX-License-Identifier: MIT
//
// The tables of fields: the form of each value on the bus, its range, and the pages, which list the same fields.

#include "contract/fields.hpp"

#include "common/ipv4.hpp"
#include "contract/hold.hpp"
#include "tests/catch.hpp"

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

struct Listed {
    std::string key;
    std::string type; // as D-Bus writes it

    friend bool operator==(const Listed &, const Listed &) = default;
};

std::ostream &operator<<(std::ostream &stream, const Listed &field)
{
    return stream << field.key << " " << field.type;
}

template <typename Wire>
std::string type_of()
{
    if constexpr (std::is_same_v<Wire, std::string>)
        return "s";
    else if constexpr (std::is_same_v<Wire, bool>)
        return "b";
    else
        return sizeof(Wire) == sizeof(std::uint32_t) ? "u" : "t";
}

template <typename Fields>
std::vector<Listed> rows_of(const Fields &fields)
{
    std::vector<Listed> rows;
    for_each_field(fields, [&]<typename AnyField>(const AnyField &field) {
        for_each_key(field, [&](const char *key) { rows.push_back({key, type_of<typename AnyField::Wire>()}); });
    });
    return rows;
}

std::vector<Listed> lease_rows_with_taps()
{
    auto rows = rows_of(lease_fields);
    rows.push_back({key_taps, "aa{sv}"});
    return rows;
}

std::string text_of_file(const std::string &path)
{
    std::ifstream file{QEMU_TAPCTL_SOURCES "/" + path};
    REQUIRE(file);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The text between the first `begin` and the next `end`.
std::string part(const std::string &text, const std::string &begin, const std::string &end)
{
    const auto from = text.find(begin);
    REQUIRE(from != std::string::npos);
    const auto to = text.find(end, from);
    REQUIRE(to != std::string::npos);
    return text.substr(from + begin.size(), to - from - begin.size());
}

// What the pattern finds, by its first two groups.
std::vector<Listed> listed(const std::string &text, const std::string &pattern)
{
    const std::regex expression{pattern};
    std::vector<Listed> found;
    for (auto at = std::sregex_iterator{text.begin(), text.end(), expression}; at != std::sregex_iterator{}; ++at)
        found.push_back({(*at)[1], (*at)[2]});
    return found;
}

std::vector<std::string> json_keys(const std::string &text)
{
    std::vector<std::string> keys;
    for (const auto &[key, unused] : listed(text, "\"([a-z_]+)\"(:)"))
        keys.push_back(key);
    return keys;
}

template <typename Fields>
std::vector<std::string> json_keys_of(const Fields &fields)
{
    std::vector<std::string> keys;
    for (auto [key, type] : rows_of(fields)) {
        std::ranges::replace(key, '-', '_');
        keys.push_back(key);
    }
    return keys;
}

template <typename Fields, typename Grant>
void check_round_trip(const Fields &fields, const Grant &grant)
{
    Grant again;
    for_each_field(fields, [&](const auto &field) {
        CAPTURE(field.key);
        CHECK(field.set(again, field.get(grant)));
    });
    CHECK(again == grant);
}

} // namespace

TEST_CASE("fields: no key has two meanings")
{
    for (const auto &rows : {rows_of(tap_fields), lease_rows_with_taps()}) {
        std::set<std::string> keys;
        for (const auto &row : rows)
            CHECK(keys.insert(row.key).second);
    }
}

TEST_CASE("fields: a grant that is written field by field is read as the same grant")
{
    check_round_trip(tap_fields, TapGrant{.name = "tap8",
                                          .index = 8,
                                          .gateway = {0xc0a80801},
                                          .guest = {0xc0a80802},
                                          .prefix_length = 24,
                                          .mac = {{0x52, 0x54, 0, 0xab, 0, 8}},
                                          .queues = 4,
                                          .vhost = true});
    check_round_trip(lease_fields, LeaseGrant{.lease = "0123456789abcdef",
                                              .label = "web",
                                              .uid = 1000,
                                              .hold = Hold::name,
                                              .idle_timeout_seconds = 60,
                                              .attended = true,
                                              .taps = {}});
}

TEST_CASE("fields: a number beyond its field's range is no value, and the grant stays as it is")
{
    TapGrant tap;
    for_each_field(tap_fields, [&]<typename AnyField>(const AnyField &field) {
        if constexpr (std::is_same_v<typename AnyField::Wire, std::uint32_t>) {
            const std::string key = field.key;
            CHECK(field.set(tap, 33) == (key == "index"));
            CHECK(field.set(tap, 32) == (key == "index" || key == "prefix-length"));
            CHECK(field.set(tap, 17) == (key != "queues"));
            CHECK(field.set(tap, 0) == (key != "queues"));
            CHECK(field.set(tap, 16));
            CHECK(tap.*field.member == 16);
        }
    });
}

TEST_CASE("fields: a text that is no address, MAC or way to hold is no value")
{
    TapGrant tap;
    LeaseGrant lease;
    const auto refuses = [](const auto &field, auto &grant) {
        if constexpr (std::is_same_v<decltype(field.get(grant)), std::string>)
            return !field.set(grant, "192.168.7.256");
        else
            return false;
    };
    std::set<std::string> refused;
    for_each_field(tap_fields, [&](const auto &field) {
        if (refuses(field, tap))
            refused.insert(field.key);
    });
    for_each_field(lease_fields, [&](const auto &field) {
        if (refuses(field, lease))
            refused.insert(field.key);
    });
    CHECK(refused == std::set<std::string>{"client", "gateway", "hold", "mac"});
}

TEST_CASE("fields: an address that was removed from its device is empty on the bus")
{
    CHECK(to_wire(Ipv4Address{}).empty());
    Ipv4Address address{1};
    CHECK(from_wire("", address));
    CHECK(address == Ipv4Address{});
}

TEST_CASE("fields: a name that is not ASCII travels in quotes")
{
    CHECK(to_wire(std::string{"tap\xff"}) == "\"tap\\xff\"");
    CHECK(to_wire(std::string{"tap 7"}) == "tap 7");
}

TEST_CASE("fields: org.qemutap1(5) lists the fields of taps and leases with their types")
{
    const auto page = text_of_file("doc/man/org.qemutap1.5");
    const std::string item = "\\.It Cm ([a-z-]+) Pq Vt (\\S+)";
    CHECK(listed(part(page, "\n.Fa taps\n", "\n.El\n"), item) == rows_of(tap_fields));
    CHECK(listed(part(page, "\n.Fa leases\n", "\n.El\n"), item) == lease_rows_with_taps());
}

TEST_CASE("fields: the comments of org.qemutap1.xml list the fields of taps and leases with their types")
{
    const auto xml = text_of_file("dbus/org.qemutap1.xml");
    CHECK(listed(part(xml, "taps: a dictionary for each tap, in order:\n", "fds:"),
                 "\n? {10}([a-z-]+) +([sub])(?= |\n)") == rows_of(tap_fields));
    CHECK(listed(part(xml, "leases, of each:\n", "With columns"), "\n? {10}([a-z-]+) +(s|u|t|b|aa\\{sv\\})(?= |\n)") ==
          lease_rows_with_taps());
}

TEST_CASE("fields: the JSON in qemu-tapctl(1) has the fields in their order")
{
    const auto page = text_of_file("doc/man/qemu-tapctl.1");
    const auto lease = part(page, ".It Cm json\nAn object:\n", "\"taps\"");
    const auto tap = part(page, "\"taps\": [{", "}]");
    CHECK(json_keys(lease) == json_keys_of(lease_fields));
    CHECK(json_keys(tap) == json_keys_of(tap_fields));
}

TEST_CASE("fields: qemu-tapctl(1) lists the shell variables of a tap")
{
    std::vector<std::string> expected;
    for_each_field(tap_fields, [&](const auto &field) {
        if (field.rule.in_environment)
            expected.emplace_back(field.key);
    });
    const auto page = text_of_file("doc/man/qemu-tapctl.1");
    std::vector<std::string> found;
    for (auto [name, unused] : listed(part(page, ".Ev QEMU_TAP_ Ns Ar i Ns", ".It Cm yocto"), "Ev _([A-Z_]+)()")) {
        std::ranges::transform(name, name.begin(), [](char c) { return c == '_' ? '-' : static_cast<char>(c + 32); });
        found.push_back(name);
    }
    CHECK(found == expected);
}
