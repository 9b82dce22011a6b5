// SPDX-License-Identifier: MIT
//
// I10: when a changed setting is restored, how often at most, and what is reported.

#include "daemon/core/settings_keeper.hpp"

#include "tests/catch.hpp"

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

const LinkSettings promised = promised_settings(Profile::standard);
const KeptTap tap{.ifindex = 10, .name = "tap7"};

LinkSettings with(std::string_view name, std::optional<int> value)
{
    auto settings = promised;
    settings[name] = value;
    return settings;
}

const Moment start = 1000s;

} // namespace

TEST_CASE("I10 what a guest may do: a changed setting is restored at once, and reported with its changed value")
{
    SettingsKeeper keeper;
    keeper.saw(tap, promised);
    CHECK(keeper.due(start).empty());
    CHECK_FALSE(keeper.next_deadline());
    const auto changed = with("rp_filter", 2);
    keeper.saw(tap, changed);
    CHECK(keeper.due(start) == std::vector<int>{10});
    keeper.put_back(tap, changed, promised, false, start);
    CHECK(keeper.due(start).empty());
    const auto reports = keeper.take_reports(start);
    REQUIRE(reports.size() == 1);
    CHECK(tap_settings.at(reports[0].row).name == "rp_filter");
    CHECK(reports[0].device == "tap7");
    CHECK(reports[0].promised == 1);
    CHECK(reports[0].found == 2);
    CHECK(reports[0].more == 0);
    CHECK_FALSE(keeper.next_deadline());
}

TEST_CASE("I10 what a guest may do: on a tap by runqemu's rule proxy_arp stays on")
{
    SettingsKeeper keeper;
    const KeptTap runqemus{.ifindex = 10, .name = "rq01234567t0", .profile = Profile::runqemu};
    const auto answering = promised_settings(Profile::runqemu);
    CHECK(broken_settings(answering, Profile::standard) == std::vector<std::size_t>{setting_row("proxy_arp")});
    keeper.saw(runqemus, answering);
    CHECK(keeper.due(start).empty());
    keeper.saw(runqemus, promised);
    CHECK(keeper.due(start) == std::vector<int>{10});
    keeper.put_back(runqemus, promised, answering, false, start);
    CHECK(keeper.due(start).empty());
    const auto reports = keeper.take_reports(start);
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].promised == 1);
    CHECK(reports[0].found == 0);
}

TEST_CASE("I10 what a guest may do: a setting changed in a loop is restored ten times a second, and at the end too")
{
    SettingsKeeper keeper;
    const auto changed = with("proxy_arp", 1);
    unsigned times = 0;
    unsigned lines = 0;
    std::size_t more = 0;
    auto now = start;
    for (; now < start + 30s; now += 1ms) {
        keeper.saw(tap, changed);
        if (!keeper.due(now).empty()) {
            ++times;
            keeper.put_back(tap, changed, promised, false, now);
            keeper.saw(tap, promised);
        }
        for (const auto &report : keeper.take_reports(now)) {
            ++lines;
            more += report.more;
        }
    }
    CHECK(times == 300);
    CHECK(lines == 3);
    keeper.saw(tap, changed);
    REQUIRE(keeper.next_deadline());
    CHECK(*keeper.next_deadline() <= now + 100ms);
    CHECK(keeper.due(now + 100ms) == std::vector<int>{10});
    // No change is lost: a later line reports those that were not reported.
    keeper.put_back(tap, changed, promised, false, now + 100ms);
    CHECK(keeper.next_deadline() == start + 30s);
    const auto last = keeper.take_reports(now + 10s);
    REQUIRE(last.size() == 1);
    CHECK(lines + more + 1 + last[0].more == 301);
    CHECK_FALSE(keeper.next_deadline());
}

TEST_CASE("I10 what a guest may do: thousands of taps are restored in portions, and reported in one line")
{
    SettingsKeeper keeper;
    const auto changed = with("disable_ipv6", 0);
    for (int ifindex = 1; ifindex <= 1000; ++ifindex)
        keeper.saw({ifindex, {}, Profile::standard}, changed);
    unsigned turns = 0;
    for (auto due = keeper.due(start); !due.empty(); due = keeper.due(start), ++turns) {
        CHECK(due.size() <= 64);
        for (const int ifindex : due)
            keeper.put_back({ifindex, "tap" + std::to_string(ifindex), Profile::standard}, changed, promised, false,
                            start);
        CHECK(keeper.next_deadline());
    }
    CHECK(turns == 16);
    const auto reports = keeper.take_reports(start);
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].more == 999);
}

TEST_CASE("I10 what a guest may do: taps of an older version silently get the settings that it did not have")
{
    SettingsKeeper keeper;
    auto old = promised;
    for (const auto &setting : tap_settings)
        if (!setting.in_first_version)
            old[setting.name] = 7;
    keeper.put_back(tap, old, promised, true, start);
    CHECK(keeper.take_reports(start).empty());
    old["rp_filter"] = 2;
    keeper.put_back(tap, old, promised, true, start);
    CHECK_FALSE(keeper.take_reports(start).empty());
}

TEST_CASE("I10 what a guest may do: a harmless setting that cannot be written is left, and not tried repeatedly")
{
    SettingsKeeper keeper;
    const auto left = with("accept_ra", 1);
    keeper.saw(tap, left);
    CHECK(keeper.due(start) == std::vector<int>{10});
    keeper.put_back(tap, left, left, false, start);
    keeper.saw(tap, left);
    CHECK(keeper.due(start + 1h).empty());
    CHECK(keeper.take_reports(start).empty());
    CHECK_FALSE(keeper.next_deadline());
    auto changed = left;
    changed["rp_filter"] = 0;
    keeper.saw(tap, changed);
    CHECK(keeper.due(start + 1h) == std::vector<int>{10});
}

TEST_CASE("I10 what a guest may do: a tap that cannot be restored is tried again later, without wakeups in between")
{
    SettingsKeeper keeper;
    keeper.saw(tap, with("rp_filter", 0));
    keeper.failed(10, start);
    CHECK_FALSE(keeper.next_deadline());
    CHECK(keeper.due(start + 999ms).empty());
    CHECK(keeper.due(start + 1s) == std::vector<int>{10});
    keeper.forget(10);
    CHECK(keeper.due(start + 1s).empty());
}

TEST_CASE("I10 what a guest may do: a harmful host-wide setting is reported once, and again after it was good")
{
    HostWideWatch watch;
    HostWideValues values{};
    CHECK(watch.news(values).empty()); // no setting can be read
    values.fill(0);
    CHECK(watch.news(values).empty());
    values[0] = 1; // rp_filter
    CHECK(watch.news(values).empty());
    values[0] = 2;
    CHECK(watch.news(values) == std::vector<std::size_t>{0});
    CHECK(watch.news(values).empty());
    values[1] = 1;
    CHECK(watch.news(values) == std::vector<std::size_t>{1});
    values[0] = 0;
    CHECK(watch.news(values).empty());
    values[0] = 2;
    CHECK(watch.news(values) == std::vector<std::size_t>{0});
}
