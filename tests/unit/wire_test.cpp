// SPDX-License-Identifier: MIT

#include "daemon/bus/wire.hpp"

#include "common/error.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"

#include "tests/catch.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace qemutap;

namespace {

using Options = std::vector<OptionView>;

// Counts the options that are read from it.
class ListedOptions final : public OptionSource {
public:
    explicit ListedOptions(Options options)
        : options_{std::move(options)}
    {}

    std::optional<OptionView> next() override
    {
        return taken < options_.size() ? std::optional{options_[taken++]} : std::nullopt;
    }

    std::size_t taken = 0;

private:
    Options options_;
};

std::string_view text(std::string_view text)
{
    return text;
}

struct Refusal {
    std::string text;
    std::size_t taken;
};

Refusal refusal(const Options &options)
{
    ListedOptions source{options};
    try {
        parse_acquire(1, source);
    } catch (const TapError &error) {
        CHECK(error.code() == ErrorCode::invalid_argument);
        return {error.what(), source.taken};
    }
    return {"", source.taken};
}

const std::string known = "attended, hold, idle-timeout, interactive, label, profile, queues, vhost, vnet";

} // namespace

TEST_CASE("wire: an Acquire's options make the request, in any order")
{
    TapRequest expected;
    expected.count = 2;
    expected.hold = Hold::name;
    expected.label = "web";
    expected.queues = 4;
    expected.vhost = VhostChoice::when_possible;
    expected.idle_timeout_seconds = 60;
    expected.attended = true;
    expected.profile = Profile::runqemu;
    expected.interactive = true;
    Options options{{"vhost", text("auto")}, {"label", text("web")},      {"queues", 4u},
                    {"hold", text("name")},  {"attended", true},          {"idle-timeout", std::uint64_t{60}},
                    {"interactive", true},   {"profile", text("runqemu")}};
    for (std::size_t turn = 0; turn < options.size(); ++turn) {
        ListedOptions source{options};
        CHECK(parse_acquire(2, source) == expected);
        std::rotate(options.begin(), options.begin() + 1, options.end());
    }
}

TEST_CASE("wire: a dictionary of variants is read as the message is")
{
    const Dictionary options{{"hold", sdbus::Variant{std::string{"name"}}},
                             {"queues", sdbus::Variant{std::uint32_t{2}}},
                             {"idle-timeout", sdbus::Variant{std::uint64_t{5}}},
                             {"attended", sdbus::Variant{true}}};
    const auto request = parse_acquire(1, options);
    CHECK(request.hold == Hold::name);
    CHECK(request.queues == 2);
    CHECK(request.idle_timeout_seconds == 5);
    CHECK(request.attended);
    CHECK_THROWS_AS(parse_list(Dictionary{{"all", sdbus::Variant{std::int16_t{1}}}}), TapError);
    CHECK_THROWS_AS(parse_list(Dictionary{{"all", sdbus::Variant{}}}), TapError);
}

TEST_CASE("wire: options are read only up to the first mistake (I8)")
{
    const OptionView good{"queues", 1u};
    const OptionView never{"never-read", text("")};
    SECTION("an unknown option, quoted in the error with a list of the known ones")
    {
        const auto [words, taken] = refusal({good, {"colour", text("red")}, never});
        CHECK(words == "unknown option \"colour\"; there are: " + known);
        CHECK(taken == 2);
    }
    SECTION("an unknown option of any length is named by its first 80 bytes")
    {
        const std::string key(1'000'000, 'x');
        CHECK(refusal({{key, 1u}}).text == "unknown option \"" + std::string(80, 'x') + "\"...; there are: " + known);
    }
    SECTION("an option that is given twice")
    {
        const auto [words, taken] = refusal({good, good, never});
        CHECK(words == "option queues is given twice");
        CHECK(taken == 2);
    }
    SECTION("a value of another type")
    {
        for (const OptionView &option : {OptionView{"queues", text("1")}, {"queues", std::uint64_t{1}}, {"queues", {}}})
            CHECK(refusal({option, never}).text == "option queues must be a number of type u");
        CHECK(refusal({{"label", {}}, never}).taken == 1);
    }
    SECTION("a text that is too long")
    {
        const std::string long_text(1'000'000, 'x');
        for (const char *key : {"label", "hold", "vhost", "profile"}) {
            const auto [words, taken] = refusal({{key, text(long_text)}, never});
            CHECK(taken == 1);
            CHECK(words.size() < 300);
        }
    }
}

TEST_CASE("wire: vnet false requests frames without virtio headers, for leases by descriptors")
{
    CHECK(parse_acquire(1, Dictionary{}).vnet);
    CHECK_FALSE(parse_acquire(1, Dictionary{{"vnet", sdbus::Variant{false}}}).vnet);
    CHECK(refusal(Options{{"vnet", text("off")}}).text.find("vnet") != std::string::npos);
}

TEST_CASE("wire: a tenth option is refused, whatever it is (I8)")
{
    const Options options{{"vhost", text("no")},  {"label", text("web")},
                          {"queues", 1u},         {"hold", text("name")},
                          {"attended", true},     {"idle-timeout", std::uint64_t{60}},
                          {"interactive", false}, {"profile", text("standard")},
                          {"vnet", true}};
    REQUIRE(options.size() == max_options);
    CHECK(refusal(options).text.empty());
    for (const OptionView &tenth : {OptionView{"vhost", text("no")}, {"colour", text("red")}}) {
        auto more = options;
        more.insert(more.end(), 5, tenth);
        const auto [words, taken] = refusal(more);
        CHECK(words == "more than 9 options are given");
        CHECK(taken == 10);
    }
}

TEST_CASE("wire: polkit's rules get the request as details, without a label if there is none")
{
    TapRequest request;
    request.count = 3;
    request.queues = 2;
    request.vhost = VhostChoice::when_possible;
    using Details = std::map<std::string, std::string>;
    CHECK(request_details(request) == Details{{"count", "3"}, {"hold", "fd"}, {"queues", "2"}, {"vhost", "auto"}});
    request.hold = Hold::name;
    request.label = "web";
    CHECK(request_details(request) ==
          Details{{"count", "3"}, {"hold", "name"}, {"queues", "2"}, {"vhost", "auto"}, {"label", "web"}});
}

TEST_CASE("wire: a List's options are read")
{
    ListedOptions all{{{"columns", true}, {"all", true}}};
    const auto request = parse_list(all);
    CHECK(request.all);
    CHECK(request.columns);
    CHECK_FALSE(request.interactive);
    ListedOptions unknown{{{"hold", text("fd")}}};
    CHECK_THROWS_WITH(parse_list(unknown), "unknown option \"hold\"; there are: all, columns, interactive");
}
